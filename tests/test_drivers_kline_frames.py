"""K-line frames: published bytes, and finding frames in a stream that may be anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import FrameError
from drivers.kline_frames import ECU, INIT_REPLY, TESTER, KlineFrame, KlineScanner
from drivers.ssm_frames import InitReply, ReadReply, ReadRequest

INIT_A = bytes.fromhex(
    "80F01039FFA2100F1B1440050573FAEB802BC102AA00100060CE54F8B0600000E00000000000DC000055100000020000"
    "000000000000000000000000001F"
)
NINE = (0x08, 0x09, 0x0A, 0x0E, 0x0F, 0x13, 0x14, 0x1D, 0xFF6F91)


@pytest.mark.parametrize(
    ("frame", "published"),
    [
        (KlineFrame(ECU, TESTER, b"\xbf"), "8010F001BF40"),
        (KlineFrame(ECU, TESTER, ReadRequest((0x08,)).to_bytes()), "8010F005A80000000835"),
        (KlineFrame(ECU, TESTER, ReadRequest((0x08, 0x1C)).to_bytes()), "8010F008A80000000800001C54"),
        (KlineFrame(ECU, TESTER, ReadRequest((0x123456,)).to_bytes()), "8010F005A800123456C9"),
        (
            KlineFrame(ECU, TESTER, ReadRequest(NINE).to_bytes()),
            "8010F01DA80000000800000900000A00000E00000F00001300001400001DFF6F91C0",
        ),
        (
            KlineFrame(ECU, TESTER, ReadRequest(NINE, continuous=True).to_bytes()),
            "8010F01DA80100000800000900000A00000E00000F00001300001400001DFF6F91C1",
        ),
        (KlineFrame(TESTER, ECU, b"\xe8\x47"), "80F01002E847B1"),
        (KlineFrame(TESTER, ECU, b"\xe8\x7d\xb1"), "80F01003E87DB199"),
    ],
)
def test_published_frames_both_ways(frame: KlineFrame, published: str) -> None:
    data = bytes.fromhex(published)
    assert frame.to_bytes() == data
    assert KlineFrame.from_bytes(data) == frame


def test_the_identification_of_a_real_ecu() -> None:
    frame = KlineFrame.from_bytes(INIT_A)
    reply = InitReply.from_bytes(frame.payload, INIT_REPLY)
    assert reply.ecu_id == "1B14400505"
    assert reply.supports(10, 6)
    with pytest.raises(FrameError, match="expected EA"):
        InitReply.from_bytes(frame.payload)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "expected 80, destination"),
        ("80F01000", "expected 80, destination"),
        ("81F01002E847B1", "expected 80, destination"),
        ("80F01003E847B1", "so many bytes"),
        ("80F01002E847B2", "expected checksum B1, met B2"),
    ],
)
def test_what_is_no_frame(data: str, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        KlineFrame.from_bytes(bytes.fromhex(data))


@given(
    st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6),
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
)
def test_frames_are_found_in_any_chunking(payloads: list[bytes], sizes: list[int]) -> None:
    frames = [KlineFrame(TESTER, ECU, payload) for payload in payloads]
    stream = b"".join(frame.to_bytes() for frame in frames)
    scanner = KlineScanner()
    found = []
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += scanner.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert [one.frame for one in found] == frames
    assert scanner.bad_frames == scanner.skipped == 0


def test_a_frame_says_how_many_bytes_came_after_it() -> None:
    one = KlineFrame(TESTER, ECU, b"\xe8\x01").to_bytes()
    assert [found.bytes_after for found in KlineScanner().feed(one + one + one[:3])] == [len(one) + 3, 3]


@given(st.binary(max_size=60))
def test_after_any_garbage_the_next_frames_are_found(garbage: bytes) -> None:
    """At the latest the frame after the bytes that a false header could swallow."""
    scanner = KlineScanner()
    scanner.longest = 10
    frame = KlineFrame(TESTER, ECU, ReadReply(bytes(9)).to_bytes())
    found = scanner.feed(garbage + frame.to_bytes() * 4)
    assert [one.frame for one in found][-2:] == [frame] * 2


@given(st.binary(max_size=300), st.integers(1, 255))
def test_any_bytes_are_borne(data: bytes, longest: int) -> None:
    scanner = KlineScanner()
    scanner.longest = longest
    for found in scanner.feed(data):
        assert 1 <= len(found.frame.payload) <= longest
        assert found.frame.to_bytes() in data
    assert scanner.missing(9) >= 1


def test_a_damaged_frame_is_counted_and_costs_only_itself() -> None:
    good = KlineFrame(TESTER, ECU, b"\xe8\x47").to_bytes()
    scanner = KlineScanner()
    found = scanner.feed(good + good[:5] + b"\x48" + good[6:] + good)
    assert len(found) == 2
    assert scanner.bad_frames == 1


def test_frames_between_others_are_no_concern() -> None:
    scanner = KlineScanner()
    assert scanner.feed(KlineFrame(0x18, TESTER, b"\xbf").to_bytes()) == []
    assert scanner.skipped == 6

"""ISO-TP: published frames, its own rules, and can-isotp as the other end."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import FrameError
from drivers.isotp import MAX_PAYLOAD, IsoTp, separation_s

FLOW = bytes.fromhex("3000000000000000")
NINE_ADDRESSES = bytes.fromhex("A80000000800000900000A00000E00000F00001300001400001DFF6F91")
NINE_VALUES = bytes.fromhex("E87D847C0BB801905002")
INIT_BODY = bytes.fromhex("EAA210115B125A4007F3FAC98E0B81FEAC00820046CE54F9")

INIT_FRAMES = (
    "10 18 EA A2 10 11 5B 12 | 21 5A 40 07 F3 FA C9 8E | 22 0B 81 FE AC 00 82 00 | 23 46 CE 54 F9 00 00 00"
)
NINE_FRAMES = (
    "10 1D A8 00 00 00 08 00 | 21 00 09 00 00 0A 00 00 | 22 0E 00 00 0F 00 00 13 "
    "| 23 00 00 14 00 00 1D FF | 24 6F 91 00 00 00 00 00"
)


def frames(text: str) -> list[bytes]:
    return [bytes.fromhex(line) for line in text.split("|")]


@pytest.mark.parametrize(
    ("payload", "sent"),
    [
        (b"\xaa", "01 AA 00 00 00 00 00 00"),
        (bytes.fromhex("A800000008"), "05 A8 00 00 00 08 00 00"),
        (bytes.fromhex("E87D"), "02 E8 7D 00 00 00 00 00"),
        (bytes.fromhex("01030506070C10"), "07 01 03 05 06 07 0C 10"),
        (
            INIT_BODY,
            INIT_FRAMES,
        ),
        (
            NINE_ADDRESSES,
            NINE_FRAMES,
        ),
        (NINE_VALUES, "10 0A E8 7D 84 7C 0B B8 | 21 01 90 50 02 00 00 00"),
        (
            bytes.fromhex("41030200057D0684077C0C0BB8100190"),
            "10 10 41 03 02 00 05 7D | 21 06 84 07 7C 0C 0B B8 | 22 10 01 90 00 00 00 00",
        ),
    ],
)
def test_frames_seen_on_real_buses(payload: bytes, sent: str) -> None:
    expected = frames(sent)
    end = IsoTp()
    assert end.send(payload, 0.0) == expected[:1]
    if len(expected) > 1:
        assert end.receive(FLOW, 0.0) == (None, expected[1:])
    other = IsoTp()
    received, answers = None, []
    for frame in expected:
        received, out = other.receive(frame, 0.0)
        answers += out
    assert received == payload
    assert answers == ([FLOW] if len(expected) > 1 else [])


def carry(payload: bytes, sender: IsoTp, receiver: IsoTp) -> bytes:
    """Both ends joined, time running as their separation asks."""
    now_s, received = 0.0, None
    outgoing = sender.send(payload, now_s)
    while received is None:
        answers: list[bytes] = []
        for frame in outgoing:
            received, out = receiver.receive(frame, now_s)
            answers += out
        outgoing = []
        for frame in answers:
            outgoing += sender.receive(frame, now_s)[1]
        if received is None and not outgoing:
            assert sender.wake_s < float("inf")
            now_s = sender.wake_s
            outgoing = sender.poll(now_s)
    assert not sender.sending
    return received


@given(
    payload=st.binary(min_size=1, max_size=600),
    block_size=st.integers(0, 20),
    st_min=st.sampled_from([0x00, 0x01, 0x7F, 0xF1, 0xF9, 0xFF]),
)
def test_every_payload_arrives_whatever_flow_is_asked_for(
    payload: bytes, block_size: int, st_min: int
) -> None:
    receiver = IsoTp(block_size=block_size, st_min=st_min)
    assert carry(payload, IsoTp(), receiver) == payload


def test_longest_payload_wraps_the_sequence_and_one_more_byte_is_refused() -> None:
    payload = bytes(range(256)) * 16
    assert carry(payload[:MAX_PAYLOAD], IsoTp(), IsoTp(block_size=200)) == payload[:MAX_PAYLOAD]
    for wrong in (payload, b""):
        with pytest.raises(ValueError, match="1 to 4095 bytes"):
            IsoTp().send(wrong, 0.0)


def test_a_second_payload_must_wait_for_the_first() -> None:
    end = IsoTp()
    end.send(bytes(20), 0.0)
    with pytest.raises(ValueError, match="still being sent"):
        end.send(bytes(20), 0.0)


def test_separation_is_kept() -> None:
    end = IsoTp()
    end.send(bytes(30), 0.0)
    _, first = end.receive(bytes.fromhex("30000A"), 1.0)
    assert len(first) == 1
    assert end.wake_s == pytest.approx(1.01)
    assert end.poll(1.005) == []
    assert len(end.poll(1.01)) == 1


@pytest.mark.parametrize(
    ("code", "seconds"),
    [(0x00, 0.0), (0x7F, 0.127), (0x80, 0.127), (0xF0, 0.127), (0xF1, 1e-4), (0xF9, 9e-4), (0xFA, 0.127)],
)
def test_separation_codes(code: int, seconds: float) -> None:
    assert separation_s(code) == pytest.approx(seconds)


def test_wait_extends_the_time_and_ends_after_many() -> None:
    end = IsoTp(timeout_s=1.0)
    end.send(bytes(20), 0.0)
    end.receive(bytes.fromhex("310000"), 0.9)
    assert end.poll(1.5) == []
    assert len(end.receive(FLOW, 1.6)[1]) == 2
    end.send(bytes(20), 2.0)
    for _ in range(16):
        end.receive(bytes.fromhex("310000"), 2.0)
    with pytest.raises(FrameError, match="told to wait more than 16 times"):
        end.receive(bytes.fromhex("310000"), 2.0)
    assert not end.sending


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ("320000", "too long for the other end"),
        ("350000", "expected 30, 31 or 32"),
        ("30", "expected 30, 31 or 32"),
    ],
)
def test_flow_control_that_ends_a_transfer(frame: str, words: str) -> None:
    end = IsoTp()
    end.send(bytes(20), 0.0)
    with pytest.raises(FrameError, match=words):
        end.receive(bytes.fromhex(frame), 0.1)
    assert not end.sending
    assert end.wake_s == float("inf")


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ("", "at least 1 byte"),
        ("00", "length 0 does not fit"),
        ("08 11 22 33 44 55 66 77", "length 8 does not fit"),
        ("03 11 22", "length 3 does not fit"),
        ("40 00", "first digit must be 0 to 3"),
        ("10 0A 01", "expected 8 bytes, met 3"),
        ("10 07 01 02 03 04 05 06", "length must be 8 to 4095, met 7"),
    ],
)
def test_malformed_frames_are_quoted(frame: str, words: str) -> None:
    data = bytes.fromhex(frame)
    with pytest.raises(FrameError, match=words) as caught:
        IsoTp().receive(data, 0.0)
    assert data.hex(" ").upper() in str(caught.value)


def test_a_lost_frame_ends_the_transfer_and_its_rest_is_ignored() -> None:
    end = IsoTp()
    end.receive(bytes.fromhex("1020010203040506"), 0.0)
    with pytest.raises(FrameError, match="expected sequence 1, met 2"):
        end.receive(bytes.fromhex("2201020304050607"), 0.0)
    assert end.receive(bytes.fromhex("2301020304050607"), 0.0) == (None, [])
    assert end.receive(bytes.fromhex("02E87D"), 0.0) == (b"\xe8\x7d", [])


def test_a_short_consecutive_frame_ends_the_transfer() -> None:
    end = IsoTp()
    end.receive(bytes.fromhex("1020010203040506"), 0.0)
    with pytest.raises(FrameError, match="expected 7 more bytes"):
        end.receive(bytes.fromhex("210102"), 0.0)


def test_the_last_frame_may_come_unpadded() -> None:
    end = IsoTp()
    end.receive(bytes.fromhex("100A010203040506"), 0.0)
    assert end.receive(bytes.fromhex("210708090A"), 0.0)[0] == bytes(range(1, 11))


def test_a_new_first_frame_replaces_what_was_being_received() -> None:
    end = IsoTp()
    end.receive(bytes.fromhex("1020010203040506"), 0.0)
    end.receive(bytes.fromhex("1008A1A2A3A4A5A6"), 0.0)
    assert end.receive(bytes.fromhex("21A7A8"), 0.0)[0] == bytes.fromhex("A1A2A3A4A5A6A7A8")


def test_silence_ends_both_directions() -> None:
    receiver = IsoTp(timeout_s=0.5)
    receiver.receive(bytes.fromhex("1020010203040506"), 1.0)
    assert receiver.wake_s == 1.5
    with pytest.raises(FrameError, match="stopped after 6 of 32 bytes"):
        receiver.poll(1.5)
    assert receiver.poll(9.0) == []
    sender = IsoTp(timeout_s=0.5)
    sender.send(bytes(9), 1.0)
    with pytest.raises(FrameError, match="no ISO-TP flow control"):
        sender.poll(1.5)


def test_flow_control_without_a_transfer_is_ignored() -> None:
    assert IsoTp().receive(FLOW, 0.0) == (None, [])


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_any_frames_give_payloads_or_frame_errors(stream: list[bytes]) -> None:
    end = IsoTp()
    for now_s, data in enumerate(stream):
        try:
            if now_s >= end.wake_s:
                end.poll(float(now_s))
            payload, out = end.receive(data, float(now_s))
        except FrameError:
            continue
        assert payload is None or 1 <= len(payload) <= MAX_PAYLOAD
        assert all(frame[:1] == b"\x30" for frame in out)


class Peer:
    """can-isotp's state machine as the other end, without its threads."""

    def __init__(self, **parameters: object) -> None:
        isotp = pytest.importorskip("isotp", reason="can-isotp is a tool of the tests, not of the product")
        self._isotp = isotp
        self.sent: list[bytes] = []
        self.incoming: list[bytes] = []
        address = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=0x7E8, rxid=0x7E0)
        self.layer = isotp.TransportLayerLogic(
            rxfn=self._take,
            txfn=lambda message: self.sent.append(bytes(message.data)),
            address=address,
            params={"tx_padding": 0, "blocking_send": False, **parameters},
        )

    def _take(self, timeout: float) -> object:
        if not self.incoming:
            return None
        return self._isotp.CanMessage(arbitration_id=0x7E0, data=self.incoming.pop(0), dlc=8)


def join(end: IsoTp, peer: Peer, outgoing: list[bytes]) -> bytes | None:
    """Carries frames both ways until nothing moves; the payload that ``end`` received, if any."""
    received = None
    give_up_s = time.monotonic() + 10.0
    while time.monotonic() < give_up_s:
        peer.incoming += outgoing
        peer.layer.process()
        outgoing = []
        now_s = time.monotonic()
        answers, peer.sent = peer.sent, []
        for frame in answers:
            payload, out = end.receive(frame, now_s)
            received = payload or received
            outgoing += out
        if now_s >= end.wake_s:
            outgoing += end.poll(now_s)
        if received is not None or peer.layer.available():
            break
    return received


@pytest.mark.parametrize("size", [1, 7, 8, 13, 14, 105, 1000, 4095])
@pytest.mark.parametrize("parameters", [{}, {"blocksize": 4, "stmin": 0}, {"stmin": 1, "blocksize": 0}])
def test_can_isotp_understands_what_we_send(size: int, parameters: dict[str, object]) -> None:
    if size > 1000 and parameters:
        size = 1000
    payload = bytes(index & 0xFF for index in range(size))
    end, peer = IsoTp(), Peer(**parameters)
    join(end, peer, end.send(payload, time.monotonic()))
    assert peer.layer.recv() == payload


@pytest.mark.parametrize("size", [1, 7, 8, 13, 14, 105, 1000, 4095])
@pytest.mark.parametrize("block_size", [0, 5])
def test_we_understand_what_can_isotp_sends(size: int, block_size: int) -> None:
    payload = bytes(index & 0xFF for index in range(size))
    end, peer = IsoTp(block_size=block_size), Peer()
    peer.layer.send(payload)
    assert join(end, peer, []) == payload

"""OBD mode 01 payloads: published exchanges, and any bytes at all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import FrameError
from drivers.obd_frames import PID_BYTES, CurrentDataReply, CurrentDataRequest, fuel_loop
from lowmaf.samples import FuelLoop


def test_the_published_request_of_six_pids() -> None:
    pids = (0x03, 0x05, 0x06, 0x07, 0x0C, 0x10)
    payload = bytes.fromhex("01030506070C10")
    assert CurrentDataRequest(pids).to_bytes() == payload
    assert CurrentDataRequest.from_bytes(payload) == CurrentDataRequest(pids)


def test_the_published_answer_by_pid_in_any_order() -> None:
    reply = CurrentDataReply.from_bytes(bytes.fromhex("41030200057D0684077C0C0BB8100190"))
    assert reply.data == {
        0x03: b"\x02\x00",
        0x05: b"\x7d",
        0x06: b"\x84",
        0x07: b"\x7c",
        0x0C: b"\x0b\xb8",
        0x10: b"\x01\x90",
    }
    other = CurrentDataReply.from_bytes(bytes.fromhex("4110019003020006840C0BB8"))
    assert list(other.data) == [0x10, 0x03, 0x06, 0x0C]


@pytest.mark.parametrize(
    ("raw", "state"),
    [
        (1, FuelLoop.OPEN_COLD),
        (2, FuelLoop.CLOSED),
        (4, FuelLoop.OPEN_LOAD),
        (8, FuelLoop.OPEN_FAULT),
        (16, FuelLoop.CLOSED_FAULT),
    ],
)
def test_fuel_status(raw: int, state: FuelLoop) -> None:
    assert fuel_loop(raw) == state


@pytest.mark.parametrize("raw", [0, 3, 6, 32, 255])
def test_a_status_that_is_none_is_not_measured(raw: int) -> None:
    assert math.isnan(fuel_loop(raw))


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ("41", "expected 41, PIDs and their data"),
        ("7F0112", "expected 41, PIDs and their data"),
        ("410302", "PID 03 at byte 2"),
        ("41030200FF00", "PID FF at byte 5"),
        ("41050005", "PID 05 at byte 4"),
        ("4105000501", "PID 05 at byte 4"),
    ],
)
def test_wrong_answers_are_quoted(payload: str, words: str) -> None:
    data = bytes.fromhex(payload)
    with pytest.raises(FrameError, match=words) as caught:
        CurrentDataReply.from_bytes(data)
    assert data.hex(" ").upper() in str(caught.value)


def test_requests_name_one_to_six_pids() -> None:
    for pids in ((), tuple(range(7))):
        with pytest.raises(ValueError, match="1 to 6 PIDs"):
            CurrentDataRequest(pids)
    for payload in (b"\x01", b"\x01" * 8, b"\x09\x02"):
        with pytest.raises(FrameError, match="expected 01 and 1 to 6 PIDs"):
            CurrentDataRequest.from_bytes(payload)


@given(st.binary(max_size=40))
def test_any_bytes_are_an_answer_or_a_frame_error(payload: bytes) -> None:
    try:
        reply = CurrentDataReply.from_bytes(payload)
    except FrameError:
        return
    assert reply.to_bytes() == payload
    assert all(len(raw) == PID_BYTES[pid] for pid, raw in reply.data.items())

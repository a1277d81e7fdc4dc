"""What ELM327 adapters write: published responses, habits of clones, and any text at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.elm_frames import (
    can_payloads,
    check_allowed,
    error_in,
    expected_lines,
    iso_checksum,
    j1850_crc,
    legacy_payloads,
    response_lines,
)


@pytest.mark.parametrize(
    ("text", "command", "lines"),
    [
        (b"ATZ\r\r\rELM327 v1.5\r\r", "ATZ", ["ELM327 V1.5"]),
        (b"ATE0\rOK\r\r", "ATE0", ["OK"]),
        (b"SEARCHING...\r7E8064100BE3FA813\r\r", "0100", ["7E8064100BE3FA813"]),
        (b"SEARCHING...7E8064100BE3FA813\r\r", "0100", ["7E8064100BE3FA813"]),
        (b"BUS INIT: ...OK\r48 6B 10 41 0C 1A F8 22\r\r", "010C", ["48 6B 10 41 0C 1A F8 22"]),
        (b"\0\r\0NO DATA\r\r\0>", "0199", ["NO DATA"]),
        (b"01 0C\r7E804410C145F\r", "010C", ["7E804410C145F"]),
        (b"\r\r", "0100", []),
    ],
)
def test_lines_of_a_response(text: bytes, command: str, lines: list[str]) -> None:
    assert response_lines(text, command) == lines


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("?", "?"),
        ("NO DATA", "NO DATA"),
        ("7E8101041030000<RX ERROR", "RX ERROR"),
        ("BUS INIT: ERROR", "BUS INIT: ERROR"),
        ("UNABLE TO CONNECT", "UNABLE TO CONNECT"),
        ("ERR94", "ERR"),
        ("7E804410C145F", None),
    ],
)
def test_errors_in_words(line: str, error: str | None) -> None:
    assert error_in([line]) == error


def test_the_published_answer_to_six_pids() -> None:
    lines = ["7E8101041030000055F", "7E821068007790C35CB", "7E822100146"]
    payload = bytes.fromhex("41030000055F068007790C35CB100146")
    assert can_payloads(lines) == {"7E8": payload}
    assert expected_lines(len(payload)) == len(lines)
    assert can_payloads(lines[:2]) == {}, "a frame is missing"
    assert can_payloads([lines[0], lines[2], lines[1]]) == {}, "frames in the wrong order"


def test_answers_of_two_ecus_are_kept_apart() -> None:
    lines = ["7E8101041030000055F", "7E9 04 41 0C 14 5F", "7E821068007790C35CB", "7E822100146"]
    assert {ecu: len(payload) for ecu, payload in can_payloads(lines).items()} == {"7E8": 16, "7E9": 4}


def test_identifiers_of_29_bits() -> None:
    assert can_payloads(["18DAF110 04 41 0C 14 5F"], long_headers=True) == {"18DAF110": b"\x41\x0c\x14\x5f"}


def test_garbage_before_a_frame_costs_nothing_and_within_it_the_frame() -> None:
    good = b"\x41\x0c\x14\x5f"
    assert can_payloads(["\ufffdA97E804410C145F"]) == {"7E8": good}
    for line in ("7E804410C14\ufffd5F", "7E804410C145", "7E80441 0C 14", "7E8", "", "BUS BUSY"):
        assert can_payloads([line]) == {}, line


def test_buses_before_can() -> None:
    """With a header of three bytes and a checksum."""
    line = "48 6B 10 41 0C 1A F8"
    data = bytes.fromhex(line.replace(" ", ""))
    iso, j1850 = f"{line} {iso_checksum(data):02X}", f"{line} {j1850_crc(data):02X}"
    assert iso.endswith("22")
    expected = {"486B10": b"\x41\x0c\x1a\xf8"}
    assert legacy_payloads([iso], iso_checksum) == legacy_payloads([j1850], j1850_crc) == expected
    assert legacy_payloads([iso], j1850_crc) == legacy_payloads([j1850], iso_checksum) == {}
    assert j1850_crc(b"123456789") == 0x4B, "the published check value"


@given(st.lists(st.text(max_size=30), max_size=6), st.booleans())
def test_any_lines_are_borne(lines: list[str], long_headers: bool) -> None:
    can_payloads(lines, long_headers=long_headers)
    legacy_payloads(lines, iso_checksum)
    error_in(lines)


@given(st.binary(max_size=80))
def test_any_bytes_are_borne(text: bytes) -> None:
    assert all(line.strip() == line != "" for line in response_lines(text, "0100"))


@pytest.mark.parametrize(
    "command", ["ATZ", "ATSP6", "ATSPA", "ATSH7E0", "0100", "010C1", "01030506070C103", "0902", ""]
)
def test_commands_that_read_may_leave(command: str) -> None:
    check_allowed(command)


@pytest.mark.parametrize(
    "command",
    ["04", "0401", "02", "0A", "2EF19001", "3E00", "22F190", "31010203", "ATPP2DSV01", "ATSH7DF1", "ATMA",
     "ATBRD10", "STPX", "atz", "0100\r04", " 0100", "01", "010", "B80000000801", "A800000008", "ATSPB",
     "0101020304050607"],
)  # fmt: skip
def test_nothing_else_may(command: str) -> None:
    with pytest.raises(ValueError, match="is not one that reads; it was not sent"):
        check_allowed(command)

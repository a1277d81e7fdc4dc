"""The parser of eight digits at a time gives what ``float()`` gives, or says that it did not read."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.logs.number_parser import PADDING, parse_numbers

PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")


def parsed(fields: list[str]) -> tuple[list[float], list[bool]]:
    text = np.frombuffer(b" " * PADDING + ",".join(fields).encode() + b"\n", np.uint8)
    lengths = np.array([len(field.encode()) for field in fields], dtype=np.int64)
    ends = np.cumsum(lengths + 1) - 1 + PADDING
    numbers = parse_numbers(text, ends - lengths, ends)
    unread = set(numbers.unread.tolist())
    return numbers.values.tolist(), [index not in unread for index in range(len(fields))]


def holds(field: str, value: float, read: bool) -> bool:
    """What is read is what float() reads, to the sign of zero; what is not read is NaN."""
    if not read:
        return math.isnan(value)
    if field == "":
        return math.isnan(value)
    return bool(PLAIN.fullmatch(field)) and str(float(field)) == str(value)


digits = st.text("0123456789", min_size=1, max_size=12)
numbers = st.one_of(
    digits,
    st.tuples(st.sampled_from(["", "-", "+"]), digits, st.sampled_from(["", "."]), st.text("0123456789")).map(
        "".join
    ),
    st.floats(-1e6, 1e6).map(lambda x: f"{x:.4f}"),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
anything = st.text("0123456789.+-eE:/ xnaN%", max_size=20)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.lists(st.one_of(numbers, anything), min_size=1, max_size=30))
def test_what_is_read_is_what_float_reads(fields: list[str]) -> None:
    values, read = parsed(fields)
    assert all(map(holds, fields, values, read))


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.lists(st.one_of(digits, st.tuples(digits, digits).map(".".join)), min_size=1, max_size=20))
def test_every_plain_number_of_16_characters_is_read(fields: list[str]) -> None:
    fields = [field[:16] for field in fields]
    short_enough = [int(field.replace(".", "")) <= 2**53 for field in fields]
    _, read = parsed(fields)
    assert read == short_enough


@pytest.mark.parametrize(
    "field",
    ["nan", "N/A", "1e2", "1.2.3", "1-2", "-", "+", ".", "-.", "..", "--1", "+-1", "1 ", " 1", "0x10",
    "1:2", "1/2",
     "12;", "１", "1_0", "inf", "9007199254740993", "12345678901234567", "1\0", "\x7f9", "on"],
)  # fmt: skip
def test_what_is_no_plain_number_is_never_guessed(field: str) -> None:
    for fields in ([field], ["1", field, "2.5"], ["123456789.5", field]):
        values, read = parsed(fields)
        at = fields.index(field)
        assert not read[at]
        assert math.isnan(values[at])


def test_every_byte_but_digits_spoils_a_number_wherever_it_stands() -> None:
    for length in (3, 8, 11, 16):
        for at in range(length):
            for byte in range(256):
                field = bytearray(b"0" * length)
                field[at] = byte
                text = np.frombuffer(b" " * PADDING + bytes(field) + b"\n", np.uint8)
                begin, end = np.array([PADDING]), np.array([PADDING + length])
                read = not parse_numbers(text, begin, end).unread.size
                good = byte in b"0123456789." or (at == 0 and byte in b"+-")
                assert read == good, (bytes(field), byte)


def test_empty_fields_are_read_and_not_measured() -> None:
    values, read = parsed(["", "1", ""])
    assert read == [True, True, True]
    assert math.isnan(values[0])
    assert values[1] == 1.0
    empty = parse_numbers(np.zeros(PADDING, np.uint8), np.empty(0, np.int64), np.empty(0, np.int64))
    assert empty.values.size == empty.unread.size == 0


def test_a_number_at_the_very_beginning_is_read() -> None:
    assert parsed(["1234567890123456"])[0] == [1234567890123456.0]
    assert parsed(["-.78125", "5.", "+.5", "-0"])[0] == [-0.78125, 5.0, 0.5, 0.0]

"""Decimal numbers out of bytes, a column at a time, without a Python call per number.

Eight characters are one unaligned 64-bit word, and eight digits become a number by three
multiplications (the "SIMD within a register" method). Every character is checked: what is not
``[+-]digits[.digits]`` of at most 16 characters is reported and left to the caller, never guessed.
The value is the one ``float()`` gives, bit for bit: a whole number below 2**53 divided once by a
power of ten up to 10**15, both exact in a double, is correctly rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowmaf.samples import Floats

Words = NDArray[np.uint64]
Offsets = NDArray[np.int64]
Mask = NDArray[np.bool_]

PADDING = 16
"""Bytes that must precede the first number: words are loaded from the end of a number backwards."""

_POWERS = 10.0 ** np.arange(17)
_U = np.uint64
_ZEROS = _U(0x3030303030303030)
_DOTS = _U(0x2E2E2E2E2E2E2E2E)
_LOW7 = _U(0x7F7F7F7F7F7F7F7F)
_HIGH1 = _U(0x8080808080808080)
_HIGH4 = _U(0xF0F0F0F0F0F0F0F0)
_SIXES = _U(0x0606060606060606)
_DIGITS = _U(0x3333333333333333)
_KEPT = np.array([0, *(~0 << 8 * (8 - count) & 0xFFFFFFFFFFFFFFFF for count in range(1, 9))], dtype=np.uint64)
"""Masks of the last 0 to 8 characters of a word."""
_MAX_EXACT = _U(1 << 53)


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """``values`` (n,), NaN for an empty field and wherever ``read`` (n,) is False."""

    values: Floats
    read: Mask


def parse_numbers(text: NDArray[np.uint8], start: Offsets, end: Offsets) -> Numbers:
    """Numbers from ``text[start:end]`` of each field; ``text`` begins with :data:`PADDING` spare bytes."""
    if not start.size:
        return Numbers(np.empty(0), np.empty(0, dtype=np.bool_))
    first = text[start]
    minus = first == ord("-")
    signed = (minus | (first == ord("+"))) & (end > start)
    length = end - start - signed
    words = np.ndarray((text.size - 7,), np.dtype("<u8"), text, strides=(1,))
    packed = words[end - 8].astype(_U, copy=False)
    if int(length.max()) <= 8:
        whole, decimals, good = _short(packed, length)
    else:
        before = words[np.maximum(end - 16, 0)].astype(_U, copy=False)
        whole, decimals, good = _long(packed, before, length)
    values = whole.astype(np.float64) / _POWERS[decimals]
    np.negative(values, out=values, where=signed & minus)
    empty = end == start
    good &= ~empty
    values[~good] = np.nan
    return Numbers(values, good | empty)


def _short(word: Words, length: Offsets) -> tuple[Words, Offsets, Mask]:
    """Numbers of at most 8 characters, right-aligned in ``word``."""
    word = _blank_before(word, length)
    dot, below = _lowest_dot(word)
    dotted = dot != 0
    if not dotted.any():
        return _eight_digits(word), np.zeros(length.size, dtype=np.int64), _only_digits(word) & (length >= 1)
    decimals = np.where(dotted, _bytes_above(below), 0)
    word = np.where(dotted, _without_dot(word, below, _U(0x30)), word)
    return _eight_digits(word), decimals, _only_digits(word) & (length > dotted)


def _long(last: Words, before: Words, length: Offsets) -> tuple[Words, Offsets, Mask]:
    """Numbers of at most 16 characters; ``last`` holds the last 8 of them, ``before`` those before."""
    last = _blank_before(last, np.minimum(length, 8))
    before = _blank_before(before, np.clip(length - 8, 0, 8))
    dot, below = _lowest_dot(last)
    earlier, below_earlier = _lowest_dot(before)
    in_last, in_before = dot != 0, (earlier != 0) & (dot == 0)
    decimals = np.where(in_last, _bytes_above(below), np.where(in_before, 8 + _bytes_above(below_earlier), 0))
    carried = before >> _U(56)
    last = np.where(in_last, _without_dot(last, below, carried), last)
    before = np.where(in_last, (before << _U(8)) | _U(0x30), before)
    before = np.where(in_before, _without_dot(before, below_earlier, _U(0x30)), before)
    good = _only_digits(last) & _only_digits(before) & (length <= 16)
    good &= length - (in_last | in_before) >= 1
    whole = _eight_digits(before) * _U(100_000_000) + _eight_digits(last)
    return whole, decimals, good & (whole <= _MAX_EXACT)


def _blank_before(word: Words, length: Offsets) -> Words:
    """The last ``length`` (0 to 8) characters, with '0' before them."""
    kept = _KEPT[length]
    blanked: Words = (word & kept) | (_ZEROS & ~kept)
    return blanked


def _lowest_dot(word: Words) -> tuple[Words, Words]:
    """The mark 0x80 at the first '.', 0 without one; and a mask of the bytes before it."""
    other = word ^ _DOTS
    dots = ~(((other & _LOW7) + _LOW7) | other | _LOW7)
    dot = dots & (~dots + _U(1))
    below = dot >> _U(7)
    below -= below != 0
    return dot, below


def _bytes_above(below: Words) -> Offsets:
    """Characters after the dot, from the mask of those before it."""
    after: Offsets = 7 - (np.bitwise_count(below) >> 3).astype(np.int64)
    return after


def _without_dot(word: Words, below: Words, carried: Words | np.uint64) -> Words:
    """The characters before the dot moved up over it, ``carried`` put in front."""
    above = ~((below << _U(8)) | _U(0xFF))
    closed: Words = (word & above) | ((word & below) << _U(8)) | carried
    return closed


def _only_digits(word: Words) -> Mask:
    digits: Mask = ((word & _HIGH4) | (((word + _SIXES) & _HIGH4) >> _U(4))) == _DIGITS
    return digits


def _eight_digits(word: Words) -> Words:
    """The number of eight ASCII digits; the lowest byte is the most significant digit."""
    pairs = ((word & _U(0x0F0F0F0F0F0F0F0F)) * _U(2561)) >> _U(8)
    fours = ((pairs & _U(0x00FF00FF00FF00FF)) * _U(6553601)) >> _U(16)
    return ((fours & _U(0x0000FFFF0000FFFF)) * _U(42949672960001)) >> _U(32)

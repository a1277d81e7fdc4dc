"""Decimal numbers out of bytes, a column at a time, without a Python call per number.

Four or eight characters are one unaligned word, and its digits become a number by two or three
multiplications (the "SIMD within a register" method). Every character is checked: what is not
``[+-]digits[.digits]`` of at most 16 characters is reported and left to the caller, never guessed.
The value is the one ``float()`` gives, bit for bit: a whole number up to 2**53 divided once by a
power of ten up to 10**15, both exact in a double, is correctly rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowmaf.samples import Floats

Words = NDArray[np.uint64]
Offsets = NDArray[np.int64]
Mask = NDArray[np.bool_]

PADDING = 16
"""Bytes that must precede the first number: words are loaded from the end of a number backwards."""

_U = np.uint64
_ONES = 0x0101010101010101
_ZEROS = _U(ord("0") * _ONES)
_DOTS = _U(ord(".") * _ONES)
_LOW7 = _U(0x7F * _ONES)
_HIGH1 = _U(0x80 * _ONES)
_ABOVE_NINE = _U((0x80 - 10) * _ONES)
_MAX_EXACT = _U(1 << 53)
_POWERS: Floats = 10.0 ** np.arange(17, dtype=np.float64)
_KEPT = np.array([0, *(~0 << 8 * (8 - count) & 0xFFFFFFFFFFFFFFFF for count in range(1, 9))], dtype=np.uint64)
"""Masks of the last 0 to 8 characters of a word."""
_BLANK = _ZEROS & ~_KEPT
"""'0' in the place of the characters before those."""
_PEEKED = 64
_HUNDRED, _TEN = (100 << 16) | 1, (10 << 16) | 1
"""Factors that add a hundred times, or ten times, a half-word to the next."""
_NONE = np.empty(0, dtype=np.intp)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """Numbers of one word with the dot at one place: what the steps from characters to values need.

    ``zero`` turns digits into their values and the dot into 0; ``above`` added to them sets the highest
    bit of every byte that is no digit's; ``before`` has the bytes before the dot. ``least`` characters
    are the fewest, ``tens`` combines pairs of digits, ``power`` is what the whole number is divided by.
    """

    zero: Any
    above: Any
    before: Any
    least: int
    tens: Any
    power: np.float64


@dataclass(frozen=True, slots=True)
class _WordSize:
    """Words of ``size`` characters: their type, masks of their last 0 to ``size`` characters, the highest
    bit of each, and the patterns without a dot (last) and with one at each place."""

    size: int
    kind: Any
    kept: NDArray[Any]
    highest: int
    patterns: tuple[_Pattern, ...]

    @staticmethod
    def of(size: int) -> _WordSize:
        kind = np.dtype(f"<u{size}")
        whole = (1 << 8 * size) - 1
        kept = [whole ^ ((1 << 8 * (size - count)) - 1) for count in range(size + 1)]
        patterns = tuple(_pattern(size, kind.type, whole // 0xFF, dot) for dot in (*range(size), -1))
        return _WordSize(size, kind, np.array(kept, dtype=kind), whole // 0xFF * 0x80, patterns)


def _pattern(size: int, kind: Any, ones: int, dot: int) -> _Pattern:
    zero, above = ord("0") * ones, (0x80 - 10) * ones
    if dot < 0:
        return _Pattern(kind(zero), kind(above), kind(0), 1, kind(_HUNDRED), _POWERS[0])
    decimals = size - 1 - dot
    power, tens = decimals, _HUNDRED
    if size == 4:
        # In a pair with a dot only one digit counts: the pair before it is worth ten, not a hundred.
        # Behind a dot at the very end that cannot be said, so such a number becomes ten times as large.
        tens = _TEN if dot in (1, 2) else _HUNDRED
        power = 1 if dot == 3 else decimals
    return _Pattern(
        kind(zero ^ (ord("0") ^ ord(".")) << 8 * dot), kind(above + (9 << 8 * dot)), kind((1 << 8 * dot) - 1),
        decimals + 2, kind(tens), _POWERS[power],
    )  # fmt: skip


_SHORT, _LONG = _WordSize.of(4), _WordSize.of(8)


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """``values`` (n,), NaN for an empty field and for those at ``unread``, the indices of fields that
    are no plain number."""

    values: Floats
    unread: NDArray[np.intp]


def parse_numbers(text: NDArray[np.uint8], start: Offsets, end: Offsets) -> Numbers:
    """Numbers from ``text[start:end]`` of each field; ``text`` begins with :data:`PADDING` spare bytes."""
    if not start.size:
        return Numbers(np.empty(0), _NONE)
    length = end - start
    longest = int(np.maximum.reduce(length))
    if longest <= 9:
        maybe_signed = bool((text[start[:_PEEKED]] <= ord("-")).any())
        values = None
        if not maybe_signed and longest <= 8:
            values = _alike(text, end, length, longest, None)
        if values is None:
            minus, unsigned = _without_sign(text, start, length)
            longest = int(np.maximum.reduce(unsigned))
            values = _alike(text, end, unsigned, longest, minus) if longest <= 8 else None
        if values is not None:
            return Numbers(values, _NONE)
    return _each(text, start, end, length)


def _without_sign(text: NDArray[np.uint8], start: Offsets, length: Offsets) -> tuple[Mask, Offsets]:
    """Which fields begin with '-', and the lengths without a sign."""
    first = text[start]
    minus = first == ord("-")
    plus = first == ord("+")
    return minus, length - (minus | plus if plus.any() else minus)


def _alike(
    text: NDArray[np.uint8], end: Offsets, length: Offsets, longest: int, minus: Mask | None
) -> Floats | None:
    """Numbers of 1 to 8 characters that all have as many decimals as the first; None where they differ.

    Loggers print a column with one number of decimals, so this is the usual case, at a third of the
    price. A digit becomes its value, and a dot where one is expected 0, by one XOR; the check is that
    no byte but a digit's is above 0 and none above 9.
    """
    form = _SHORT if longest <= 4 else _LONG
    size = form.size
    word = np.ndarray((text.size - size + 1,), form.kind, text, strides=(1,))[end - size]
    kept = form.kept.take(length)
    dot = (int(word[0]) & int(kept[0])).to_bytes(size, "little").rfind(b".")
    pattern = form.patterns[dot]
    if int(np.minimum.reduce(length)) < pattern.least:
        return None
    word ^= pattern.zero
    word &= kept
    check = np.add(word, pattern.above, out=kept)
    check |= word
    if int(np.bitwise_or.reduce(check)) & form.highest:
        return None
    if form is _SHORT:
        whole = _four_digits(word, pattern.tens).view(np.int32)
    else:
        if dot >= 0:
            _close_up(word, pattern.before)
        whole = _eight_digits(word).view(np.int64)
    power = pattern.power
    return _plain(whole / (power if minus is None else np.where(minus, -power, power)))


def _plain(values: Any) -> Floats:
    """For the type checker: what a division of whole numbers gives."""
    floats: Floats = values
    return floats


def _each(text: NDArray[np.uint8], start: Offsets, end: Offsets, length: Offsets) -> Numbers:
    """Numbers of at most 16 characters, each with its own decimals."""
    minus, length = _without_sign(text, start, length)
    words = np.ndarray((text.size - 7,), np.dtype("<u8"), text, strides=(1,))
    before = None
    if int(length.max()) > 8:
        before = words[np.maximum(end - 16, 0)]
    values, good = _one_by_one(words[end - 8], before, length)
    values[~good] = np.nan
    np.negative(values, out=values, where=minus)
    return Numbers(values, np.flatnonzero(~good & (end > start)))


def _one_by_one(last: Words, before: Words | None, length: Offsets) -> tuple[Floats, Mask]:
    """Numbers of at most 16 characters, each with its own decimals, and whether each is one.

    ``last`` holds the last 8 characters, ``before`` the 8 before them, None where none is longer than 8.
    """
    kept = np.minimum(length, 8)
    last = (last & _KEPT[kept]) | _BLANK[kept]
    dotted, below = _first_dot(last)
    decimals = np.where(dotted, _bytes_above(below), 0)
    if before is None:
        digits = np.where(dotted, _without_dot(last, below, _U(ord("0"))), last) ^ _ZEROS
        good = _only_digits(digits) & (length > dotted)
        return _scaled(_eight_digits(digits), _POWERS[decimals]), good
    kept = np.clip(length - 8, 0, 8)
    before = (before & _KEPT[kept]) | _BLANK[kept]
    earlier, below_earlier = _first_dot(before)
    earlier &= ~dotted
    decimals = np.where(earlier, 8 + _bytes_above(below_earlier), decimals)
    last = np.where(dotted, _without_dot(last, below, before >> _U(56)), last) ^ _ZEROS
    before = np.where(dotted, (before << _U(8)) | _U(ord("0")), before)
    before = np.where(earlier, _without_dot(before, below_earlier, _U(ord("0"))), before) ^ _ZEROS
    good = _only_digits(last) & _only_digits(before) & (length <= 16) & (length > (dotted | earlier))
    whole = _eight_digits(before) * _U(100_000_000) + _eight_digits(last)
    return _scaled(whole, _POWERS[decimals]), good & (whole <= _MAX_EXACT)


def _first_dot(word: Words) -> tuple[Mask, Words]:
    """Whether there is a '.', and a mask of the bytes before the first one."""
    other = word ^ _DOTS
    dots = ~(((other & _LOW7) + _LOW7) | other | _LOW7)
    below = (dots & (~dots + _U(1))) >> _U(7)
    dotted = below != 0
    below -= dotted
    return dotted, below


def _bytes_above(below: Words) -> Offsets:
    """Characters after the dot, from the mask of those before it."""
    after: Offsets = 7 - (np.bitwise_count(below) >> 3).astype(np.int64)
    return after


def _without_dot(word: Words, below: Words, carried: Words | np.uint64) -> Words:
    """The characters before the dot moved up over it, ``carried`` put in front."""
    above = ~((below << _U(8)) | _U(0xFF))
    closed: Words = (word & above) | ((word & below) << _U(8)) | carried
    return closed


def _scaled(whole: Words, power: Floats | np.float64) -> Floats:
    """Whole numbers below 2**63 divided by a power of ten; signed ones are converted several times faster."""
    values: Floats = whole.view(np.int64) / power
    return values


def _only_digits(digits: Words) -> Mask:
    """Whether every byte is 0 to 9."""
    good: Mask = ((digits + _ABOVE_NINE) | digits) & _HIGH1 == 0
    return good


def _close_up(digits: Words, before_dot: np.uint64) -> None:
    """Moves the digits before the dot, a byte of 0 by now, up over it."""
    before = digits & before_dot
    digits ^= before
    before <<= _U(8)
    digits |= before


def _four_digits(digits: NDArray[np.uint32], tens: np.uint32) -> NDArray[np.uint32]:
    """As :func:`_eight_digits`; ``tens`` combines the pairs."""
    digits *= np.uint32(2561)
    digits >>= np.uint32(8)
    digits &= np.uint32(0x00FF00FF)
    digits *= tens
    digits >>= np.uint32(16)
    return digits


def _eight_digits(digits: Words) -> Words:
    """The number of eight digits, one per byte, the lowest most significant; ``digits`` is used up."""
    digits *= _U(2561)
    digits >>= _U(8)
    digits &= _U(0x00FF00FF00FF00FF)
    digits *= _U(6553601)
    digits >>= _U(16)
    digits &= _U(0x0000FFFF0000FFFF)
    digits *= _U(42949672960001)
    digits >>= _U(32)
    return digits

"""Columns of doubles in few bytes, without loss: as whole numbers wherever the values were made of such.

An ECU and a logger know codes of few bits, and what is read of them is a decimal or one of few levels. The
whole numbers behind a column change little from sample to sample, so a step takes a byte, most of them one of
the same few: a compressor makes of that half as much as of the doubles, in a third of the time. A column is
taken for whole numbers only where these give its doubles back, bit for bit; any other stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowmaf.samples import Floats

Whole = NDArray[np.int32]
Mask = NDArray[np.bool_]
Heads = NDArray[np.void]


class _Form(IntEnum):
    """What the whole numbers of a column stand for."""

    DOUBLES = 0
    """There are none: its doubles are stored as they are."""
    QUOTIENTS = 1
    """Decimals: whole / 10**power."""
    PRODUCTS = 2
    """Decimals as whole * 10**-power rounds them: milliseconds that became seconds."""
    LEVELS = 3
    """Ranks in a list of levels: decimals in another unit, and what else has few values."""


_HEAD = np.dtype(
    [("form", "u1"), ("power", "u1"), ("width", "u1"), ("blanks", "u1"), ("first", "<i4"), ("levels", "<u4")]
)
"""Of each column: bytes of a step (0: all are 0), whether NaN are marked, the first whole number."""
_COUNT = np.dtype("<u4")
_WIDTHS = np.array([1, 2, 4], np.uint8)
_LARGEST = np.array([0x7F, 0x7FFF])
_TENS = np.array([1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6])
_TENTHS = np.array([1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
_LOOKED_AT = 16
"""By so many of its values the decimals of a column are guessed."""
_NEARLY = 4e-16
_SLOTS = 1 << 14
"""Levels that are closer than their span over this are not told apart."""
_SAMPLES_PER_LEVEL = 4
"""With fewer the list of levels takes the room that the ranks save."""
_NAN_BITS = np.array([np.nan]).view(np.int64)[0]


def packed_columns(columns: Sequence[Floats] | Floats) -> bytes:
    """At least one column, all (n,), as bytes from which :func:`unpacked_columns` makes the same again."""
    values = np.array(columns)
    heads = np.zeros(len(values), _HEAD)
    with np.errstate(all="ignore"):  # NaN and infinities are no whole numbers, and are not taken for such
        whole, blanks, levels = _as_whole_numbers(values, heads)
    heads["first"] = whole[:, :1].sum(axis=1)  # 0 where there is no sample
    steps = whole[:, 1:] - whole[:, :-1]  # what is beyond 31 bits wraps, and in their sum wraps back
    heads["width"] = _widths(steps)
    parts = (
        np.array(values.shape[1], _COUNT),
        heads,
        *blanks,
        *(listed.astype("<f8") for listed in levels),
        *(steps[heads["width"] == width].astype(f"<i{width}") for width in _WIDTHS.tolist()),
        values[heads["form"] == _Form.DOUBLES].astype("<f8"),
    )
    return b"".join([part.tobytes() for part in parts])


def unpacked_columns(packed: bytes, count: int, n: int) -> Floats:
    """The ``count`` columns (count, n) that :func:`packed_columns` was given.

    Raises:
        ValueError: the bytes are not such columns.
    """
    source = _Source(packed)
    if int(source.take(_COUNT, 1)[0]) != n:
        raise ValueError("they are of another length")
    heads = source.take(_HEAD, count)
    blanks = {row: source.take("u1", (n + 7) // 8) for row in _rows(heads["blanks"])}
    levels = {
        row: source.take("<f8", int(heads["levels"][row])) for row in _rows(heads["form"] == _Form.LEVELS)
    }
    whole = np.zeros((count, n), np.int32)
    whole[:, :1] = heads["first"][:, None]
    for width in _WIDTHS.tolist():
        rows, steps = _rows(heads["width"] == width), max(0, n - 1)
        whole[rows, 1:] = source.take(f"<i{width}", len(rows) * steps).reshape(len(rows), steps)
    np.cumsum(whole, axis=1, dtype=np.int32, out=whole)
    values: Floats = whole / _TENS[heads["power"]][:, None]
    for row in _rows(heads["form"] == _Form.PRODUCTS):
        values[row] = whole[row] * _TENTHS[heads["power"][row]]
    for row, listed in levels.items():
        values[row] = listed[whole[row]]
    for row, marks in blanks.items():
        values[row][np.unpackbits(marks, count=n).view(np.bool_)] = np.nan
    for row in _rows(heads["form"] == _Form.DOUBLES):
        values[row] = source.take("<f8", n)
    source.refuse_rest()
    return values


class _Source:
    """Packed bytes, taken from the front. What is not there raises ValueError."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._at = 0

    def take(self, kind: Any, count: int) -> NDArray[Any]:
        """The next values of one kind."""
        begin, self._at = self._at, self._at + np.dtype(kind).itemsize * count
        if self._at > len(self._packed):
            raise ValueError("they end early")
        return np.frombuffer(self._packed[begin : self._at], kind)

    def refuse_rest(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._packed):
            raise ValueError("more follows")


def _as_whole_numbers(values: Floats, heads: Heads) -> tuple[Whole, list[NDArray[np.uint8]], list[Floats]]:
    """Whole numbers (k, n) of the columns, what marks their NaN, and their levels; fills in the heads."""
    heads["form"] = _Form.QUOTIENTS
    powers = heads["power"] = _powers(values[:, :: max(1, values.shape[1] // _LOOKED_AT)])
    scale = _TENS[powers][:, None]
    again = values * scale
    whole = np.rint(again, out=again).astype(np.int32)
    other = _differing(np.divide(whole, scale, out=again), values)
    if other.size:
        differing = _differing(whole[other] * _TENTHS[powers[other]][:, None], values[other])
        heads["form"][other] = _Form.PRODUCTS
        other = other[differing]
    blanks: list[NDArray[np.uint8]] = []
    levels: list[Floats] = []
    for row in other.tolist():
        head = heads[row]
        blank = values[row].view(np.int64) == _NAN_BITS
        some_blank = bool(blank.any())
        known = _last_known(blank) if some_blank else slice(None)
        column, whole[row] = values[row, known], whole[row, known]
        if some_blank and blank.all():
            column[:] = whole[row] = 0
        form = _decimals(column, whole[row], powers[row]) if some_blank else None
        if form is None:
            form, whole[row], listed = _ranked(column)
            levels.append(listed)
            head["levels"] = listed.size
        head["form"] = form
        if some_blank and form is not _Form.DOUBLES:
            head["blanks"] = True
            blanks.append(np.packbits(blank))
    return whole, blanks, levels


def _powers(some: Floats) -> NDArray[np.uint8]:
    """The power of ten that makes whole numbers of each column, by some of its values; 0 where none does."""
    tens = _TENS[:, None, None]
    off = np.abs(np.rint(some * tens) / tens - some)
    fits = np.isnan(some) | (off <= _NEARLY * np.abs(some))
    powers: NDArray[np.uint8] = fits.all(axis=2).argmax(axis=0).astype(np.uint8)
    return powers


def _differing(again: Floats, values: Floats) -> NDArray[np.intp]:
    """Rows that are not the same, bit for bit."""
    return np.flatnonzero((again.view(np.int64) != values.view(np.int64)).any(axis=1))


def _decimals(column: Floats, whole: Whole, power: int) -> _Form | None:
    """As which decimals whole numbers give a column back."""
    bits = column.view(np.int64)
    if ((whole / _TENS[power]).view(np.int64) == bits).all():
        return _Form.QUOTIENTS
    if ((whole * _TENTHS[power]).view(np.int64) == bits).all():
        return _Form.PRODUCTS
    return None


def _last_known(blank: Mask) -> NDArray[np.intp]:
    """For each sample the last that is not blank, itself included; the first one before that."""
    known = np.where(blank, blank.argmin(), np.arange(blank.size))
    return np.maximum.accumulate(known, out=known)


def _ranked(column: Floats) -> tuple[_Form, Whole | int, Floats]:
    """A column as ranks in the list of its levels, where these are few, and not too close to tell apart."""
    unranked = _Form.DOUBLES, 0, np.empty(0)
    low, high = column.min(), column.max()
    scale = (_SLOTS - 1) / (high - low) if high > low else 0.0
    if not (np.isfinite(high - low) and np.isfinite(scale)):
        return unranked
    slot = np.rint((column - low) * scale).astype(np.intp)
    used = np.zeros(_SLOTS, np.bool_)
    used[slot] = True
    slots = np.flatnonzero(used)
    in_slot = np.empty(_SLOTS)
    in_slot[slot] = column
    if slots.size * _SAMPLES_PER_LEVEL > column.size or _differing(in_slot[slot][None], column[None]).size:
        return unranked
    rank = np.empty(_SLOTS, np.int32)
    rank[slots] = np.arange(slots.size, dtype=np.int32)
    return _Form.LEVELS, rank[slot], in_slot[slots]


def _widths(steps: Whole) -> NDArray[np.uint8]:
    """Bytes that hold any step of each column, 0 where there is none but 0."""
    if not steps.size:
        return np.zeros(len(steps), np.uint8)
    low, high = steps.min(axis=1), steps.max(axis=1)
    needed: NDArray[np.uint8] = _WIDTHS[np.searchsorted(_LARGEST, np.maximum(high, ~low))]
    needed[(low == 0) & (high == 0)] = 0
    return needed


def _rows(chosen: NDArray[Any]) -> list[int]:
    return np.flatnonzero(chosen).tolist()

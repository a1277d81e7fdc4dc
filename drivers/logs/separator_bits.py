"""Where lines and fields end, found on one bit per byte.

A list of all separators costs as much as the numbers of a few columns. So they stay bits, and a walk along
the lines, all of them at once, lists only those beside the fields that are read.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Offsets = NDArray[np.int64]
Mask = NDArray[np.bool_]

_ONE = np.uint64(1)
_WORD_BITS = np.uint64(64)
_LOOKED_AT = 256


def packed(mask: Mask) -> Words:
    """A mask as bits, the first in the lowest bit of the first word; a word of zeros or more follows."""
    bits = np.packbits(mask, bitorder="little")
    words = np.zeros(bits.size // 8 + 2, dtype="<u8")
    words.view(np.uint8)[: bits.size] = bits
    return words


def positions(bits: Words) -> Offsets:
    """Where bits are set, in their order; meant for few of them, such as line ends."""
    some = bits[:_LOOKED_AT]
    most = 64 * some.size / max(1, int(np.bitwise_count(some).sum()))  # a wider word has more than one
    for kind in (np.uint64, np.uint32, np.uint16, np.uint8):
        words: NDArray[Any] = bits.view(kind)
        if 8 * words.itemsize > most:
            continue
        at: Offsets = np.flatnonzero(words != 0)
        found = words.take(at)
        below = found - kind(1)
        if not (found & below).any():
            at *= 8 * words.itemsize
            at += np.bitwise_count(found ^ below)
            at -= 1
            return at
    return np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little"))


def walk(bits: Words, ends: Offsets, every: int, wanted: Collection[int]) -> dict[int, Offsets] | None:
    """Offsets of the wanted separators of each line, by their number in the line from 1 on.

    ``bits`` are set at separators and line ends, ``ends`` (n+1,) are the line ends with the one before the
    first line. None where a line has not just ``every`` bits, its end included, or a field of 64 bytes.
    """
    places: dict[int, Offsets] = {}
    place = ends[:-1]
    left = 0
    for number in range(1, every + 1):
        if not left:
            before = place
            window = _window(bits, before)
            left = int(np.bitwise_count(window).min(initial=_WORD_BITS))
            if not left:
                return None
        below = window - _ONE
        left -= 1
        if not left or number == every or number in wanted:
            place = before + np.bitwise_count(window ^ below)
            places[number] = place
        window &= below
    return places if np.array_equal(place, ends[1:]) else None


def _window(bits: Words, before: Offsets) -> Words:
    """The 64 bits that follow each offset."""
    first = before + 1
    index = first >> 6
    first &= 63
    shift = first.view(np.uint64)
    window: Words = bits.take(index)
    window >>= shift
    index += 1
    beyond = bits.take(index)
    # By as much as a word has bits NumPy shifts to 0.
    beyond <<= _WORD_BITS - shift
    window |= beyond
    return window

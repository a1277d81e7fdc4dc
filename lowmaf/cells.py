"""Sums per cell: what is kept of samples. Additive, so drives merge and parts can be left out.

All sums of one 30 s block of driving stand in one vector of 64-bit integers, in steps of
:data:`lowmaf.windows.QUANTUM`. Integers add exactly, so sums are the same in any order, any
chunking and any merging; removing a drive removes it without a trace.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lowmaf.loop_gain import PRODUCTS, products
from lowmaf.observations import Observations
from lowmaf.samples import Floats
from lowmaf.windows import QUANTUM, Indices, Integers, quantised

TIE_V = 1e-9
"""Samples this near to the middle between two cells are on it: volts are decimal, floats are not."""
BLOCK_S = 30.0
"""Length of a block: short against the drift of trims, long against their settling."""

ROWS = (
    "hits",  # samples nearest to the cell (counted in ones, not in steps)
    "nearest_trim",  # their total trims, short + long, %
    "hat",  # weight x hat
    "hat2",  # weight x hat x hat
    "hat_next",  # weight x hat x hat of the next cell
    "hat_transient",
    "hat_trim",  # weight x hat x trim part of the correction asked for
    "hat_error",  # weight x hat x loop-error part
    "plain_hat2",  # the same without weights, for the held-out check: time x hat x hat
    "plain_hat_next",
    "plain_hat_trim",  # time x hat x raw total trim
    "plain_nearest",  # time nearest to the cell
    "plain_nearest_trim",
    "rpm_time",  # time nearest to the cell with a known engine speed
    "rpm",  # time x engine speed, 1000/min
    "rpm2",
)
SCALARS = (
    "weight",
    "transient",
    "transient2",
    "transient_trim",
    "transient_error",
    "trim",
    "error",
    "trim2",
    "trim_error",
    "error2",
    "time",
    "time_trim2",
    "lambda_time",
    "iat_time",  # time with a known intake air temperature
    "iat",  # time x temperature, °C
)
"""Then :data:`lowmaf.loop_gain.PRODUCTS` sums of what shows how fast the fuel loop is."""
_IN_ONES = frozenset({"hits"})
_MAGIC = b"LMB2"
_HEADER = struct.Struct("<4sHHI")  # magic, cells, length of the vector, CRC-32 of what follows


class CellSumsError(ValueError):
    """Stored sums that cannot be read: another version, another table size, or damaged."""


@dataclass(frozen=True, slots=True, order=True)
class BlockKey:
    """A block of a drive: ``block`` counts :data:`BLOCK_S` spans of the drive's own time."""

    drive: int
    block: int


class CellSums:
    """Sums of a table of ``cells`` cells, by block. ``+`` merges; blocks of the same key add up.

    ``blocks`` maps keys to vectors of shape (size,) that are replaced, never changed; ``collapsed``
    maps drives to the sum of those of their blocks that are kept no finer.
    """

    __slots__ = ("_total", "blocks", "cells", "collapsed")

    def __init__(self, cells: int, blocks: Mapping[BlockKey, Integers] | None = None) -> None:
        self.cells = cells
        self.blocks: dict[BlockKey, Integers] = {}
        self.collapsed: dict[int, Integers] = {}
        self._total: Integers = np.zeros(self.size, dtype=np.int64)
        for key, sums in (blocks or {}).items():
            self.add(key, sums)

    @property
    def size(self) -> int:
        """Length of a block's vector."""
        return _size(self.cells)

    def add(self, key: BlockKey, sums: Integers) -> None:
        """Adds to a block's sums; ``sums`` has shape (size,)."""
        if sums.shape != (self.size,):
            raise ValueError(f"sums of shape {sums.shape} do not fit {self.cells} cells")
        present = self.blocks.get(key)
        self.blocks[key] = sums.copy() if present is None else present + sums
        self._total = self._total + sums

    def __add__(self, other: CellSums) -> CellSums:
        if other.cells != self.cells:
            raise ValueError(f"{self.cells} cells and {other.cells} cells do not merge")
        merged = self.copy()
        for key, sums in other.blocks.items():
            merged.add(key, sums)
        for drive, sums in other.collapsed.items():
            merged._add_collapsed(drive, sums)
        return merged

    def copy(self) -> CellSums:
        """The same sums, which further additions to this one do not change."""
        copy = CellSums(self.cells)
        copy.blocks = dict(self.blocks)
        copy.collapsed = dict(self.collapsed)
        copy._total = self._total
        return copy

    def without(self, drives: Iterable[int]) -> CellSums:
        """The same without some drives, exactly as if they had never been."""
        left_out = frozenset(drives)
        return self._where(lambda drive: drive not in left_out)

    def of_drive(self, drive: int) -> CellSums:
        """What one drive has added."""
        return self._where(lambda other: other == drive)

    def _where(self, chosen: Callable[[int], bool]) -> CellSums:
        part = CellSums(self.cells, {key: sums for key, sums in self.blocks.items() if chosen(key.drive)})
        for drive, sums in self.collapsed.items():
            if chosen(drive):
                part._add_collapsed(drive, sums)
        return part

    def _add_collapsed(self, drive: int, sums: Integers) -> None:
        present = self.collapsed.get(drive)
        self.collapsed[drive] = sums if present is None else present + sums
        self._total = self._total + sums

    def collapse(self, keys: Iterable[BlockKey]) -> CellSums:
        """Keeps no more than the sum of these blocks per drive; hands over the blocks."""
        given_up = CellSums(self.cells, {key: self.blocks.pop(key) for key in keys})
        for key, sums in given_up.blocks.items():
            present = self.collapsed.get(key.drive)
            self.collapsed[key.drive] = sums if present is None else present + sums
        return given_up

    def newest(self, seconds: float, drives: float) -> CellSums:
        """The newest ``seconds`` of driving in blocks, of at most the newest ``drives`` drives."""
        numbers = sorted({key.drive for key in self.blocks}, reverse=True)
        oldest_drive = numbers[int(min(drives, len(numbers))) - 1] if numbers else 0
        keys = sorted((key for key in self.blocks if key.drive >= oldest_drive), reverse=True)
        blocks = int(min(seconds / BLOCK_S, len(keys)))
        return CellSums(self.cells, {key: self.blocks[key] for key in keys[:blocks]})

    def total(self) -> BlockView:
        """All blocks added up, as one block."""
        return BlockView(self.cells, self._total[np.newaxis, :], (BlockKey(0, 0),))

    def stack(self, keys: Iterable[BlockKey] | None = None) -> BlockView:
        """These blocks (by default all), by drive, then by time: their canonical order."""
        chosen = tuple(sorted(self.blocks if keys is None else keys))
        if not chosen:
            return BlockView(self.cells, np.zeros((0, self.size), dtype=np.int64), ())
        return BlockView(self.cells, np.stack([self.blocks[key] for key in chosen]), chosen)


@dataclass(frozen=True, slots=True)
class BlockView:
    """Read access to ``sums`` (b, size) by the names of :data:`ROWS` and :data:`SCALARS`."""

    cells: int
    sums: Integers
    keys: tuple[BlockKey, ...]

    def row(self, name: str) -> Floats:
        """A quantity per block and cell, shape (b, k), in its own unit."""
        start = ROWS.index(name) * self.cells
        values = self.sums[:, start : start + self.cells].astype(np.float64)
        return values if name in _IN_ONES else values * QUANTUM

    def scalar(self, name: str) -> Floats:
        """A quantity per block, shape (b,), in its own unit."""
        column = len(ROWS) * self.cells + SCALARS.index(name)
        return self.sums[:, column].astype(np.float64) * QUANTUM

    def loop_products(self) -> Floats:
        """What shows how fast the loop is, per block, shape (b, PRODUCTS)."""
        return self.sums[:, -PRODUCTS:].astype(np.float64) * QUANTUM


@dataclass(frozen=True, slots=True)
class Hats:
    """Where samples lie between breakpoints: cell ``left`` and how far towards the next, 0..1.

    ``distance_to_middle_v`` is how far above the middle between the two cells, V.
    """

    left: Indices
    fraction: Floats
    distance_to_middle_v: Floats

    @property
    def nearest(self) -> Indices:
        """The nearest cell; halfway, within 1e-9 V, the upper."""
        return self.left + (self.distance_to_middle_v >= -TIE_V)

    def at(self, values: Floats) -> Floats:
        """``values`` per cell (k,), linear between cells, at the samples."""
        low = values[self.left]
        return low + self.fraction * (values[self.left + 1] - low)


@dataclass(frozen=True, slots=True)
class PlainColumns:
    """What samples measured, shape (n,) each: short + long trim, %; NaN where not known: engine speed,
    1/min, and intake air temperature, °C."""

    trim_pct: Floats
    rpm: Floats
    iat_c: Floats


def hats(axis_v: Floats, maf_v: Floats) -> Hats:
    """Positions on the axis (k,); volts outside it lie at its ends."""
    inner = np.clip(np.searchsorted(axis_v, maf_v, side="right") - 1, 0, axis_v.size - 2)
    width = axis_v[inner + 1] - axis_v[inner]
    above = maf_v - axis_v[inner]
    return Hats(inner, np.clip(above / width, 0.0, 1.0), above - 0.5 * width)


def block_sums(
    cells: int, t_s: Floats, place: Hats, seen: Observations | None, plain: PlainColumns
) -> Iterator[tuple[int, Integers]]:
    """Sums of accepted samples, one vector per block of time.

    Without observations (the ``nearest`` estimator) only hits and their trims are filled.
    """
    if t_s.size == 0:
        return
    number = np.floor(t_s / BLOCK_S).astype(np.int64)
    starts = np.flatnonzero(np.concatenate(([True], number[1:] != number[:-1])))
    block = np.repeat(np.arange(starts.size), np.diff(np.append(starts, number.size)))
    rows, scalars = _contributions(place, seen, plain)
    sums = np.zeros((starts.size, _size(cells)), dtype=np.int64)
    base = block * cells
    for name, parts in rows.items():
        summed = np.zeros(starts.size * cells)
        for cell, values in parts:
            summed += np.bincount(base + cell, weights=values, minlength=summed.size)
        start = ROWS.index(name) * cells
        sums[:, start : start + cells] = summed.reshape(starts.size, cells).astype(np.int64)
    for name, values in scalars.items():
        column = len(ROWS) * cells + SCALARS.index(name)
        sums[:, column] = np.bincount(block, weights=values, minlength=starts.size).astype(np.int64)
    if seen is not None:
        _add_loop_products(sums, starts, seen)
    for index, start in enumerate(starts.tolist()):
        yield int(number[start]), sums[index]


def _size(cells: int) -> int:
    return len(ROWS) * cells + len(SCALARS) + PRODUCTS


def _add_loop_products(sums: Integers, starts: Indices, seen: Observations) -> None:
    # Where lambda was measured, the loop's gain plays no part.
    weight = np.where(seen.lambda_used, 0.0, seen.weight_s)
    stops = np.append(starts[1:], weight.size)
    for block, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        of = slice(start, stop)
        sums[block, -PRODUCTS:] = products(
            weight[of], seen.excitation[:, of], seen.position[of], seen.trim_pct[of], seen.error_pct[of]
        )


_Parts = list[tuple[Indices, Floats]]


def _contributions(
    place: Hats, seen: Observations | None, plain: PlainColumns
) -> tuple[Mapping[str, _Parts], Mapping[str, Floats]]:
    """What each sample adds to each row and scalar, in whole steps."""
    left, right, nearest = place.left, place.left + 1, place.nearest
    raw_trim_pct = plain.trim_pct
    rows: dict[str, _Parts] = {
        "hits": [(nearest, np.ones(nearest.size))],
        "nearest_trim": [(nearest, quantised(raw_trim_pct))],
    }
    if seen is None:
        return rows, {}
    high = place.fraction
    low = 1.0 - high
    weight, time = seen.weight_s, seen.interval_s
    trim, error, transient = seen.trim_pct, seen.error_pct, seen.transient
    krpm = np.nan_to_num(plain.rpm) / 1000.0

    def on_hats(values: Floats) -> _Parts:
        return [(left, quantised(values * low)), (right, quantised(values * high))]

    rows |= {
        "hat": on_hats(weight),
        "hat2": [(left, quantised(weight * low * low)), (right, quantised(weight * high * high))],
        "hat_next": [(left, quantised(weight * low * high))],
        "hat_transient": on_hats(weight * transient),
        "hat_trim": on_hats(weight * trim),
        "hat_error": on_hats(weight * error),
        "plain_hat2": [(left, quantised(time * low * low)), (right, quantised(time * high * high))],
        "plain_hat_next": [(left, quantised(time * low * high))],
        "plain_hat_trim": on_hats(time * raw_trim_pct),
        "plain_nearest": [(nearest, quantised(time))],
        "plain_nearest_trim": [(nearest, quantised(time * raw_trim_pct))],
        "rpm_time": [(nearest, quantised(np.where(np.isnan(plain.rpm), 0.0, time)))],
        "rpm": [(nearest, quantised(time * krpm))],
        "rpm2": [(nearest, quantised(time * krpm * krpm))],
    }
    scalars = {
        "weight": weight,
        "transient": weight * transient,
        "transient2": weight * transient * transient,
        "transient_trim": weight * transient * trim,
        "transient_error": weight * transient * error,
        "trim": weight * trim,
        "error": weight * error,
        "trim2": weight * trim * trim,
        "trim_error": weight * trim * error,
        "error2": weight * error * error,
        "time": time,
        "time_trim2": time * raw_trim_pct * raw_trim_pct,
        "lambda_time": np.where(seen.lambda_used, time, 0.0),
        "iat_time": np.where(np.isnan(plain.iat_c), 0.0, time),
        "iat": time * np.nan_to_num(plain.iat_c),
    }
    return rows, {name: quantised(values) for name, values in scalars.items()}


def block_to_bytes(cells: int, sums: Integers) -> bytes:
    """One block's sums for storage: a versioned header with a checksum, then the integers."""
    body = np.ascontiguousarray(sums, dtype="<i8").tobytes()
    return _HEADER.pack(_MAGIC, cells, sums.size, zlib.crc32(body)) + body


def block_from_bytes(cells: int, data: bytes) -> Integers:
    """The sums that :func:`block_to_bytes` stored, bit for bit.

    Raises:
        CellSumsError: not such bytes, another version, another number of cells, damaged.
    """
    if len(data) < _HEADER.size:
        raise CellSumsError(f"stored block has {len(data)} bytes, its header alone has {_HEADER.size}")
    magic, stored_cells, size, checksum = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if magic != _MAGIC:
        raise CellSumsError(f"stored block begins with {magic!r}, this version reads {_MAGIC!r}")
    if stored_cells != cells or size != _size(cells):
        raise CellSumsError(f"stored block is for {stored_cells} cells, the MAF table has {cells}")
    if len(body) != 8 * size or zlib.crc32(body) != checksum:
        raise CellSumsError("stored block is damaged: its checksum does not fit")
    return np.frombuffer(body, dtype="<i8").astype(np.int64)

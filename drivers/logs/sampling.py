"""From rows of a log to samples: times in order, channels in our units, the state of the fuel loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np

from drivers.logs.columns import Column
from drivers.logs.fuel_loop import LoopCoding, LoopInference, code_of_text, decoded_loop
from drivers.logs.layout import LogLayout
from drivers.logs.number_parser import Mask
from drivers.logs.rows import NAMED_ROWS, Cells, ReadWord
from drivers.logs.time_column import StampGroup, TimeLine, spread, steps_from
from lowmaf.samples import Floats, SampleBatch

RICH_RAIL_AFR = 10.2
LEAN_RAIL_AFR = 20.0
"""An aftermarket wide-band shows one of its ends while it warms up or has no signal (10.17 and 22.4 are
met): what lies there was not measured."""
STOICHIOMETRIC_AFR = 14.7
GAP_S = 2.0
"""A longer step in time is a hole: no rule looks across it."""
NO_TIME = "time missing or unreadable"

_NEEDED_FOR_LOOP: Mapping[LoopCoding, frozenset[str]] = {
    LoopCoding.SUBARU: frozenset({"fuel_loop"}),
    LoopCoding.OBD: frozenset({"fuel_loop"}),
    LoopCoding.SWITCH: frozenset({"fuel_loop", "lambda_target"}),
    LoopCoding.NONE: frozenset({"fuel_loop", "stft_pct", "lambda_target", "throttle_pct"}),
}
"""Channels that say, or let conclude, the state of the fuel loop, by how it is coded."""


class SampledRows(Protocol):
    """Rows of a log, or records that were pushed: :class:`drivers.logs.rows.Rows` says what is what."""

    @property
    def unusable(self) -> Counter[str]: ...
    def __len__(self) -> int: ...
    def column(self, index: int, read_word: ReadWord = ..., /) -> Cells: ...
    def stamps(self, index: int, seconds_per_unit: float, /) -> tuple[Floats, Floats | None]: ...


class Sampler:
    """Turns the rows of one log into batches, in any chunking with the same result.

    ``rows``, ``unusable`` and ``lost`` (fields that are neither empty nor understood, by header) count
    what was met; ``gaps``, ``duration_s`` and ``driven_s`` (without the gaps) describe the time.
    Columns that are neither ``wanted`` (None: all are) nor needed for any correction are not read.
    """

    def __init__(self, layout: LogLayout, wanted: Collection[str] | None = None) -> None:
        self.rows = 0
        self.samples = 0
        self.unusable: Counter[str] = Counter()
        self.untimed: list[int] = []
        """The first rows without a time, of those that were taken last."""
        self.lost: Counter[str] = Counter()
        self.unknown_codes = 0
        self.gaps = 0
        self.duration_s = 0.0
        self._not_driven_s = 0.0
        self._first_s = 0.0
        needed = set(layout.channels if wanted is None else wanted) | _NEEDED_FOR_LOOP[layout.coding]
        needed |= {"stft_pct", "ltft_pct", "maf_v" if "maf_v" in layout.columns else "maf_gs"}
        self._channels = tuple(name for name in layout.channels if name in needed)
        self._inferring = layout.coding is LoopCoding.NONE
        self._time_line = TimeLine()
        self._inference = LoopInference()
        self._held: tuple[Floats, dict[str, Floats]] | None = None
        self._group: StampGroup | None = None
        self._last_s: float | None = None

    @property
    def driven_s(self) -> float:
        """Time from the first sample to the last, without the holes, s."""
        return 0.0 if self._last_s is None else self._last_s - self._first_s - self._not_driven_s

    @property
    def stitches(self) -> int:
        """How often time went back: drives stitched into one file."""
        return self._time_line.stitches

    def columns(self, layout: LogLayout) -> set[int]:
        """Indices of the columns that are read."""
        read = {layout.columns[name].index for name in self._channels if name in layout.columns}
        return read | {layout.time.index}

    def take(self, rows: SampledRows, layout: LogLayout) -> SampleBatch | None:
        """The samples of these rows; the last stamp's wait for the next one. None where none is ready."""
        self.rows += len(rows) + sum(rows.unusable.values())
        self.unusable.update(rows.unusable)
        stamps, periods = rows.stamps(layout.time.index, layout.time.unit.factor)
        timed: Mask | None = np.isfinite(stamps)
        assert timed is not None
        self.untimed = []
        if timed.all():
            timed = None
        else:
            self.untimed = np.flatnonzero(~timed)[:NAMED_ROWS].tolist()
            self.unusable[NO_TIME] += int(stamps.size - np.count_nonzero(timed))
            stamps, periods = stamps[timed], None if periods is None else periods[timed]
        if not stamps.size:
            return None
        t_s = self._time_line.place(stamps, periods)
        channels = self._measured(rows, layout, timed, stamps.size)
        if self._held is not None:
            held_s, held = self._held
            t_s = np.concatenate((held_s, t_s))
            channels = {name: np.concatenate((held[name], channels[name])) for name in self._channels}
        ready = _first_of_last_stamp(t_s)
        self._held = t_s[ready:], {name: channels[name][ready:] for name in self._channels}
        if not ready:
            return None
        complete = {name: channels[name][:ready] for name in self._channels}
        return self._placed(t_s[:ready], complete, float(t_s[-1]))

    def finish(self) -> SampleBatch | None:
        """The samples that wait: nothing follows."""
        held, self._held = self._held, None
        return None if held is None else self._placed(*held, None)

    def _placed(self, stamp_s: Floats, channels: dict[str, Floats], next_s: float | None) -> SampleBatch:
        t_s, self._group = spread(stamp_s, next_s, self._group)
        if self._inferring:
            target, throttle = channels.get("lambda_target"), channels.get("throttle_pct")
            channels["fuel_loop"] = self._inference.infer(t_s, channels["stft_pct"], target, throttle)
        self._count(t_s)
        return SampleBatch(t_s, channels)

    def _count(self, t_s: Floats) -> None:
        if self._last_s is None:
            self._first_s = float(t_s[0])
        steps = steps_from(self._first_s if self._last_s is None else self._last_s, t_s)
        if steps.max() > GAP_S or steps.min() < 0.0:
            holes = steps > GAP_S
            self.gaps += int(np.count_nonzero(holes))
            for step in steps[holes | (steps < 0.0)].tolist():
                self._not_driven_s += step
        self.samples += int(t_s.size)
        self._last_s = float(t_s[-1])
        self.duration_s = max(self.duration_s, self._last_s)

    def _measured(
        self, rows: SampledRows, layout: LogLayout, timed: Mask | None, count: int
    ) -> dict[str, Floats]:
        """Channels in our units, for the rows that have a time, None: all; NaN for a column that is gone."""
        channels: dict[str, Floats] = {}
        for name in self._channels:
            column = layout.columns.get(name)
            if column is None:
                channels[name] = np.full(count, 0.0 if name in layout.zero else np.nan)
            elif name != "fuel_loop":
                cells = rows.column(column.index)
                self.lost[column.header.text] += cells.lost
                channels[name] = _believed(column, cells.values if timed is None else cells.values[timed])
        flag = layout.columns.get("fuel_loop")
        if flag is not None and not self._inferring:
            channels["fuel_loop"] = self._loop(rows, layout, flag, timed, channels.get("lambda_target"))
        return channels

    def _loop(
        self, rows: SampledRows, layout: LogLayout, flag: Column, timed: Mask | None, target: Floats | None
    ) -> Floats:
        cells = rows.column(flag.index, code_of_text)
        self.lost[flag.header.text] += cells.lost
        logged, from_word = cells.values, cells.from_word
        if timed is not None:
            logged, from_word = logged[timed], None if from_word is None else from_word[timed]
        loop = decoded_loop(layout.coding, logged, from_word, target)
        unknown = np.isnan(loop)
        if layout.coding is not LoopCoding.SWITCH and unknown.any():
            self.unknown_codes += int(np.count_nonzero(np.isfinite(logged) & unknown))
        return loop


def _first_of_last_stamp(t_s: Floats) -> int:
    """Index of the first row of those that share the last stamp."""
    if t_s.size > 1 and t_s[-2] != t_s[-1]:
        return int(t_s.size) - 1
    others = np.flatnonzero(t_s != t_s[-1])
    return int(others[-1]) + 1 if others.size else 0


def _believed(column: Column, logged: Floats) -> Floats:
    """Values in our unit; NaN where a wide-band shows an end of its range."""
    values = column.convert(logged)
    if column.role == "lambda_" and column.note == "wideband":
        railed = (values <= RICH_RAIL_AFR / STOICHIOMETRIC_AFR) | (
            values >= LEAN_RAIL_AFR / STOICHIOMETRIC_AFR
        )
        values = np.where(railed, np.nan, values)
    return values

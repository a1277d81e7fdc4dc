"""From rows of a log to samples: times in order, channels in our units, the state of the fuel loop."""

from __future__ import annotations

from collections import Counter

import numpy as np

from drivers.logs.columns import Column
from drivers.logs.fuel_loop import LoopCoding, LoopInference, code_of_text, decoded_loop
from drivers.logs.layout import LogLayout
from drivers.logs.number_parser import Mask
from drivers.logs.rows import Rows
from drivers.logs.time_column import StampGroup, TimeLine, spread
from lowmaf.samples import Floats, SampleBatch

RICH_RAIL_AFR = 10.2
LEAN_RAIL_AFR = 20.0
"""An aftermarket wide-band shows one of its ends while it warms up or has no signal (10.17 and 22.4 are
met): what lies there was not measured."""
STOICHIOMETRIC_AFR = 14.7
GAP_S = 2.0
"""A longer step in time is a hole: no rule looks across it."""
NO_TIME = "time missing or unreadable"


class Sampler:
    """Turns the rows of one log into batches, in any chunking with the same result.

    ``rows``, ``unusable`` and ``lost`` (fields that are neither empty nor understood, by header) count
    what was met; ``gaps``, ``duration_s`` and ``driven_s`` (without the gaps) describe the time.
    """

    def __init__(self, layout: LogLayout) -> None:
        self.rows = 0
        self.samples = 0
        self.unusable: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.unknown_codes = 0
        self.gaps = 0
        self.driven_s = 0.0
        self.duration_s = 0.0
        self._channels = layout.channels
        self._inferring = layout.coding is LoopCoding.NONE
        self._time_line = TimeLine()
        self._inference = LoopInference()
        self._held: SampleBatch | None = None
        self._group: StampGroup | None = None
        self._last_s: float | None = None

    @property
    def stitches(self) -> int:
        """How often time went back: drives stitched into one file."""
        return self._time_line.stitches

    def take(self, rows: Rows, layout: LogLayout) -> SampleBatch | None:
        """The samples of these rows; the last stamp's wait for the next one. None where none is ready."""
        self.rows += len(rows) + sum(rows.unusable.values())
        self.unusable.update(rows.unusable)
        stamps, periods = rows.stamps(layout.time.index, layout.time.unit.factor)
        timed = np.isfinite(stamps)
        self.unusable[NO_TIME] += int(stamps.size - np.count_nonzero(timed))
        if not timed.any():
            return None
        t_s = self._time_line.place(stamps[timed], periods[timed])
        channels = self._measured(rows, layout, timed)
        batch = SampleBatch(t_s, {name: channels[name] for name in self._channels})
        if self._held is not None:
            batch = SampleBatch.concatenate((self._held, batch))
        first_of_last = (
            int(np.flatnonzero(batch.t_s != batch.t_s[-1])[-1]) + 1
            if (batch.t_s != batch.t_s[-1]).any()
            else 0
        )
        self._held = batch.slice(first_of_last, len(batch))
        return self._placed(batch.slice(0, first_of_last), float(batch.t_s[-1])) if first_of_last else None

    def finish(self) -> SampleBatch | None:
        """The samples that wait: nothing follows."""
        held, self._held = self._held, None
        return None if held is None else self._placed(held, None)

    def _placed(self, batch: SampleBatch, next_t_s: float | None) -> SampleBatch:
        t_s, self._group = spread(batch.t_s, next_t_s, self._group)
        channels = dict(batch.channels)
        if self._inferring:
            target, throttle = channels.get("lambda_target"), channels.get("throttle_pct")
            channels["fuel_loop"] = self._inference.infer(t_s, channels["stft_pct"], target, throttle)
        self._count(t_s)
        return SampleBatch(t_s, channels)

    def _count(self, t_s: Floats) -> None:
        before = t_s[0] if self._last_s is None else self._last_s
        steps = np.diff(t_s, prepend=before)
        holes = steps > GAP_S
        self.gaps += int(np.count_nonzero(holes))
        self.samples += int(t_s.size)
        driven = steps[~holes & (steps > 0.0)]
        self.driven_s = float(np.cumsum(np.concatenate(([self.driven_s], driven)))[-1])
        self._last_s = float(t_s[-1])
        self.duration_s = max(self.duration_s, self._last_s)

    def _measured(self, rows: Rows, layout: LogLayout, timed: Mask) -> dict[str, Floats]:
        """Channels in our units, for the rows that have a time; NaN for a column that is gone."""
        count = int(np.count_nonzero(timed))
        channels = {name: np.full(count, np.nan) for name in self._channels}
        for role, column in layout.columns.items():
            if role in channels and role != "fuel_loop":
                cells = rows.column(column.index)
                self.lost[column.header.text] += cells.lost
                channels[role] = _believed(column, cells.values[timed])
        flag = layout.columns.get("fuel_loop")
        if flag is not None and not self._inferring:
            channels["fuel_loop"] = self._loop(rows, layout, flag, timed, channels.get("lambda_target"))
        return channels

    def _loop(
        self, rows: Rows, layout: LogLayout, flag: Column, timed: Mask, target: Floats | None
    ) -> Floats:
        cells = rows.column(flag.index, code_of_text)
        self.lost[flag.header.text] += cells.lost
        logged = cells.values[timed]
        loop = decoded_loop(layout.coding, logged, cells.from_word[timed], target)
        if layout.coding is not LoopCoding.SWITCH:
            self.unknown_codes += int(np.count_nonzero(np.isfinite(logged) & np.isnan(loop)))
        return loop


def _believed(column: Column, logged: Floats) -> Floats:
    """Values in our unit; NaN where a wide-band shows an end of its range."""
    values = column.convert(logged)
    if column.role == "lambda_" and column.note == "wideband":
        railed = (values <= RICH_RAIL_AFR / STOICHIOMETRIC_AFR) | (
            values >= LEAN_RAIL_AFR / STOICHIOMETRIC_AFR
        )
        values = np.where(railed, np.nan, values)
    return values

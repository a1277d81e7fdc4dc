"""Samples of one drive on their way to a verdict: those that wait, and the past that others need."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from lowmaf.filters import Filters, Mask, Verdicts, judge_alone
from lowmaf.loop_inversion import MEMORY
from lowmaf.samples import Floats, FuelLoop, SampleBatch
from lowmaf.verdicts import Verdict

HOLE_S = 2.0
"""Samples further apart than this begin a new closed-loop run: what happened between is unknown."""
PAST_S = 3.5
"""How far back a sample's weight looks, s (activity: 1.5 + 0.5, flow change: 2, slope: 0.5)."""

_KEPT = ("maf_v", "maf_gs", "stft_pct", "ltft_pct", "lambda_", "lambda_target", "rpm", "iat_c")
USED_CHANNELS = frozenset((*_KEPT, "fuel_loop"))
"""Channels that are looked at whatever the filters; a reader may leave out the others."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples as columns of shape (n,), with the verdicts of the rules that need no look-ahead.

    ``break_s`` is the time of the last open-loop sample or hole in time at or before each sample.
    """

    t_s: Floats
    columns: dict[str, Floats]
    break_s: Floats
    verdicts: Verdicts

    def __len__(self) -> int:
        return int(self.t_s.size)

    def slice(self, start: int) -> Rows:
        """Rows from ``start`` on."""
        return Rows(
            self.t_s[start:],
            {name: column[start:] for name, column in self.columns.items()},
            self.break_s[start:],
            self.verdicts[start:],
        )

    @staticmethod
    def concatenate(parts: list[Rows]) -> Rows:
        """All rows in their order."""
        return Rows(
            np.concatenate([part.t_s for part in parts]),
            {name: np.concatenate([part.columns[name] for part in parts]) for name in _KEPT},
            np.concatenate([part.break_s for part in parts]),
            np.concatenate([part.verdicts for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Ready:
    """Rows ``first`` to ``stop`` can be judged now; the others are their past and future."""

    rows: Rows
    first: int
    stop: int


class SampleStream:
    """Takes batches in any chunking and hands back, in order, those whose look-ahead is complete."""

    def __init__(self, filters: Filters, axis_v: tuple[float, float] | None, lambda_settle_s: float) -> None:
        """``lambda_settle_s`` replaces the settling time, if shorter, where lambda is measured."""
        self._filters = filters
        self._axis_v = axis_v
        self._lambda_settle_s = min(lambda_settle_s, filters.settle_s)
        self._fresh: list[SampleBatch] = []
        self._judged: list[Rows] = []
        self._past = 0
        self._newest_s = -math.inf
        self._oldest_waiting_s = math.inf
        self._break_s = -math.inf
        self.pending = 0

    @property
    def waiting_s(self) -> float:
        """Time from the oldest waiting sample to the newest, s; 0 where none waits."""
        return self._newest_s - self._oldest_waiting_s if self.pending else 0.0

    @property
    def last_verdict(self) -> Verdict | None:
        """Provisional verdict of the newest waiting sample, None where none waits."""
        if not self.pending:
            return None
        self._judge_fresh()
        return Verdict(int(self._judged[-1].verdicts[-1]))

    def push(self, batch: SampleBatch) -> int:
        """Adds samples; returns how many were refused at once because their time does not rise."""
        rising = self._rising(batch.t_s)
        refused = len(batch) - int(np.count_nonzero(rising))
        if refused:
            batch = batch.at(rising)
        if len(batch):
            if not self.pending:
                self._oldest_waiting_s = float(batch.t_s[0])
            self._fresh.append(batch)
            self._newest_s = float(batch.t_s[-1])
            self.pending += len(batch)
        return refused

    def take(self, lookahead_s: float, *, finished: bool) -> Ready | None:
        """Rows whose look-ahead is complete (all, when the drive has finished); None if there are none."""
        if not self.pending:
            return None
        rows = self._rows()
        stop = len(rows)
        if not finished:
            stop = int(np.searchsorted(rows.t_s, self._newest_s - lookahead_s, side="right"))
        if stop <= self._past:
            return None
        ready = Ready(rows, self._past, stop)
        self._forget(ready)
        return ready

    def _rising(self, t_s: Floats) -> Mask:
        """Where time is finite and later than all before."""
        times = np.where(np.isfinite(t_s), t_s, -np.inf)
        newest = np.maximum.accumulate(np.concatenate(([self._newest_s], times)))
        later: Mask = times > newest[:-1]
        return later

    def _rows(self) -> Rows:
        """Past and waiting samples, judged by the rules that need no look-ahead."""
        self._judge_fresh()
        if len(self._judged) > 1:
            self._judged = [Rows.concatenate(self._judged)]
        return self._judged[0]

    def _judge_fresh(self) -> None:
        """Judges what came since the last call."""
        for _, batches in itertools.groupby(self._fresh, lambda batch: batch.delivered):
            self._judged.append(self._judged_alone(SampleBatch.concatenate(batches)))
        self._fresh = []

    def _forget(self, ready: Ready) -> None:
        """Drops what is older than any look-back of the rows that still wait."""
        rows, stop = ready.rows, ready.stop
        neighbours = np.cumsum(is_neighbour(rows.verdicts[:stop]))
        by_count = int(np.searchsorted(neighbours, max(int(neighbours[-1]) - MEMORY, 0), side="left"))
        by_time = int(np.searchsorted(rows.t_s, rows.t_s[stop - 1] - PAST_S, side="left"))
        keep_from = min(by_count, by_time)
        self.pending = len(rows) - stop
        self._past = stop - keep_from
        self._oldest_waiting_s = float(rows.t_s[stop]) if self.pending else math.inf
        self._judged = [rows.slice(keep_from)]

    def _judged_alone(self, batch: SampleBatch) -> Rows:
        columns = {name: batch[name] for name in _KEPT}
        verdicts = judge_alone(batch, self._filters, self._axis_v)
        break_s = self._breaks(batch.t_s, batch["fuel_loop"])
        has_lambda = np.isfinite(columns["lambda_"]) & np.isfinite(columns["lambda_target"])
        settle_s = np.where(has_lambda, self._lambda_settle_s, self._filters.settle_s)
        verdicts[(batch.t_s - break_s < settle_s) & (verdicts == 0)] = int(Verdict.JUST_CLOSED)
        return Rows(batch.t_s, columns, break_s, verdicts)

    def _breaks(self, t_s: Floats, loop: Floats) -> Floats:
        """Time of the last open-loop sample or hole at or before each sample, s."""
        open_loop = np.isfinite(loop) & (loop != float(FuelLoop.CLOSED))
        open_loop &= loop != float(FuelLoop.CLOSED_FAULT)
        before = float(self._judged[-1].t_s[-1]) if self._judged else -math.inf
        hole = np.diff(t_s, prepend=before) > HOLE_S
        breaks = np.where(open_loop | hole, t_s, -np.inf)
        breaks[0] = max(float(breaks[0]), self._break_s)
        breaks = np.maximum.accumulate(breaks)
        self._break_s = float(breaks[-1])
        return breaks


def is_neighbour(verdicts: Verdicts) -> Mask:
    """Rows whose values can be used to judge others: whatever is neither missing nor impossible."""
    usable: Mask = (verdicts == int(Verdict.ACCEPTED)) | (verdicts > int(Verdict.IMPLAUSIBLE))
    return usable

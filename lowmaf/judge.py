"""Gives every sample its verdict and turns accepted ones into sums."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lowmaf.cells import PlainColumns, block_sums, hats
from lowmaf.filters import Filters, Mask, Verdicts
from lowmaf.loop_gain import voltage_position
from lowmaf.maf_table import MafTable
from lowmaf.observations import Samples, observe
from lowmaf.sample_stream import Ready, Rows, SampleStream, is_neighbour
from lowmaf.samples import Floats, SampleBatch
from lowmaf.settings import CurveSettings
from lowmaf.stream_statistics import StreamStatistics
from lowmaf.verdicts import Verdict
from lowmaf.windows import Integers, Lookup

SLICE_S = 1.0
"""Live samples are judged in slices of this much time: the cost of a slice is shared by its samples."""
SLOPE_SPAN_S = 0.5
SWING_S = 0.5
SWING_SETTLED_S = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Verdicts that became final, in the order of time: shape (n,); and sums by block number."""

    t_s: Floats
    verdicts: Verdicts
    sums: tuple[tuple[int, Integers], ...] = ()


NOTHING = Judged(np.empty(0), np.empty(0, dtype=np.uint8))


class Judge:
    """Judges the samples of one drive. ``looks_ahead`` is for the ``curve`` estimator.

    The same samples give the same verdicts and sums bit for bit, however they are chunked.
    """

    def __init__(
        self,
        table: MafTable,
        flow_gs: Floats,
        filters: Filters,
        settings: CurveSettings,
        statistics: StreamStatistics,
        *,
        looks_ahead: bool,
    ) -> None:
        """``flow_gs`` (k,) is the flow that delays are taken from; ``statistics`` are added to."""
        self._table = table
        self._flow_gs = flow_gs
        self._filters = filters
        self._settings = settings
        self._statistics = statistics
        self._looks_ahead = looks_ahead
        self._lookahead_s = settings.lookahead_s if looks_ahead else 0.0
        self._slice_s = SLICE_S if looks_ahead else 0.0
        self._stream = SampleStream(
            filters, self._axis_range(), settings.lambda_settle_s if looks_ahead else math.inf
        )

    @property
    def pending(self) -> int:
        """Samples that wait for their look-ahead."""
        return self._stream.pending

    @property
    def last_verdict(self) -> Verdict | None:
        """Provisional verdict of the newest sample, by the rules that need no look-ahead."""
        return self._stream.last_verdict

    def feed(self, batch: SampleBatch) -> tuple[int, Judged]:
        """Takes samples; returns how many had no rising time, and what became final."""
        refused = self._stream.push(batch)
        if self._stream.waiting_s < self._lookahead_s + self._slice_s:
            return refused, NOTHING
        return refused, self._settle(self._stream.take(self._lookahead_s, finished=False))

    def finish(self) -> Judged:
        """Settles what waits: nothing of this drive follows."""
        return self._settle(self._stream.take(0.0, finished=True))

    def _axis_range(self) -> tuple[float, float] | None:
        """Volts a sample may have: ``nearest`` counts all to the cells at the ends.

        Cells without flow take no samples, so neither do the volts that belong to them alone.
        """
        volts, usable = self._table.maf_v, np.flatnonzero(self._table.takes_samples)
        if not usable.size:
            return math.inf, -math.inf
        first, last = usable[0], usable[-1]
        if self._looks_ahead:
            return float(volts[first]), float(volts[last])
        return (0.5 * float(volts[first - 1] + volts[first]), math.inf) if first else None

    def _settle(self, ready: Ready | None) -> Judged:
        if ready is None:
            return NOTHING
        rows, here = ready.rows, slice(ready.first, ready.stop)
        verdicts = rows.verdicts[here].copy()
        usable = is_neighbour(rows.verdicts)
        sums: tuple[tuple[int, Integers], ...] = ()
        if usable[here].any():
            sums = tuple(self._judge_with_neighbours(ready, usable, verdicts))
        return Judged(rows.t_s[here], verdicts, sums)

    def _judge_with_neighbours(
        self, ready: Ready, usable: Mask, verdicts: Verdicts
    ) -> Iterator[tuple[int, Integers]]:
        """Completes ``verdicts`` by the rules that need neighbours, and sums what is accepted."""
        first = int(np.count_nonzero(usable[: ready.first]))
        stop = first + int(np.count_nonzero(usable[ready.first : ready.stop]))
        samples = self._samples(ready.rows, usable)
        self._count(ready.rows, usable, samples, first, stop)
        late = np.zeros(stop - first, dtype=np.uint8)
        _reject(late, self._too_steep(samples, first, stop), Verdict.TRANSIENT)
        seen = None
        if self._looks_ahead:
            seen = observe(samples, first, stop, self._settings)
            _reject(late, seen.left_closed_loop, Verdict.LEAVING_CLOSED_LOOP)
            _reject(late, seen.in_gap, Verdict.GAP)
        own = usable[ready.first : ready.stop]
        early = verdicts[own]
        verdicts[own] = np.where(early == Verdict.ACCEPTED, late, early)
        accepted = verdicts[own] == Verdict.ACCEPTED
        place = hats(self._table.maf_v, samples.maf_v[first:stop][accepted])
        columns = ready.rows.columns
        plain = PlainColumns(
            (columns["stft_pct"] + columns["ltft_pct"])[usable][first:stop][accepted],
            columns["rpm"][usable][first:stop][accepted],
            columns["iat_c"][usable][first:stop][accepted],
        )
        return block_sums(
            self._table.cells,
            samples.t_s[first:stop][accepted],
            place,
            seen.at(accepted) if seen else None,
            plain,
        )

    def _samples(self, rows: Rows, usable: Mask) -> Samples:
        maf_v = rows.columns["maf_v"][usable]
        return Samples(
            t_s=rows.t_s[usable],
            maf_v=maf_v,
            position=voltage_position(self._table.maf_v, maf_v),
            flow_gs=hats(self._table.maf_v, maf_v).at(self._flow_gs),
            stft=rows.columns["stft_pct"][usable] / 100.0,
            ltft=rows.columns["ltft_pct"][usable] / 100.0,
            break_s=rows.break_s[usable],
            lambda_=rows.columns["lambda_"][usable],
            lambda_target=rows.columns["lambda_target"][usable],
        )

    def _count(self, rows: Rows, usable: Mask, samples: Samples, first: int, stop: int) -> None:
        start = max(first - 1, 0)
        closed = (rows.verdicts != Verdict.OPEN_LOOP)[usable][start:stop]
        self._statistics.add(
            samples.t_s[start:stop],
            samples.stft[start:stop],
            samples.ltft[start:stop],
            closed,
            first - start,
        )
        self._statistics.add_temperatures(rows.columns["iat_c"][usable][first:stop])
        if self._table.flow_gs is not None:
            new = closed[first - start :]
            given = rows.columns["maf_gs"][usable][first:stop][new]
            self._statistics.add_flows(given, samples.flow_gs[first:stop][new])
        now = samples.t_s[first:stop]
        settled = closed[first - start :] & (now - samples.break_s[first:stop] > SWING_S + SWING_SETTLED_S)
        trim = samples.stft[first:stop][settled]
        before = Lookup(samples.t_s, now[settled] - SWING_S).at(samples.stft)
        self._statistics.add_swings(100.0 * (trim - before))
        long_before = Lookup(samples.t_s, now[settled] - 2.0 * SWING_S).at(samples.stft)
        self._statistics.add_held(100.0 * trim, (trim == before) & (trim == long_before))

    def _too_steep(self, samples: Samples, first: int, stop: int) -> Mask:
        limit = self._filters.max_maf_slope_v_s
        if math.isinf(limit):
            return np.zeros(stop - first, dtype=np.bool_)
        before = Lookup(samples.t_s, samples.t_s[first:stop] - SLOPE_SPAN_S).at(samples.maf_v)
        return np.abs(samples.maf_v[first:stop] - before) > limit * SLOPE_SPAN_S


def _reject(verdicts: Verdicts, where: Mask, verdict: Verdict) -> None:
    verdicts[where & (verdicts == Verdict.ACCEPTED)] = verdict

"""Samples in, table out: the one path that live driving and recorded logs both take."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lowmaf.cells import BlockKey, CellSums, Hats, block_sums, hats
from lowmaf.estimate import Estimator
from lowmaf.filters import Filters, Mask, Verdicts
from lowmaf.maf_table import MafTable
from lowmaf.observations import Observations, Samples, observe
from lowmaf.proposal import propose
from lowmaf.sample_stream import Ready, SampleStream, is_neighbour
from lowmaf.samples import Floats, SampleBatch
from lowmaf.settings import CurveSettings
from lowmaf.snapshot import DataWarning, HeldOut, SampleCounts, Snapshot
from lowmaf.typical_flow import typical_flow_gs
from lowmaf.verdicts import Verdict
from lowmaf.windows import Integers, Lookup

SLICE_S = 0.5
"""Live samples are judged in slices of this much time: the cost of a slice is shared by its samples."""
SLOPE_SPAN_S = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Final verdicts of one :meth:`Pipeline.feed`, in the order of time: shape (n,)."""

    t_s: Floats
    verdicts: Verdicts


class Pipeline:
    """Judges samples, sums the accepted ones per cell and estimates the table from the sums.

    The same samples give the same verdicts and the same sums bit for bit, however they are chunked.
    """

    def __init__(
        self,
        table: MafTable,
        *,
        estimator: str = "curve",
        filters: Filters | None = None,
        settings: CurveSettings | None = None,
    ) -> None:
        """Raises ValueError for an estimator that does not exist."""
        self.table = table
        self.filters = Filters() if filters is None else filters
        self.settings = CurveSettings() if settings is None else settings
        self.sums = CellSums(table.cells)
        self.locked: frozenset[int] = frozenset()
        self.epoch = 1
        self._flow_gs = typical_flow_gs(table.maf_v) if table.flow_gs is None else table.flow_gs
        self._estimator = Estimator(estimator, table, self._flow_gs, self.settings)
        self._looks_ahead = estimator == "curve"
        self._verdict_counts = np.zeros(len(Verdict), dtype=np.int64)
        self._changed_blocks: set[BlockKey] = set()
        self._off_warnings: dict[str, DataWarning] = {}
        self._updated_s = 0.0
        self._revision = 0
        self.begin(1)

    @property
    def estimator(self) -> str:
        """Name of the estimator, ``curve`` or ``nearest``."""
        return self._estimator.name

    @property
    def revision(self) -> int:
        """Rises with every change."""
        return self._revision

    @property
    def pending(self) -> int:
        """Samples that wait for their look-ahead."""
        return self._stream.pending

    @property
    def last_verdict(self) -> Verdict | None:
        """Provisional verdict of the newest sample, by the rules that need no look-ahead."""
        return self._stream.last_verdict

    def begin(self, drive: int) -> None:
        """Starts a drive or log: what waits is settled first, and time may start anew."""
        if self._revision:
            self.finish()
        self._drive = drive
        self._stream = SampleStream(
            self.filters,
            self._axis_range(),
            self.settings.lambda_settle_s if self._looks_ahead else math.inf,
        )

    def feed(self, batch: SampleBatch) -> Judged:
        """Takes samples of the current drive; returns the verdicts that became final."""
        self._revision += 1
        self._warn_of_undelivered(batch)
        refused = self._stream.push(self._with_voltage(batch))
        self._verdict_counts[Verdict.TIME_NOT_RISING] += refused
        slice_s = SLICE_S if self._looks_ahead else 0.0
        lookahead_s = self.settings.lookahead_s if self._looks_ahead else 0.0
        if self._stream.waiting_s < lookahead_s + slice_s:
            return Judged(np.empty(0), np.empty(0, dtype=np.uint8))
        return self._settle(self._stream.take(lookahead_s, finished=False))

    def finish(self) -> Judged:
        """Settles what waits: nothing of this drive follows."""
        self._revision += 1
        return self._settle(self._stream.take(0.0, finished=True))

    def restore(self, drive: int, blocks: dict[int, Integers], counts: dict[str, int]) -> None:
        """Takes over what was kept of an earlier drive: sums per block and counts per verdict label."""
        for block, sums in blocks.items():
            self.sums.add(BlockKey(drive, block), sums)
        for verdict in Verdict:
            self._verdict_counts[verdict] += counts.get(verdict.label, 0)
        self._revision += 1

    def forget(self) -> None:
        """Starts a new epoch: everything learned is dropped, the counts begin again."""
        self.finish()
        self.sums = CellSums(self.table.cells)
        self._changed_blocks.clear()
        self._verdict_counts[:] = 0
        self.epoch += 1

    def lock(self, cells: frozenset[int]) -> None:
        """Cells (indices) that keep their flow whatever was learned."""
        self.locked = cells
        self._revision += 1

    def take_changed_blocks(self) -> dict[BlockKey, Integers]:
        """Blocks that changed since the last call, for the store."""
        changed = {key: self.sums.blocks[key] for key in self._changed_blocks}
        self._changed_blocks = set()
        return changed

    def verdict_counts(self) -> dict[str, int]:
        """Final verdicts so far, by label."""
        return {verdict.label: int(self._verdict_counts[verdict]) for verdict in Verdict}

    def counts(self) -> SampleCounts:
        """Counts as they are shown: seen = accepted + all rejected, always."""
        by_label = self.verdict_counts()
        accepted = by_label.pop(Verdict.ACCEPTED.label)
        return SampleCounts(accepted + sum(by_label.values()), self.pending, accepted, by_label)

    def held_out(self, sums: CellSums | None = None) -> HeldOut | None:
        """Cross-validation on these sums, by default all so far. Takes several solves.

        Given a copy of the sums it may run in another thread.
        """
        return self._estimator.held_out(self.sums if sums is None else sums)

    def snapshot(self, held_out: HeldOut | None = None) -> Snapshot:
        """The table as it stands; pass the held-out check if it was made."""
        found = self._estimator.estimate(self.sums, self.locked)
        return Snapshot(
            revision=self._revision,
            estimator=self.estimator,
            table=self.table,
            epoch=self.epoch,
            updated_s=self._updated_s,
            counts=self.counts(),
            correction_pct=_read_only(found.correction_pct),
            stderr_pct=_read_only(found.stderr_pct),
            hits=found.hits,
            effective_hits=_read_only(found.effective_hits),
            states=found.states,
            proposed_gs=propose(self.table, found.correction_pct, found.states, self.settings.max_step_pct),
            lag_s=found.lag_s,
            warnings=tuple(self._off_warnings.values()),
            held_out=held_out,
        )

    def _axis_range(self) -> tuple[float, float] | None:
        """Volts a sample may have: ``nearest`` counts all to the end cells."""
        usable = self.table.maf_v[self.table.takes_samples]
        if self._looks_ahead:
            return (float(usable[0]), float(usable[-1])) if usable.size else (math.inf, -math.inf)
        return None

    def _with_voltage(self, batch: SampleBatch) -> SampleBatch:
        """Where a source has flow but no voltage, the voltage at which the table gives that flow."""
        if "maf_v" in batch.channels or "maf_gs" not in batch.channels or self.table.flow_gs is None:
            return batch
        inverted = self.table.voltage_at(batch["maf_gs"])
        self._warn(
            "voltage_from_flow",
            "the source has no MAF voltage: cells were found by inverting the MAF table at its g/s",
        )
        return SampleBatch(batch.t_s, {**batch.channels, "maf_v": inverted})

    def _warn_of_undelivered(self, batch: SampleBatch) -> None:
        for channel, name in self.filters.channels_needed().items():
            if channel not in batch.channels:
                self._warn(f"filter_off_{name}", f"the source has no {channel}: the filter {name} is off")

    def _warn(self, code: str, message: str) -> None:
        self._off_warnings.setdefault(code, DataWarning(code, message))

    def _settle(self, ready: Ready | None) -> Judged:
        if ready is None:
            return Judged(np.empty(0), np.empty(0, dtype=np.uint8))
        rows, here = ready.rows, slice(ready.first, ready.stop)
        verdicts = rows.verdicts[here].copy()
        usable = is_neighbour(rows.verdicts)
        if usable[here].any():
            self._judge_with_neighbours(ready, usable, verdicts)
        self._verdict_counts += np.bincount(verdicts, minlength=len(Verdict))
        self._updated_s = float(rows.t_s[ready.stop - 1])
        return Judged(rows.t_s[here], verdicts)

    def _judge_with_neighbours(self, ready: Ready, usable: Mask, verdicts: Verdicts) -> None:
        """Completes ``verdicts`` by the rules that need neighbours, and sums what is accepted."""
        rows = ready.rows
        first = int(np.count_nonzero(usable[: ready.first]))
        stop = first + int(np.count_nonzero(usable[ready.first : ready.stop]))
        samples = self._samples(ready, usable)
        own = usable[ready.first : ready.stop]
        late = np.zeros(stop - first, dtype=np.uint8)
        _reject(late, self._too_steep(samples, first, stop), Verdict.TRANSIENT)
        seen = None
        if self._looks_ahead:
            seen = observe(samples, first, stop, self.settings)
            _reject(late, seen.left_closed_loop, Verdict.LEAVING_CLOSED_LOOP)
            _reject(late, seen.in_gap, Verdict.GAP)
        early = verdicts[own]
        verdicts[own] = np.where(early == Verdict.ACCEPTED, late, early)
        accepted = verdicts[own] == Verdict.ACCEPTED
        if not accepted.any():
            return
        place = hats(self.table.maf_v, samples.maf_v[first:stop][accepted])
        raw_trim = (rows.columns["stft_pct"] + rows.columns["ltft_pct"])[usable][first:stop][accepted]
        self._add(samples.t_s[first:stop][accepted], place, seen.at(accepted) if seen else None, raw_trim)

    def _add(self, t_s: Floats, place: Hats, seen: Observations | None, raw_trim: Floats) -> None:
        for block, sums in block_sums(self.table.cells, t_s, place, seen, raw_trim):
            key = BlockKey(self._drive, block)
            self.sums.add(key, sums)
            self._changed_blocks.add(key)

    def _samples(self, ready: Ready, usable: Mask) -> Samples:
        rows = ready.rows
        maf_v = rows.columns["maf_v"][usable]
        return Samples(
            t_s=rows.t_s[usable],
            maf_v=maf_v,
            flow_gs=hats(self.table.maf_v, maf_v).at(self._flow_gs),
            stft=rows.columns["stft_pct"][usable] / 100.0,
            ltft=rows.columns["ltft_pct"][usable] / 100.0,
            break_s=rows.break_s[usable],
            lambda_=rows.columns["lambda_"][usable],
            lambda_target=rows.columns["lambda_target"][usable],
        )

    def _too_steep(self, samples: Samples, first: int, stop: int) -> Mask:
        limit = self.filters.max_maf_slope_v_s
        if math.isinf(limit):
            return np.zeros(stop - first, dtype=np.bool_)
        before = Lookup(samples.t_s, samples.t_s[first:stop] - SLOPE_SPAN_S).at(samples.maf_v)
        return np.abs(samples.maf_v[first:stop] - before) > limit * SLOPE_SPAN_S


def _reject(verdicts: Verdicts, where: Mask, verdict: Verdict) -> None:
    verdicts[where & (verdicts == Verdict.ACCEPTED)] = verdict


def _read_only(values: Floats) -> Floats:
    values.flags.writeable = False
    return values

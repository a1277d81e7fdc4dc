"""Samples in, table out: the one path that live driving and recorded logs both take."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowmaf.cells import BlockKey, CellSums
from lowmaf.data_warnings import change_warning
from lowmaf.drive_statistics import DriveStatistics
from lowmaf.estimate import Estimator
from lowmaf.filters import Filters
from lowmaf.judge import Judge, Judged
from lowmaf.learned import Learned
from lowmaf.levels import Reduced
from lowmaf.maf_table import MafTable
from lowmaf.merging import ExactSums, Merged
from lowmaf.proposal import propose
from lowmaf.samples import CHANNELS, Floats, SampleBatch
from lowmaf.settings import CurveSettings
from lowmaf.snapshot import DataWarning, HeldOut, SampleCounts, Snapshot
from lowmaf.solve import CurveSolver
from lowmaf.typical_flow import typical_flow_gs
from lowmaf.verdicts import LABELS, Verdict
from lowmaf.windows import Integers

_FILTER_OFF = "filter_off_"
"""Codes of warnings that the source lacks what a filter needs begin so."""


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
        follow_changes: bool = False,
        only_sums: bool = False,
    ) -> None:
        """``follow_changes`` starts a new epoch where the air path changed, instead of only warning.

        ``only_sums`` is for a drive that will be merged with others (:mod:`lowmaf.merging`): all its
        blocks are kept, and nobody looks for changes.

        Raises:
            ValueError: no such estimator.
        """
        self.table = table
        self.filters = Filters() if filters is None else filters
        self.settings = CurveSettings() if settings is None else settings
        self.locked: frozenset[int] = frozenset()
        self._flow_gs = typical_flow_gs(table.maf_v) if table.flow_gs is None else table.flow_gs
        self._estimator = Estimator(estimator, table, self._flow_gs, self.settings)
        self._follow_changes = follow_changes
        self.learned = Learned(table, self.settings, self._estimator, only_sums=only_sums)
        self._verdict_counts = np.zeros(len(Verdict), dtype=np.int64)
        self._counts_before_drive = self._verdict_counts.copy()
        self._statistics = DriveStatistics()
        self._restored: set[int] = set()
        self._stream_warnings: dict[str, DataWarning] = {}
        self._updated_s = 0.0
        self._revision = 0
        self._drive = 1
        self._judge = self._new_judge()

    @property
    def estimator(self) -> str:
        """Name of the estimator, ``curve`` or ``nearest``."""
        return self._estimator.name

    @property
    def solver(self) -> CurveSolver:
        """What solves for this table's axis."""
        return self._estimator.solver

    @property
    def revision(self) -> int:
        """Rises with every change."""
        return self._revision

    @property
    def pending(self) -> int:
        """Samples that wait for their look-ahead."""
        return self._judge.pending

    @property
    def last_verdict(self) -> Verdict | None:
        """Provisional verdict of the newest sample, by the rules that need no look-ahead."""
        return self._judge.last_verdict

    # ---- samples

    def begin(self, drive: int) -> None:
        """Starts a drive or log: what waits is settled first, and time may start anew."""
        self.finish()
        self.learned.collapse_old()
        self._drive = drive
        self._counts_before_drive = self._verdict_counts.copy()
        self._judge = self._new_judge()

    def feed(self, batch: SampleBatch) -> Judged:
        """Takes samples of the current drive; returns the verdicts that became final."""
        self._revision += 1
        self._warn_of_undelivered(batch)
        refused, judged = self._judge.feed(self._with_voltage(batch))
        self._verdict_counts[Verdict.TIME_NOT_RISING] += refused
        return self._take(judged)

    def finish(self) -> Judged:
        """Settles what waits: nothing of this drive follows."""
        self._revision += 1
        return self._take(self._judge.finish())

    # ---- what is kept

    def restore(self, drive: int, blocks: dict[int, Integers], counts: dict[str, int]) -> None:
        """Takes over what was kept of an earlier drive: sums per block and counts per verdict label."""
        self.learned.restore(drive, blocks)
        self._restored.add(drive)
        for verdict in Verdict:
            self._verdict_counts[verdict] += counts.get(verdict.label, 0)
        self._revision += 1

    def take_changed_blocks(self) -> dict[BlockKey, Integers]:
        """Blocks that changed since the last call, for the store."""
        return self.learned.take_changed()

    def forget(self) -> None:
        """Starts a new epoch with the next drive: what was learned is dropped, the counts begin again."""
        self.finish()
        self.learned.begin_epoch(BlockKey(self._drive + 1, 0))
        self._verdict_counts[:] = 0
        self._counts_before_drive[:] = 0
        self._statistics = DriveStatistics()
        self._stream_warnings = {}
        self._judge = self._new_judge()

    def judge_by(self, filters: Filters) -> None:
        """Other limits for what follows: what waits is settled by those of before."""
        self.finish()
        self.filters = filters
        self._stream_warnings = {
            code: warning
            for code, warning in self._stream_warnings.items()
            if not code.startswith(_FILTER_OFF)
        }
        self._judge = self._new_judge()

    def like(self, table: MafTable) -> Pipeline:
        """An empty pipeline with the same settings for another table."""
        return Pipeline(
            table,
            estimator=self.estimator,
            filters=self.filters,
            settings=self.settings,
            follow_changes=self._follow_changes,
        )

    def carry_over(self, before: Pipeline) -> None:
        """Takes over what ``before`` learned with the MAF table that this one's table replaced.

        Raises:
            MafTableError: one of the tables has no flow.
        """
        self.learned.carry_over(before.learned)
        self._revision += 1

    def successor(self, table: MafTable) -> Pipeline:
        """A pipeline for the table that replaced this one's, with what was learned where both have flow."""
        new = self.like(table)
        new.learned.epoch, new.learned.epoch_start = self.learned.epoch, self.learned.epoch_start
        if self.table.flow_gs is not None and table.flow_gs is not None:
            new.carry_over(self)
        new._drive = self._drive
        new._revision = self._revision + 1
        return new

    def replace_earlier(self, kept: Pipeline, *, drive_goes_on: bool) -> None:
        """Takes what ``kept`` has learned in place of all earlier drives; ``kept`` is used up.

        The current drive, which ``kept`` must not have, goes on as it is; if it has ended, nothing of it
        stays but what ``kept`` has.
        """
        if drive_goes_on:
            kept.learned.take_drive(self.learned, self._drive)
            own = self._verdict_counts - self._counts_before_drive
        else:
            own = np.zeros(len(Verdict), dtype=np.int64)
        self._statistics.count_only(kept._restored | ({self._drive} if drive_goes_on else set()))
        self.learned = kept.learned
        self._counts_before_drive = kept._verdict_counts.copy()
        self._verdict_counts = kept._verdict_counts + own
        self._revision += 1

    def touch(self) -> None:
        """Raises the revision: something that is shown beside the sums has changed."""
        self._revision += 1

    def lock(self, cells: frozenset[int]) -> None:
        """Cells (indices) that keep their flow whatever was learned."""
        self.locked = cells
        self._revision += 1

    def exact_sums(self) -> ExactSums:
        """Everything learned so far that adds up exactly with other drives'."""
        return ExactSums(
            self.learned.sums.total().sums[0],
            self._verdict_counts.copy(),
            self._statistics.total(),
            self._revision,
        )

    def equations(self) -> list[Reduced]:
        """The equations of each stretch of driving, by drive, then by time; none for ``nearest``."""
        return self._estimator.stretches(self.learned.sums, remember=False)

    def take_merged(self, merged: Merged) -> None:
        """Takes over drives that were read elsewhere, into a pipeline that has seen nothing yet."""
        self.learned.take_merged(merged.exact.total, merged.equations)
        self._verdict_counts = self._verdict_counts + merged.exact.verdict_counts
        self._statistics.add(self._drive, merged.exact.statistics)
        self._stream_warnings |= {warning.code: warning for warning in merged.warnings}
        self._revision += merged.exact.revision
        self._updated_s = merged.updated_s
        self._judge = self._new_judge()

    # ---- what is shown

    @property
    def stream_warnings(self) -> tuple[DataWarning, ...]:
        """What samples gave reason to warn of as they came, in that order."""
        return tuple(self._stream_warnings.values())

    @property
    def updated_s(self) -> float:
        """Time of the newest sample that has its final verdict, s; 0 before the first."""
        return self._updated_s

    def verdict_counts(self) -> dict[str, int]:
        """Final verdicts so far, by label."""
        return dict(zip(LABELS, self._verdict_counts.tolist(), strict=True))

    def drive_counts(self) -> dict[str, int]:
        """Final verdicts of the current drive so far, by label."""
        own = self._verdict_counts - self._counts_before_drive
        return dict(zip(LABELS, own.tolist(), strict=True))

    def counts(self) -> SampleCounts:
        """Counts as they are shown: seen = accepted + all rejected, always."""
        by_label = self.verdict_counts()
        accepted = by_label.pop(Verdict.ACCEPTED.label)
        return SampleCounts(accepted + sum(by_label.values()), self.pending, accepted, by_label)

    def hits(self) -> NDArray[np.int64]:
        """Accepted samples nearest to each cell (k,), as :meth:`snapshot` has them, without a solve."""
        hits: NDArray[np.int64] = (
            self.learned.counting(self.learned.sums).total().row("hits")[0].astype(np.int64)
        )
        return hits

    def held_out(self, sums: CellSums | None = None) -> HeldOut | None:
        """Cross-validation on the newest hours of these sums, by default all. Takes several solves.

        Given a copy of the sums it may run in another thread.
        """
        newest = self.learned.newest_blocks(self.learned.sums if sums is None else sums)
        return self._estimator.held_out(newest)

    def snapshot(self, held_out: HeldOut | None = None) -> Snapshot:
        """The table as it stands; pass the held-out check if it was made."""
        counts = self.counts()
        found = self._estimator.estimate(self.learned.evidence(), self.locked)
        warnings = (
            *self._stream_warnings.values(),
            *self._estimator.warnings(found, counts, self._statistics.total(), self.filters.trim_limit_pct),
        )
        return Snapshot(
            revision=self._revision,
            estimator=self.estimator,
            table=self.table,
            epoch=self.learned.epoch,
            updated_s=self._updated_s,
            counts=counts,
            correction_pct=_read_only(found.correction_pct),
            stderr_pct=_read_only(found.stderr_pct),
            hits=found.hits,
            effective_hits=_read_only(found.effective_hits),
            states=found.states,
            proposed_gs=propose(self.table, found.correction_pct, found.states, self.settings.max_step_pct),
            lag_s=found.lag_s,
            warnings=warnings,
            held_out=held_out,
            drive_next=found.drive_next,
        )

    # ---- inside

    def _new_judge(self) -> Judge:
        return Judge(
            self.table,
            self._flow_gs,
            self.filters,
            self.settings,
            self._statistics.of(self._drive),
            looks_ahead=self.estimator == "curve",
        )

    def _take(self, judged: Judged) -> Judged:
        if not judged.t_s.size:
            return judged
        self._verdict_counts += np.bincount(judged.verdicts, minlength=len(Verdict))
        self._updated_s = float(judged.t_s[-1])
        for block, sums in judged.sums:
            began = self.learned.add(BlockKey(self._drive, block), sums)
            if began is not None:
                self._air_path_changed(began)
        return judged

    def _air_path_changed(self, began: BlockKey) -> None:
        if self._follow_changes:
            self.learned.begin_epoch(began)
        warning = change_warning(began, followed=self._follow_changes)
        self._stream_warnings[warning.code] = warning

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
                words = CHANNELS[channel].words
                self._warn(f"{_FILTER_OFF}{name}", f"the source has no {words}: the filter {name} is off")
        if "fuel_loop" not in batch.channels:
            self._warn(
                "no_loop_state",
                "the source does not say whether the fuel loop is closed: none of its samples can count",
            )

    def _warn(self, code: str, message: str) -> None:
        self._stream_warnings.setdefault(code, DataWarning(code, message))


def _read_only(values: Floats) -> Floats:
    values.flags.writeable = False
    return values

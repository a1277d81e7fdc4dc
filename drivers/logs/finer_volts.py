"""Finer MAF volts than a log has: within their steps, the volts at which the MAF table gives the logged g/s.

Many ECUs send the voltage in steps of 0.02 V, at idle 3 % of the flow, but the flow in 0.01 g/s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drivers.logs.recorded_drive import RecordedDrive
from drivers.logs.summary import LogSummary
from lowmaf.maf_table import MafTable
from lowmaf.samples import Floats, SampleBatch

COARSE_V = 0.0195
"""Volts in steps of this or more are refined: 5 V in one byte, and the 0.02 V that loggers print."""
LOOKED_AT = 5000
"""Samples from which steps and agreement are judged, the first that have volts and g/s."""
LEAST_LEVELS = 8
FINER_BY = 2.0
"""So many times more values of g/s than of volts must be met for the flow to be the finer one."""
AGREEING_SHARE = 0.5
"""Table and log agree where this share of samples lies within one step. On real logs 80 to 87 % do with
the right table, volts and flow being read one after the other, and at most 26 % with another car's."""

_BOTH = ("maf_v", "maf_gs")


@dataclass(frozen=True, slots=True)
class _Found:
    """``step_v`` of the logged volts; 0 where they are not to be refined. ``warning`` says why not."""

    step_v: float
    warning: str = ""


class FinerVolts:
    """A recorded drive whose coarse MAF volts are refined with its g/s and ``table``.

    No voltage moves by more than half a step; where table and log differ by more than a step, and
    wherever they disagree as a whole, it stays as it was logged. The batches do not depend on how
    ``drive`` is chunked.
    """

    def __init__(self, drive: RecordedDrive, table: MafTable) -> None:
        """``table`` has flow."""
        self.name = drive.name
        self._drive = drive
        self._table = table
        self._found = _Found(0.0)
        self._refined = self._known = 0

    @property
    def progress(self) -> tuple[int, int | None]:
        return self._drive.progress

    @property
    def summary(self) -> LogSummary:
        """The drive's, with what was done to the volts."""
        summary, found = self._drive.summary, self._found
        if found.warning:
            return replace(summary, warnings=(*summary.warnings, found.warning))
        if not self._refined:
            return summary
        volts, flow = (summary.columns.get(role, role) for role in ("maf_v", "maf_gs"))
        words = (
            f"{volts}: refined within its steps of {found.step_v:.3g} V by the MAF table at {flow}, "
            f"{100.0 * self._refined / self._known:.0f} % of the samples"
        )
        return replace(summary, inferred=(*summary.inferred, words))

    def batches(self) -> Iterator[SampleBatch]:
        """The drive's samples. Raises what its own batches raise."""
        waiting: list[SampleBatch] = []
        looked_at, decided = 0, False
        for batch in self._drive.batches():
            if decided:
                yield self._finer(batch)
                continue
            if not waiting and not batch.channels.keys() >= set(_BOTH):
                yield batch  # nothing to compare: a log without g/s is not held back until its end
                continue
            waiting.append(batch)
            looked_at += int(np.count_nonzero(_known(batch)))
            if looked_at >= LOOKED_AT:
                decided = True
                yield from self._decided(waiting)
        if not decided:
            yield from self._decided(waiting)

    def _decided(self, waiting: list[SampleBatch]) -> Iterator[SampleBatch]:
        """Judges the volts by the samples that waited, and gives those."""
        known = [batch.at(_known(batch)) for batch in waiting]
        if known:
            maf_v, maf_gs = (np.concatenate([part[name] for part in known])[:LOOKED_AT] for name in _BOTH)
            self._found = self._judged(maf_v, maf_gs)
        for batch in waiting:
            yield self._finer(batch)

    def _judged(self, maf_v: Floats, maf_gs: Floats) -> _Found:
        levels, flows = np.unique(maf_v.round(6)), np.unique(maf_gs)
        if levels.size < LEAST_LEVELS or flows.size < FINER_BY * levels.size:
            return _Found(0.0)
        step_v = float(np.diff(levels).min())
        if step_v < COARSE_V:
            return _Found(0.0)
        away_v = np.abs(self._table.voltage_at(maf_gs) - maf_v)
        if np.count_nonzero(away_v <= step_v) >= AGREEING_SHARE * maf_v.size:
            return _Found(step_v)
        return _Found(
            0.0,
            f"the MAF volts stay in their steps of {step_v:.3g} V: the logged g/s and the MAF table disagree"
            + (f", typically by {np.nanmedian(away_v):.2f} V" if np.isfinite(away_v).any() else ""),
        )

    def _finer(self, batch: SampleBatch) -> SampleBatch:
        step_v = self._found.step_v
        if not step_v:
            return batch
        maf_v = batch["maf_v"]
        off_v = self._table.voltage_at(batch["maf_gs"]) - maf_v
        near = np.abs(off_v) <= step_v
        self._known += int(np.count_nonzero(_known(batch)))
        self._refined += int(np.count_nonzero(near))
        finer_v = np.where(near, maf_v + np.clip(off_v, -0.5 * step_v, 0.5 * step_v), maf_v)
        return SampleBatch(batch.t_s, {**batch.channels, "maf_v": finer_v})


def _known(batch: SampleBatch) -> NDArray[np.bool_]:
    """Samples with volts and g/s (n,)."""
    both: NDArray[np.bool_] = np.isfinite(batch["maf_v"]) & np.isfinite(batch["maf_gs"])
    return both

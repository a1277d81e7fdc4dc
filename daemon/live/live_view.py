"""What is shown of the newest sample, and of the simulated car's truth."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lowmaf.maf_table import MafTable
from lowmaf.samples import Floats, SampleBatch
from lowmaf.snapshot import Snapshot
from lowmaf.verdicts import Verdict
from web.board import LiveReading, Truth

TRUTH_DWELL_S = 10.0
"""Cells with at least this much closed loop count when the simulated car's error is compared."""

TruthSource = Callable[[], tuple[Floats, Floats]]
"""Of the simulated car: right correction per cell (k,), %, and seconds of closed loop per cell (k,)."""


def reading_of(batch: SampleBatch, table: MafTable, verdict: Verdict) -> LiveReading:
    """The newest of some samples, with its provisional verdict.

    Where a source has flow but no voltage, it is the voltage at which the table gives that flow.
    """
    values = {name: float(column[-1]) for name, column in batch.channels.items()}
    if "maf_v" not in values and "maf_gs" in values and table.flow_gs is not None:
        values["maf_v"] = float(table.voltage_at(batch["maf_gs"][-1:])[0])
    maf_v = values.get("maf_v", math.nan)
    cell = int(np.abs(table.maf_v - maf_v).argmin()) if math.isfinite(maf_v) else None
    return LiveReading(float(batch.t_s[-1]), values, cell, verdict.label, provisional=True)


def truth_of(source: TruthSource, snapshot: Snapshot) -> Truth:
    """How near the table is to the error that the simulated car was given."""
    right_pct, closed_loop_s = source()
    scored = closed_loop_s >= TRUTH_DWELL_S
    if not scored.any():
        return Truth(right_pct.tolist(), None, 0)
    error = np.nan_to_num(snapshot.correction_pct) - right_pct
    rmse = float(np.sqrt(np.mean(error[scored] ** 2)))
    return Truth(right_pct.tolist(), rmse, int(np.count_nonzero(scored)))

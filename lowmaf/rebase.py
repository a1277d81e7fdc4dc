"""What was learned with one MAF table, said anew for the table that replaced it.

The true flow does not change when a table is flashed: at every old breakpoint

    g_old (1 + c_old / 100) = g_new (1 + c_new / 100)

so old corrections are an affine function of new ones, c_old = L c_new + d. On the same breakpoints L
is diagonal and nothing is lost. On another axis L interpolates linearly between the new breakpoints,
as the ECU does. Normal equations follow:  M' = L' M L,  r' = L' (r - M d).
"""

from __future__ import annotations

import numpy as np

from lowmaf.levels import Reduced
from lowmaf.maf_table import MafTable, MafTableError
from lowmaf.samples import Floats


def rebase(reduced: Reduced, old: MafTable, new: MafTable) -> Reduced:
    """Equations for corrections of ``old`` as equations for corrections of ``new``.

    Raises:
        MafTableError: one of the tables has no flow, so nothing says how they compare.
    """
    if old.flow_gs is None or new.flow_gs is None:
        raise MafTableError("what was learned can only be carried over between tables that have flow (g/s)")
    ratio = _flow_ratio(old, new)
    between = _between(new.maf_v, old.maf_v)
    linear = np.zeros((old.cells + 1, new.cells + 1))
    linear[:-1, :-1] = ratio[:, np.newaxis] * between
    linear[-1, -1] = 1.0
    offset = np.append(100.0 * (ratio - 1.0), 0.0)
    # The offset is a correction that is known, not one that the loop's gains decide: it belongs to
    # the first column, that of the trims.
    right = reduced.right.copy()
    right[:, 0] -= reduced.matrix @ offset
    return Reduced(
        matrix=linear.T @ reduced.matrix @ linear,
        right=linear.T @ right,
        weight_s=between.T @ reduced.weight_s,
        variances=reduced.variances,
        answer=reduced.answer,
    )


def carried_correction_pct(correction_pct: Floats, old: MafTable, new: MafTable) -> Floats:
    """Corrections (k_old,), %, of the old table as corrections (k_new,), %, of the new one.

    What a flash should leave over: the trims that are predicted to remain.
    """
    if old.flow_gs is None or new.flow_gs is None:
        raise MafTableError("what was learned can only be carried over between tables that have flow (g/s)")
    true_gs = old.flow_at(new.maf_v) * (1.0 + np.interp(new.maf_v, old.maf_v, correction_pct) / 100.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(new.flow_gs > 0.0, 100.0 * (true_gs / new.flow_gs - 1.0), np.nan)


def _flow_ratio(old: MafTable, new: MafTable) -> Floats:
    """New flow over old flow at the old breakpoints; 1 where there is no flow and so no sample."""
    old_gs, new_gs = old.flow_at(old.maf_v), new.flow_at(old.maf_v)
    return np.where((old_gs > 0.0) & (new_gs > 0.0), new_gs / np.where(old_gs > 0.0, old_gs, 1.0), 1.0)


def _between(axis_v: Floats, at_v: Floats) -> Floats:
    """Matrix (n, k) that interpolates values on ``axis_v`` (k,) at ``at_v`` (n,), flat beyond the ends."""
    return np.column_stack([np.interp(at_v, axis_v, unit) for unit in np.eye(axis_v.size)])

"""From sums to what is shown per cell: correction, certainty and state, by either estimator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowmaf.cells import BlockView, CellSums
from lowmaf.filters import Mask
from lowmaf.held_out import held_out_check, nearest_means
from lowmaf.maf_table import MafTable
from lowmaf.observations import exhaust_delay_s
from lowmaf.samples import Floats
from lowmaf.settings import CurveSettings
from lowmaf.snapshot import CellState, HeldOut
from lowmaf.solve import CurveSolver

ESTIMATORS = ("curve", "nearest")
NEAREST_MEASURED_HITS = 30
"""More hits than this make a cell measured for ``nearest``: the peers' rule, which certifies nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """One value per cell (k,); NaN where there is none. ``lag_s`` is the median delay applied, s."""

    correction_pct: Floats
    stderr_pct: Floats
    hits: NDArray[np.int64]
    effective_hits: Floats
    states: tuple[CellState, ...]
    lag_s: float | None


class Estimator:
    """Turns sums into an estimate for one table; holds nothing that depends on samples."""

    def __init__(self, name: str, table: MafTable, flow_gs: Floats, settings: CurveSettings) -> None:
        """``flow_gs`` (k,) is the flow used for delays, of the table or a typical one."""
        if name not in ESTIMATORS:
            raise ValueError(f"no estimator {name!r}; there are {', '.join(ESTIMATORS)}")
        self.name = name
        self._table = table
        self._flow_gs = flow_gs
        self._settings = settings
        self._solver = CurveSolver(table.maf_v, settings)

    def estimate(self, sums: CellSums, locked: frozenset[int] = frozenset()) -> Estimate:
        """The table as these sums have it; ``locked`` are indices of cells the user keeps."""
        found = self._curve(sums) if self.name == "curve" else self._nearest(sums.total())
        if not locked:
            return found
        states = tuple(
            CellState.LOCKED if cell in locked else state for cell, state in enumerate(found.states)
        )
        return Estimate(
            found.correction_pct, found.stderr_pct, found.hits, found.effective_hits, states, found.lag_s
        )

    def held_out(self, sums: CellSums) -> HeldOut | None:
        """Cross-validation of the curve; None for ``nearest``, which keeps no sums for it."""
        return held_out_check(sums, self._solver) if self.name == "curve" else None

    def _nearest(self, view: BlockView) -> Estimate:
        hits = view.row("hits").sum(axis=0).astype(np.int64)
        unknown = np.full(self._table.cells, np.nan)
        states = tuple(
            CellState.MEASURED
            if count > NEAREST_MEASURED_HITS
            else (CellState.WEAK if count else CellState.EMPTY)
            for count in hits.tolist()
        )
        return Estimate(nearest_means(view), unknown, hits, unknown, states, None)

    def _curve(self, sums: CellSums) -> Estimate:
        settings = self._settings
        curve = self._solver.solve(sums)
        view = sums.total()
        weight_s = view.row("hat").sum(axis=0)
        hits = view.row("hits").sum(axis=0).astype(np.int64)
        effective = weight_s / settings.correlation_s
        own = (weight_s > 0.0) & self._table.takes_samples
        states = _states(
            own, (curve.stderr_pct < settings.measured_stderr_pct) & (effective >= settings.measured_hits)
        )
        known = np.array([state is not CellState.EMPTY for state in states])
        return Estimate(
            np.where(known, curve.correction_pct, np.nan),
            np.where(known, curve.stderr_pct, np.nan),
            hits,
            effective,
            states,
            self._median_delay(weight_s),
        )

    def _median_delay(self, weight_s: Floats) -> float | None:
        delay = exhaust_delay_s(self._flow_gs, self._settings)
        order = np.argsort(delay, kind="stable")
        cumulated = np.cumsum(weight_s[order])
        if not cumulated.size or cumulated[-1] <= 0.0:
            return None
        return float(delay[order][np.searchsorted(cumulated, 0.5 * cumulated[-1])])


def _states(own: Mask, certain: Mask) -> tuple[CellState, ...]:
    """Cells between those with evidence are interpolated; beyond them nothing is known."""
    seen = np.flatnonzero(own)
    if seen.size == 0:
        return (CellState.EMPTY,) * own.size
    states = []
    for cell in range(own.size):
        if own[cell]:
            states.append(CellState.MEASURED if certain[cell] else CellState.WEAK)
        elif seen[0] < cell < seen[-1]:
            states.append(CellState.INTERPOLATED)
        else:
            states.append(CellState.EMPTY)
    return tuple(states)

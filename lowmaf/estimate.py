"""From sums to what is shown per cell: correction, certainty and state, by either estimator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lowmaf.after_flash import AfterFlash, compare_after_flash
from lowmaf.cells import BlockView, CellSums
from lowmaf.data_warnings import curve_warnings, stream_warnings
from lowmaf.drive_next import drive_next
from lowmaf.filters import Mask
from lowmaf.held_out import held_out_check, nearest_means
from lowmaf.levels import USUAL, Reduced
from lowmaf.maf_table import MafTable
from lowmaf.observations import exhaust_delay_s
from lowmaf.samples import Floats
from lowmaf.settings import CurveSettings
from lowmaf.snapshot import CellState, DataWarning, DriveNext, HeldOut, SampleCounts
from lowmaf.solve import Curve, CurveSolver
from lowmaf.stream_statistics import StreamStatistics

ESTIMATORS = ("curve", "nearest")
OWN_EVIDENCE_S = 0.05
"""A cell with less weight than this is never measured, however sure its neighbours make it."""
NEAREST_MEASURED_HITS = 30
"""More hits than this make a cell measured for ``nearest``: the peers' rule, which certifies nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """One value per cell (k,); NaN where there is none. ``lag_s`` is the median delay applied, s.

    ``curve`` is None for ``nearest``, and ``view`` all sums as one block.
    """

    correction_pct: Floats
    stderr_pct: Floats
    hits: NDArray[np.int64]
    effective_hits: Floats
    states: tuple[CellState, ...]
    lag_s: float | None
    view: BlockView
    curve: Curve | None = None
    drive_next: tuple[DriveNext, ...] = ()
    after_flash: AfterFlash | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All that was learned: sums of the newest drives, and equations of those that are kept no finer.

    ``collapsed`` are older drives with the present table, ``carried`` drives with earlier tables,
    re-based to it.
    """

    sums: CellSums
    collapsed: Sequence[Reduced] = ()
    carried: Sequence[Reduced] = ()


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
        self.solver = CurveSolver(table.maf_v, settings)

    def estimate(self, evidence: Evidence, locked: frozenset[int] = frozenset()) -> Estimate:
        """The table as the evidence has it; ``locked`` are indices of cells the user keeps."""
        found = self._curve(evidence) if self.name == "curve" else self._nearest(evidence.sums.total())
        if not locked:
            return found
        states = tuple(
            CellState.LOCKED if cell in locked else state for cell, state in enumerate(found.states)
        )
        return replace(found, states=states)

    def stretches(self, sums: CellSums, *, remember: bool = True) -> list[Reduced]:
        """What these sums teach, stretch by stretch; nothing for ``nearest``."""
        return self.solver.stretches(sums, remember=remember) if self.name == "curve" else []

    def warnings(
        self, found: Estimate, counts: SampleCounts, statistics: StreamStatistics, trim_limit_pct: float
    ) -> Iterator[DataWarning]:
        """What the data say against a table made of them; trims from ``trim_limit_pct`` on were rejected."""
        yield from stream_warnings(counts, statistics, trim_limit_pct)
        if found.curve is not None:
            yield from curve_warnings(self._table, found.curve, found.states, found.view)
        if found.after_flash is not None:
            yield found.after_flash.warning()

    def held_out(self, sums: CellSums) -> HeldOut | None:
        """Cross-validation of the curve; None for ``nearest``, which keeps no sums for it."""
        return held_out_check(sums, self.solver) if self.name == "curve" else None

    def _nearest(self, view: BlockView) -> Estimate:
        hits = view.row("hits").sum(axis=0).astype(np.int64)
        unknown = np.full(self._table.cells, np.nan)
        states = tuple(
            CellState.MEASURED
            if count > NEAREST_MEASURED_HITS
            else (CellState.WEAK if count else CellState.EMPTY)
            for count in hits.tolist()
        )
        return Estimate(nearest_means(view), unknown, hits, unknown, states, None, view)

    def _curve(self, evidence: Evidence) -> Estimate:
        settings = self._settings
        curve = self.solver.solve(evidence.sums, [*evidence.carried, *evidence.collapsed])
        view = evidence.sums.total()
        stderr = np.hypot(curve.stderr_pct, settings.iat_sd_pct_per_k * self._iat_distance_k(view))
        effective = curve.weight_s / settings.correlation_s
        hits = view.row("hits")[0].astype(np.int64)
        seen = ((curve.weight_s >= OWN_EVIDENCE_S) | (hits > 0)) & self._table.takes_samples
        certain = (stderr < settings.measured_stderr_pct) & (effective >= settings.measured_hits)
        certain &= curve.weight_s >= OWN_EVIDENCE_S
        states = _states(seen, certain)
        known = np.array([state is not CellState.EMPTY for state in states])
        return Estimate(
            np.where(known, curve.correction_pct, np.nan),
            np.where(known, stderr, np.nan),
            hits,
            effective,
            states,
            self._median_delay(curve.weight_s),
            view,
            curve,
            drive_next(self._table, curve, view, USUAL.noise, ~(seen & certain)),
            compare_after_flash(self.solver, evidence.sums, evidence.collapsed, evidence.carried),
        )

    def _iat_distance_k(self, view: BlockView) -> float:
        """How far intake air was on average from what the corrections are meant for, K.

        Air that is always colder or hotter shifts the level of all trims, which no sample can tell.
        """
        time = float(view.scalar("iat_time")[0])
        if time <= 0.0:
            return 0.0
        return abs(float(view.scalar("iat")[0]) / time - self._settings.iat_reference_c)

    def _median_delay(self, weight_s: Floats) -> float | None:
        delay = exhaust_delay_s(self._flow_gs, self._settings)
        order = np.argsort(delay, kind="stable")
        cumulated = np.cumsum(weight_s[order])
        if not cumulated.size or cumulated[-1] <= 0.0:
            return None
        return float(delay[order][np.searchsorted(cumulated, 0.5 * cumulated[-1])])


def _states(seen: Mask, certain: Mask) -> tuple[CellState, ...]:
    """Cells between those that were seen are interpolated; beyond them nothing is known."""
    cells = np.flatnonzero(seen)
    if cells.size == 0:
        return (CellState.EMPTY,) * seen.size
    states = []
    for cell in range(seen.size):
        if seen[cell]:
            states.append(CellState.MEASURED if certain[cell] else CellState.WEAK)
        elif cells[0] < cell < cells[-1]:
            states.append(CellState.INTERPOLATED)
        else:
            states.append(CellState.EMPTY)
    return tuple(states)

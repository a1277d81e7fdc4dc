"""Before and after: once a table was flashed, are the trims where they were predicted to be?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lowmaf.cells import CellSums
from lowmaf.levels import Reduced
from lowmaf.samples import Floats
from lowmaf.snapshot import DataWarning
from lowmaf.solve import Curve, CurveSolver

LEAST_WEIGHT_S = 5.0
LEAST_CELLS = 5
SIGNIFICANT = 3.0


@dataclass(frozen=True, slots=True)
class AfterFlash:
    """Rms over ``cells`` cells, %, weighted by the evidence since the flash.

    ``predicted_pct`` is what earlier drives said the new table would still be off by, ``found_pct``
    what drives with it show, ``difference`` the median distance of the two in standard errors.
    """

    cells: int
    predicted_pct: float
    found_pct: float
    difference: float

    @property
    def as_predicted(self) -> bool:
        """Whether the two agree within their errors."""
        return self.difference <= SIGNIFICANT

    def warning(self) -> DataWarning:
        """The comparison in words."""
        said = (
            f"since the flash the table is off by {self.found_pct:.1f} % rms over {self.cells} cells; "
            f"earlier drives predicted {self.predicted_pct:.1f} %"
        )
        if self.as_predicted:
            return DataWarning("after_flash_as_predicted", said)
        return DataWarning(
            "after_flash_unexpected",
            f"{said}: is the table in the ECU the one that lowmaf was told of, and is nothing else changed?",
            blocks_flash=True,
        )


def compare_after_flash(
    solver: CurveSolver, sums: CellSums, collapsed: Sequence[Reduced], carried: Sequence[Reduced]
) -> AfterFlash | None:
    """``carried`` against what was driven since the flash; None where there is too little of either."""
    if not carried:
        return None
    predicted, found = solver.combined(carried), solver.solve(sums, collapsed)
    both = (predicted.weight_s >= LEAST_WEIGHT_S) & (found.weight_s >= LEAST_WEIGHT_S)
    cells = int(np.count_nonzero(both))
    if cells < LEAST_CELLS:
        return None
    weight = found.weight_s[both]
    spread = np.hypot(predicted.stderr_pct[both], found.stderr_pct[both])
    distance = np.abs(found.correction_pct[both] - predicted.correction_pct[both]) / spread
    return AfterFlash(
        cells, _rms(predicted, both, weight), _rms(found, both, weight), float(np.median(distance))
    )


def _rms(curve: Curve, where: np.ndarray[tuple[int], np.dtype[np.bool_]], weight: Floats) -> float:
    return float(np.sqrt(np.average(curve.correction_pct[where] ** 2, weights=weight)))

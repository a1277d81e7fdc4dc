"""Has the air path changed? The newest minutes against what was learned before.

A vacuum leak mended, an intake changed or long-term trims reset shows as a curve that disagrees with
the old one by more than drifting levels explain.
"""

from __future__ import annotations

import numpy as np

from lowmaf.cells import BlockKey, CellSums
from lowmaf.solve import CurveSolver

NEW_BLOCKS = 10
"""Five minutes of driving are compared with what came before."""
MOST_OLD_BLOCKS = 120
"""At most the last hour before: older evidence of the level says little about now."""
LEAST_WEIGHT_S = 2.0
LEAST_CELLS = 3
SIGNIFICANT = 3.0
"""Median over cells of |difference| in standard errors. A step of 5 % gives 3.0 after five minutes."""


def change_significance(sums: CellSums, solver: CurveSolver) -> float:
    """Median |z| of the last :data:`NEW_BLOCKS` blocks against those before; 0 without enough of both."""
    keys = sorted(sums.blocks)
    new, old = keys[-NEW_BLOCKS:], keys[:-NEW_BLOCKS][-MOST_OLD_BLOCKS:]
    if len(old) < NEW_BLOCKS:
        return 0.0
    parts = [CellSums(sums.cells, {key: sums.blocks[key] for key in part}) for part in (new, old)]
    weights = [part.total().row("hat")[0] for part in parts]
    both = (weights[0] >= LEAST_WEIGHT_S) & (weights[1] >= LEAST_WEIGHT_S)
    if np.count_nonzero(both) < LEAST_CELLS:
        return 0.0
    now, before = (solver.solve(part, remember=False) for part in parts)
    spread = np.hypot(now.stderr_pct, before.stderr_pct)
    z = np.abs(now.correction_pct - before.correction_pct) / spread
    return float(np.median(z[both]))


def change_began(sums: CellSums) -> BlockKey:
    """The first of the blocks that :func:`change_significance` took as new."""
    return sorted(sums.blocks)[-NEW_BLOCKS:][0]

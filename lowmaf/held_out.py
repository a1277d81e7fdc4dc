"""Does a correction predict trims that it has not seen? Cross-validation over blocks of time.

Needs only the kept sums: for hat functions x and raw trims T, the sum of time (T - x'c)^2 over the
left-out blocks is  sum T^2 - 2 c' sum T x + c' (sum x x') c.
"""

from __future__ import annotations

import numpy as np

from lowmaf.cells import BlockView
from lowmaf.samples import Floats
from lowmaf.snapshot import HeldOut
from lowmaf.solve import CurveSolver

FOLDS = 5
GROUP_BLOCKS = 4
"""Blocks left out together (2 minutes): longer than the trims' memory, so that the rest is news."""
NEAREST_MARGIN = 1.02
"""The curve may be this much worse than the plain mean before it counts as failed (noise of the check)."""


def held_out_check(view: BlockView, solver: CurveSolver) -> HeldOut | None:
    """Held-out rms over these blocks, None where they are too few to make five groups.

    The rms is weighted by time, over accepted samples, of short + long trim minus the correction.
    """
    group = [(key.drive, key.block // GROUP_BLOCKS) for key in view.keys]
    number = {name: index for index, name in enumerate(sorted(set(group)))}
    if len(number) < FOLDS:
        return None
    fold = np.array([number[name] % FOLDS for name in group])
    squares = np.zeros(3)
    time = 0.0
    for index in range(FOLDS):
        left_out = view.select(fold == index)
        rest = view.select(fold != index)
        curve = solver.solve(rest).correction_pct
        raw = float(left_out.scalar("time_trim2").sum())
        squares += (
            raw,
            _curve_squares(left_out, raw, curve),
            _nearest_squares(left_out, raw, nearest_means(rest)),
        )
        time += float(left_out.scalar("time").sum())
    if time <= 0.0:
        return None
    uncorrected, of_curve, of_nearest = np.sqrt(np.maximum(squares, 0.0) / time).tolist()
    passed = of_curve < uncorrected and of_curve <= NEAREST_MARGIN * of_nearest
    return HeldOut(of_curve, uncorrected, of_nearest, passed)


def nearest_means(view: BlockView) -> Floats:
    """Plain mean of total trim per nearest cell (k,), %; NaN without samples."""
    hits = view.row("hits").sum(axis=0)
    trims = view.row("nearest_trim").sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(hits > 0, trims / hits, np.nan)


def _curve_squares(view: BlockView, raw: float, curve: Floats) -> float:
    diagonal = view.row("plain_hat2").sum(axis=0)
    beside = view.row("plain_hat_next").sum(axis=0)[:-1]
    cross = view.row("plain_hat_trim").sum(axis=0)
    quadratic = diagonal @ curve**2 + 2.0 * beside @ (curve[1:] * curve[:-1])
    return float(raw - 2.0 * cross @ curve + quadratic)


def _nearest_squares(view: BlockView, raw: float, means: Floats) -> float:
    known = np.nan_to_num(means)
    time = view.row("plain_nearest").sum(axis=0)
    cross = view.row("plain_nearest_trim").sum(axis=0)
    return float(raw - 2.0 * cross @ known + time @ known**2)

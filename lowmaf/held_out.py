"""Does a correction predict trims that it has not seen? Cross-validation over blocks of time.

Needs only the kept sums: for hat functions x and raw trims T, the sum of time (T - x'c)^2 over the
left-out blocks is  sum T^2 - 2 c' sum T x + c' (sum x x') c.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lowmaf.cells import BlockKey, BlockView, CellSums
from lowmaf.samples import Floats
from lowmaf.snapshot import HeldOut
from lowmaf.solve import CurveSolver, Whole, stretch_of, wholes

FOLDS = 5
GROUP_BLOCKS = 4
"""Blocks left out together (2 minutes): longer than the trims' memory, so that the rest is news."""
NEAREST_MARGIN = 1.25
"""The curve may be this much worse than plain means before it counts as failed. Raw trims lag behind
the mixture: on simulated cars whose true error is known, a curve with half the error of plain means
predicts them up to 18 % worse, because plain means learn the lag along with the sensor."""


def held_out_check(
    sums: CellSums, solver: CurveSolver, whole: Mapping[tuple[int, int], Whole] | None = None
) -> HeldOut | None:
    """Held-out rms over these sums, None where there is too little driving for five groups.

    The rms is weighted by time, over accepted samples, of short + long trim minus the correction.
    ``whole`` are stretches whose equations were made elsewhere, as :meth:`CurveSolver.stretches` takes them.
    """
    groups = sorted({_group(key) for key in sums.blocks})
    if len(groups) < FOLDS:
        return None
    fold_of = {group: index % FOLDS for index, group in enumerate(groups)}
    whole = _with_spared({} if whole is None else whole, sums, solver, fold_of)
    squares = np.zeros(3)
    time = 0.0
    for fold in range(FOLDS):
        left_out = CellSums(sums.cells)
        rest = CellSums(sums.cells)
        for key, block in sums.blocks.items():
            (left_out if fold_of[_group(key)] == fold else rest).add(key, block)
        test = left_out.total()
        curve = solver.combined(solver.stretches(rest, remember=False, whole=whole)).correction_pct
        raw = float(test.scalar("time_trim2").sum())
        means = nearest_means(rest.total())
        squares += raw, _curve_squares(test, raw, curve), _nearest_squares(test, raw, means)
        time += float(test.scalar("time").sum())
    if time <= 0.0:
        return None
    uncorrected, of_curve, of_nearest = np.sqrt(np.maximum(squares, 0.0) / time).tolist()
    passed = of_curve < uncorrected and of_curve <= NEAREST_MARGIN * of_nearest
    return HeldOut(of_curve, uncorrected, of_nearest, passed)


def _with_spared(
    whole: Mapping[tuple[int, int], Whole],
    sums: CellSums,
    solver: CurveSolver,
    fold_of: Mapping[tuple[int, int], int],
) -> dict[tuple[int, int], Whole]:
    """Also the equations of stretches that some fold leaves whole: those are made once for all folds."""
    stretches: dict[tuple[int, int], list[BlockKey]] = {}
    for key in sums.blocks:
        stretches.setdefault(stretch_of(key), []).append(key)
    spared = {
        name: keys
        for name, keys in stretches.items()
        if name not in whole and len({fold_of[_group(key)] for key in keys}) < FOLDS
    }
    blocks = {key: sums.blocks[key] for keys in spared.values() for key in keys}
    reduced = solver.stretches(CellSums(sums.cells, blocks), remember=False)
    return {**whole, **wholes(sorted(blocks), reduced)}


def _group(key: BlockKey) -> tuple[int, int]:
    return key.drive, key.block // GROUP_BLOCKS


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

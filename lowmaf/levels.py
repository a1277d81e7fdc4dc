"""A stretch of driving with its drifting level taken out: what is left adds up.

Observations y of weight w at hat functions x follow  y = x'c + b + noise / sqrt(w)  with c the
correction per cell (and one coefficient for transients) and b a level that drifts from block to
block. Henderson's equations of that mixed model need only the sums of :mod:`lowmaf.cells`:

    M = N / s2w - h' (G^-1 + diag(W) / s2w)^-1 h / s2w^2        r likewise

M and r of stretches add up, because levels are taken as correlated within a stretch (an hour) and
independent between stretches. The variances s2w and G are estimated from the stretch's own
residual levels and shrunk to what is usual, so M and r depend on nothing outside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lowmaf.cells import BLOCK_S, BlockView
from lowmaf.loop_gain import LoopAnswer, loop_answer, slowness
from lowmaf.samples import Floats
from lowmaf.settings import CurveSettings

VARIANCE_PASSES = 4
MIN_BLOCK_WEIGHT_S = 0.5
"""Blocks of less evidence say nothing of their level."""


@dataclass(frozen=True, slots=True)
class Variances:
    """``noise`` of a second of weight, %² s; of a ``block``'s own level and of the slow ``drift``, %²."""

    noise: float = 4.0
    block: float = 0.1
    drift: float = 1.0


USUAL = Variances()


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """Normal equations of one stretch: ``matrix`` (k+1, k+1), ``right`` (k+1, 2).

    The columns of ``right`` belong to the trim part and to the loop-error part of the observations.
    ``weight_s`` (k,) is the evidence in each cell, s; ``answer`` is what the stretch says of how fast
    the loop is.
    """

    matrix: Floats
    right: Floats
    weight_s: Floats
    variances: Variances
    answer: LoopAnswer


@dataclass(frozen=True, slots=True, eq=False)
class _Levels:
    """Per block (b): hats (b, k+1), what was asked for (b, 2), weight (b,), s; distances (b, b), s."""

    hats: Floats
    asked: Floats
    weight: Floats
    distance_s: Floats


def reduce_stretch(view: BlockView, axis_v: Floats, prior: Floats, settings: CurveSettings) -> Reduced:
    """The normal equations of the blocks in ``view``, which belong to one stretch of one drive.

    ``prior`` (k+1, k+1) is the precision of c before any evidence; it serves only to find residuals.
    """
    plain = Reduced(*_sums(view), view.row("hat").sum(axis=0), USUAL, LoopAnswer())
    levels = _levels(view)
    products = view.loop_products()
    reduced = _without_levels(plain, levels, USUAL, settings)
    for _ in range(VARIANCE_PASSES if levels.weight.size > 1 else 0):
        gains = np.array([1.0, slowness([reduced.answer], settings.loop_slowest)])
        solution = np.linalg.solve(prior + reduced.matrix, reduced.right @ gains)
        answer = loop_answer(products, axis_v, plain.weight_s, solution[:-1])
        variances = _estimated(levels, solution, gains, settings)
        reduced = replace(_without_levels(plain, levels, variances, settings), answer=answer)
    return reduced


def _sums(view: BlockView) -> tuple[Floats, Floats]:
    """Sum of w x x' (k+1, k+1) and of w x y (k+1, 2) over all blocks."""
    cells = view.cells
    matrix = np.zeros((cells + 1, cells + 1))
    diagonal = np.arange(cells)
    matrix[diagonal, diagonal] = view.row("hat2").sum(axis=0)
    beside = view.row("hat_next").sum(axis=0)[:-1]
    matrix[diagonal[:-1], diagonal[1:]] = beside
    matrix[diagonal[1:], diagonal[:-1]] = beside
    matrix[-1, :-1] = matrix[:-1, -1] = view.row("hat_transient").sum(axis=0)
    matrix[-1, -1] = view.scalar("transient2").sum()
    right = np.empty((cells + 1, 2))
    right[:-1, 0] = view.row("hat_trim").sum(axis=0)
    right[:-1, 1] = view.row("hat_error").sum(axis=0)
    right[-1] = view.scalar("transient_trim").sum(), view.scalar("transient_error").sum()
    return matrix, right


def _levels(view: BlockView) -> _Levels:
    hats = np.column_stack((view.row("hat"), view.scalar("transient")))
    asked = np.column_stack((view.scalar("trim"), view.scalar("error")))
    weight = view.scalar("weight")
    block = np.array([key.block for key in view.keys], dtype=np.float64)
    heavy = weight > 0.0
    distance_s = np.abs(block[heavy][:, np.newaxis] - block[heavy]) * BLOCK_S
    return _Levels(hats[heavy], asked[heavy], weight[heavy], distance_s)


def _without_levels(
    plain: Reduced, levels: _Levels, variances: Variances, settings: CurveSettings
) -> Reduced:
    noise = variances.noise
    covariance = variances.drift * np.exp(-levels.distance_s / settings.level_memory_s)
    covariance[np.diag_indices_from(covariance)] += variances.block
    # (G^-1 + W/s2w)^-1 without inverting G, which is nearly singular when drift rules.
    inner = np.linalg.solve(np.eye(len(covariance)) + covariance * (levels.weight / noise), covariance)
    projected = levels.hats.T @ inner / noise**2
    matrix = plain.matrix / noise - projected @ levels.hats
    right = plain.right / noise - projected @ levels.asked
    return replace(plain, matrix=0.5 * (matrix + matrix.T), right=right, variances=variances)


def _estimated(levels: _Levels, solution: Floats, gains: Floats, settings: CurveSettings) -> Variances:
    """Method of moments on the blocks' residual levels, shrunk to :data:`USUAL`."""
    heavy = levels.weight >= MIN_BLOCK_WEIGHT_S
    weight = levels.weight[heavy]
    count = weight.size
    if count < 2:
        return USUAL
    residual = (levels.asked[heavy] @ gains - levels.hats[heavy] @ solution) / weight
    product = residual[:, np.newaxis] * residual
    lag = np.rint(levels.distance_s[np.ix_(heavy, heavy)] / BLOCK_S)
    upper = np.triu(np.ones_like(lag, dtype=np.bool_), 1)
    lag_one = _mean(product[upper & (lag == 1)])
    lag_far = _mean(product[upper & (lag >= 3) & (lag <= 9)])
    # An independent level takes about twice its memory: so many of them were seen.
    levels_seen = count * BLOCK_S / (2.0 * settings.level_memory_s)
    drift = _shrunk(lag_far / 0.8, USUAL.drift, levels_seen)
    block = _shrunk(lag_one - lag_far, USUAL.block, count)
    noise = _shrunk((_mean(residual**2) - lag_one) / _mean(1.0 / weight), USUAL.noise, count)
    return Variances(noise=max(noise, 1.5), block=max(block, 0.02), drift=max(drift, 0.02))


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else 0.0


def _shrunk(estimate: float, usual: float, evidence: float) -> float:
    """The estimate, pulled to the usual value as if that were ten pieces of evidence."""
    trust = evidence / (evidence + 10.0)
    return trust * estimate + (1.0 - trust) * usual

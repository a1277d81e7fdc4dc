"""The curve that the sums ask for: a linear mixed model, solved on the table's own breakpoints.

Observations y of weight w at hat functions x follow  y = x'c + b + noise / sqrt(w)  with c the
correction per cell (and one coefficient for transients), b a level that drifts from block to block,
and smoothness of c as prior. Henderson's equations of that model need only the sums of
:mod:`lowmaf.cells`: M c = r with

    M = N / s2w - h' (G^-1 + diag(W) / s2w)^-1 h / s2w^2 + P

The variances are estimated from the residual levels of the blocks, shrunk to what is usual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lowmaf.cells import BLOCK_S, BlockView
from lowmaf.samples import Floats
from lowmaf.settings import CurveSettings

VARIANCE_PASSES = 4
SEGMENT_BLOCKS = 120
"""Levels are taken as correlated within an hour of driving and independent beyond: the cost of a
solve then grows with the hours, not with their cube."""
MIN_BLOCK_WEIGHT_S = 0.5
"""Blocks of less evidence say nothing of their level."""


@dataclass(frozen=True, slots=True)
class Variances:
    """``noise`` of a second of weight, %² s; ``block`` a own level, ``drift`` slow level, %²."""

    noise: float = 4.0
    block: float = 0.1
    drift: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Solution per cell, shape (k,), %: correction, standard error, evidence in seconds of weight."""

    correction_pct: Floats
    stderr_pct: Floats
    weight_s: Floats
    transient: float
    variances: Variances


class CurveSolver:
    """Solves for one axis; keeps what depends on the axis and settings alone."""

    def __init__(self, axis_v: Floats, settings: CurveSettings) -> None:
        self._settings = settings
        self._cells = axis_v.size
        distance = np.abs(axis_v[:, np.newaxis] - axis_v) * (np.sqrt(3.0) / settings.smooth_length_v)
        covariance = settings.smooth_sd_pct**2 * (1.0 + distance) * np.exp(-distance)
        covariance += settings.own_sd_pct**2 * np.eye(self._cells)
        self._prior = np.zeros((self._cells + 1, self._cells + 1))
        self._prior[:-1, :-1] = np.linalg.inv(covariance)
        self._prior[-1, -1] = settings.transient_sd**-2

    def solve(self, view: BlockView) -> Curve:
        """The curve for these blocks; all zero with the prior's width where there are none."""
        normal = _NormalEquations(view, self._cells)
        variances = Variances()
        solution, inverse = self._fit(normal, variances)
        for _ in range(VARIANCE_PASSES if normal.segments else 0):
            variances = self._variances(normal, solution.sum(axis=1))
            solution, inverse = self._fit(normal, variances)
        cells = slice(0, self._cells)
        # The loop-error part was computed for one pair of gains; with gains twice or half as large
        # it halves or doubles. 0.3 of the distance between the two is what not knowing them costs.
        gain_spread = 0.3 * 1.5 * np.abs(solution[cells, 1])
        stderr = np.sqrt(np.diag(inverse)[cells] + self._settings.model_sd_pct**2 + gain_spread**2)
        return Curve(
            solution[cells].sum(axis=1), stderr, normal.weight_s, float(solution[-1].sum()), variances
        )

    def _fit(self, normal: _NormalEquations, variances: Variances) -> tuple[Floats, Floats]:
        """Solution (k+1, 2), for the trim and the loop-error part, and the inverse of M."""
        noise = variances.noise
        matrix = self._prior + normal.matrix / noise
        right = normal.right / noise
        for segment in normal.segments:
            level = variances.drift * np.exp(-segment.distance_s / self._settings.level_memory_s)
            level[np.diag_indices_from(level)] += variances.block
            # (G^-1 + W/s2w)^-1 without inverting G, which is nearly singular when drift rules.
            inner = np.linalg.solve(np.eye(len(level)) + level * (segment.weight / noise), level)
            projected = segment.hats.T @ inner / noise**2
            matrix -= projected @ segment.hats
            right -= projected @ segment.asked
        matrix = 0.5 * (matrix + matrix.T)
        inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
        return inverse @ right, inverse

    def _variances(self, normal: _NormalEquations, solution: Floats) -> Variances:
        """Method of moments on the blocks' residual levels, shrunk to :class:`Variances`' defaults."""
        usual = Variances()
        squares, near, far, inverse_weights = [], [], [], []
        for segment in normal.segments:
            heavy = segment.weight >= MIN_BLOCK_WEIGHT_S
            weight = segment.weight[heavy]
            if weight.size == 0:
                continue
            residual = (segment.asked[heavy].sum(axis=1) - segment.hats[heavy] @ solution) / weight
            product = residual[:, np.newaxis] * residual
            lag = np.rint(segment.distance_s[np.ix_(heavy, heavy)] / BLOCK_S)
            upper = np.triu(np.ones_like(lag, dtype=np.bool_), 1)
            squares.append(residual**2)
            inverse_weights.append(1.0 / weight)
            near.append(product[upper & (lag == 1)])
            far.append(product[upper & (lag >= 3) & (lag <= 9)])
        count = sum(part.size for part in squares)
        if count < 2:
            return usual
        lag_one, lag_far = _mean(near, 0.0), _mean(far, 0.0)
        # An independent level needs about twice its memory: so many of them were seen.
        levels = count * BLOCK_S / (2.0 * self._settings.level_memory_s)
        drift = _shrunk(lag_far / 0.8, usual.drift, levels)
        block = _shrunk(lag_one - lag_far, usual.block, count)
        noise = _shrunk((_mean(squares, 0.0) - lag_one) / _mean(inverse_weights, 1.0), usual.noise, count)
        return Variances(noise=max(noise, 1.5), block=max(block, 0.02), drift=max(drift, 0.02))


@dataclass(frozen=True, slots=True, eq=False)
class _Segment:
    """Consecutive blocks (b) of one drive: hats (b, k+1), asked (b, 2), weight (b,), s."""

    hats: Floats
    asked: Floats
    weight: Floats
    distance_s: Floats


class _NormalEquations:
    """Sums of all blocks as matrix (k+1, k+1) and right side (k+1, 2), and the blocks' own levels."""

    def __init__(self, view: BlockView, cells: int) -> None:
        matrix = np.zeros((cells + 1, cells + 1))
        diagonal = np.arange(cells)
        matrix[diagonal, diagonal] = view.row("hat2").sum(axis=0)
        beside = view.row("hat_next").sum(axis=0)[:-1]
        matrix[diagonal[:-1], diagonal[1:]] = beside
        matrix[diagonal[1:], diagonal[:-1]] = beside
        matrix[-1, :-1] = matrix[:-1, -1] = view.row("hat_transient").sum(axis=0)
        matrix[-1, -1] = view.scalar("transient2").sum()
        self.matrix = matrix
        self.right = np.empty((cells + 1, 2))
        self.right[:-1, 0] = view.row("hat_trim").sum(axis=0)
        self.right[:-1, 1] = view.row("hat_error").sum(axis=0)
        self.right[-1] = view.scalar("transient_trim").sum(), view.scalar("transient_error").sum()
        hats = np.column_stack((view.row("hat"), view.scalar("transient")))
        asked = np.column_stack((view.scalar("trim"), view.scalar("error")))
        weight = view.scalar("weight")
        self.weight_s = view.row("hat").sum(axis=0)
        self.segments = []
        drive = np.array([key.drive for key in view.keys], dtype=np.int64)
        block = np.array([key.block for key in view.keys], dtype=np.int64)
        segment = np.column_stack((drive, block // SEGMENT_BLOCKS))
        edges = np.flatnonzero(np.any(segment[1:] != segment[:-1], axis=1)) + 1
        for span in np.split(np.arange(drive.size), edges):
            part = span[weight[span] > 0.0]
            if part.size:
                distance = np.abs(block[part][:, np.newaxis] - block[part]) * BLOCK_S
                self.segments.append(_Segment(hats[part], asked[part], weight[part], distance))


def _mean(parts: list[Floats], without: float) -> float:
    values = np.concatenate(parts)
    return float(values.mean()) if values.size else without


def _shrunk(estimate: float, usual: float, evidence: float) -> float:
    """The estimate, pulled to the usual value as if that were ten pieces of evidence."""
    trust = evidence / (evidence + 10.0)
    return trust * estimate + (1.0 - trust) * usual

"""The table to flash: measured cells corrected within limits, everything else as it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lowmaf.maf_table import MafTable
from lowmaf.samples import Floats
from lowmaf.snapshot import CellState

_LEAST_RISE_GS = 1e-4


def propose(
    table: MafTable, correction_pct: Floats, states: Sequence[CellState], max_step_pct: float
) -> Floats | None:
    """Flow to flash (k,), g/s; None for a table without flow.

    Measured cells get flow x (1 + correction/100), at most ``max_step_pct`` away from what they
    have; all others keep their flow exactly. Where flow is above zero the result rises strictly:
    measured cells that would not are moved (least squares, pool adjacent violators), never others.
    """
    if table.flow_gs is None:
        return None
    flow = np.array(table.flow_gs)
    moves = np.array([state is CellState.MEASURED for state in states]) & table.takes_samples
    wanted = np.where(moves, flow * (1.0 + np.where(moves, correction_pct, 0.0) / 100.0), flow)
    limit = max_step_pct / 100.0
    low, high = flow * (1.0 - limit), flow * (1.0 + limit)
    for run in _runs(moves):
        flow[run] = _rising_between(flow, wanted, low, high, run)
    return flow


def _runs(mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[slice]:
    """Spans of consecutive True values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _rising_between(flow: Floats, wanted: Floats, low: Floats, high: Floats, run: slice) -> Floats:
    """Values nearest to ``wanted[run]`` that rise strictly, also from and to the fixed neighbours."""
    size = run.stop - run.start
    spread = flow[max(run.start - 1, 0) : run.stop + 1]
    steps = np.diff(spread)
    # A rise that the present table itself keeps wherever it rises, so that a solution exists.
    rise = 0.5 * float(np.min(steps[steps > 0.0], initial=2.0 * _LEAST_RISE_GS))
    rank = np.arange(size) * rise
    least, most = low[run] - rank, high[run] - rank
    if run.start > 0:
        least = np.maximum(least, flow[run.start - 1] + rise)
    if run.stop < flow.size:
        most = np.minimum(most, flow[run.stop] - size * rise)
    # Both limits must themselves rise for the clipped solution to stay rising and optimal.
    least = np.maximum.accumulate(least)
    most = np.minimum.accumulate(most[::-1])[::-1]
    return np.clip(_isotonic(wanted[run] - rank), least, most) + rank


def _isotonic(values: Floats) -> Floats:
    """Least-squares non-falling fit by pooling adjacent violators (Ayer et al. 1955)."""
    means: list[float] = []
    counts: list[int] = []
    for value in values.tolist():
        means.append(value)
        counts.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            total = means[-1] * counts[-1] + means[-2] * counts[-2]
            counts[-2] += counts[-1]
            means[-2] = total / counts[-2]
            means.pop()
            counts.pop()
    return np.repeat(means, counts)

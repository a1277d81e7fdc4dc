"""The plain calculation that every rival of the reading benchmark ends with, whole or chunk by chunk."""

from __future__ import annotations

import numpy as np

from lowmaf.maf_table import SUBARU_WRX_AXIS_V
from lowmaf.openej import CLOSED_LOOP_STATUS, LAST_STEADY_V_PER_S, nearest_breakpoint
from lowmaf.samples import Floats

AXIS_V = np.array(SUBARU_WRX_AXIS_V)


class NearestCell:
    """Hits and summed trims per breakpoint, by the rules of the OpenEJ service."""

    def __init__(self) -> None:
        self.hits = np.zeros(AXIS_V.size, dtype=np.int64)
        self.trims = np.zeros(AXIS_V.size)
        self._last: tuple[float, float] | None = None

    def add(self, time_ms: Floats, short: Floats, learned: Floats, maf_v: Floats, status: Floats) -> None:
        """Adds rows that follow those added before."""
        if not time_ms.size:
            return
        last_ms, last_v = (time_ms[0] - 1.0, maf_v[0]) if self._last is None else self._last
        step_ms, rise = _steps_from(last_ms, time_ms), _steps_from(last_v, maf_v)
        counted = (1000.0 * rise <= LAST_STEADY_V_PER_S * step_ms) & (step_ms > 0.0)
        counted &= status == CLOSED_LOOP_STATUS
        at = np.flatnonzero(counted)
        cell = nearest_breakpoint(AXIS_V, maf_v.take(at))
        self.hits += np.bincount(cell, minlength=AXIS_V.size)
        self.trims += np.bincount(cell, weights=(short + learned).take(at), minlength=AXIS_V.size)
        self._last = float(time_ms[-1]), float(maf_v[-1])

    def mean_pct(self) -> Floats:
        """Mean trim per breakpoint; 0 without hits."""
        mean: Floats = self.trims / np.maximum(self.hits, 1)
        return mean


def _steps_from(before: float, values: Floats) -> Floats:
    steps = np.empty_like(values)
    steps[0] = values[0] - before
    np.subtract(values[1:], values[:-1], out=steps[1:])
    return steps

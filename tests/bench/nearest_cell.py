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
        before = (time_ms[0] - 1.0, maf_v[0]) if self._last is None else self._last
        step_ms = np.diff(time_ms, prepend=before[0])
        rise = np.diff(maf_v, prepend=before[1])
        counted = (1000.0 * rise <= LAST_STEADY_V_PER_S * step_ms) & (step_ms > 0.0)
        counted &= status == CLOSED_LOOP_STATUS
        cell = nearest_breakpoint(AXIS_V, maf_v[counted])
        self.hits += np.bincount(cell, minlength=AXIS_V.size)
        self.trims += np.bincount(cell, weights=(short + learned)[counted], minlength=AXIS_V.size)
        self._last = float(time_ms[-1]), float(maf_v[-1])

    def mean_pct(self) -> Floats:
        """Mean trim per breakpoint; 0 without hits."""
        mean: Floats = self.trims / np.maximum(self.hits, 1)
        return mean

"""Rows of a recording as they pass: how many, how often, and where time has holes."""

from __future__ import annotations

from drivers.logs.sampling import GAP_S
from lowmaf.samples import SampleBatch


class RowTally:
    """``last_s`` is the time of the newest sample, None before the first."""

    def __init__(self) -> None:
        self.rows = 0
        self.gaps = 0
        self.last_s: float | None = None
        self._driven_s = 0.0

    def count(self, batch: SampleBatch) -> None:
        """Takes note of samples in the order of time."""
        for t_s in batch.t_s.tolist():
            step_s = 0.0 if self.last_s is None else t_s - self.last_s
            if step_s > GAP_S:
                self.gaps += 1
            else:
                self._driven_s += step_s
            self.last_s = t_s
        self.rows += len(batch)

    @property
    def rate_hz(self) -> float | None:
        """Samples per second outside of holes; None with fewer than two."""
        return (self.rows - 1 - self.gaps) / self._driven_s if self._driven_s else None

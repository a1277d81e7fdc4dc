"""Rows of values as they are read, made into the columns that the core takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lowmaf.samples import SampleBatch


def batch_of(t_s: Sequence[float], channels: Sequence[str], rows: Sequence[Sequence[float]]) -> SampleBatch:
    """A batch of n samples: times (n,) and rows (n, channels) in the order of ``channels``."""
    columns = np.ascontiguousarray(np.array(rows, dtype=np.float64).T)
    return SampleBatch(np.array(t_s, dtype=np.float64), dict(zip(channels, columns, strict=True)))

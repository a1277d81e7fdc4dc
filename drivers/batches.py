"""Rows of values as they are read, and made into the columns that the core takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lowmaf.samples import CHANNELS, SampleBatch

DELIVER_S = 0.1
"""Wall time over which samples are gathered into one batch: the page shows a new one ten times a second, and
what a batch costs on its way there hardly depends on how many samples it has."""

_EARLY = 0.9  # a sample due at the end of that time belongs to the batch, though it may be a little late
_LOAD = CHANNELS["load_g_rev"]


def is_full(samples: int, gathered_s: float) -> bool:
    """Whether a batch of so many samples, evenly over this wall time, would wait too long for another one."""
    return gathered_s >= DELIVER_S or _EARLY * gathered_s * (samples + 1) > DELIVER_S * samples


def batch_of(t_s: Sequence[float], channels: Sequence[str], rows: Sequence[Sequence[float]]) -> SampleBatch:
    """A batch of n samples: times (n,) and rows (n, channels) in the order of ``channels``."""
    columns = np.ascontiguousarray(np.array(rows, dtype=np.float64).T)
    return SampleBatch(np.array(t_s, dtype=np.float64), dict(zip(channels, columns, strict=True)))


def load_of(maf_gs: float, rpm: float) -> float:
    """Engine load, g/rev, from air flow, g/s, and speed, 1/min; NaN where it is none that can be."""
    load = 60.0 * maf_gs / rpm if rpm > 0.0 else math.nan
    return load if _LOAD.low <= load <= _LOAD.high else math.nan

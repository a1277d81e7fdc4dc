"""Looking up neighbours in time, in arithmetic that does not depend on how samples were chunked.

Every function here gives each sample a result that depends only on the samples inside a fixed
span around it: sums are sums of integers (exact in any order), maxima are maxima, and
interpolation is written out so that one sample alone and a million at once take the same path.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowmaf.samples import Floats

Indices = NDArray[np.intp]
Integers = NDArray[np.int64]

QUANTUM = 2.0**-32
"""Step to which summed quantities are rounded. Integers of this step add without rounding, so a
sum is the same in every order; the step is 2e-10 of a second, a per cent or their product."""


def quantised(values: Floats) -> Floats:
    """Values in whole :data:`QUANTUM` steps, still as float64 (exact below 2**53 steps)."""
    return np.rint(values * (1.0 / QUANTUM))


class Lookup:
    """Positions of query times in rising sample times; values are linear between samples.

    ``inside`` is False where the query lies before the first or after the last sample;
    ``gap_s`` is the distance between the two samples around the query.
    """

    __slots__ = ("after", "before", "fraction", "gap_s", "inside")

    def __init__(self, t_s: Floats, query_s: Floats) -> None:
        last = t_s.size - 1
        after = np.searchsorted(t_s, query_s, side="right")
        self.inside = (after > 0) & (after <= last)
        self.before: Indices = np.clip(after - 1, 0, last)
        self.after: Indices = np.clip(after, 0, last)
        self.gap_s = t_s[self.after] - t_s[self.before]
        with np.errstate(invalid="ignore", divide="ignore"):
            fraction = (query_s - t_s[self.before]) / self.gap_s
        self.fraction = np.where(self.gap_s > 0.0, fraction, 0.0)

    def at(self, values: Floats) -> Floats:
        """``values`` (one per sample) at the query times; the end values beyond the ends."""
        low = values[self.before]
        return low + self.fraction * (values[self.after] - low)


class WindowMeans:
    """Means over time windows of a quantity (n,), or several (m, n), sampled at ``t_s`` (n,)."""

    __slots__ = ("_sums", "_t_s")

    def __init__(self, t_s: Floats, values: Floats) -> None:
        self._t_s = t_s
        steps = quantised(values).astype(np.int64)
        self._sums: Integers = np.concatenate(
            (np.zeros_like(steps[..., :1]), np.cumsum(steps, axis=-1)), axis=-1
        )

    def between(self, start_s: Floats, stop_s: Floats) -> Floats:
        """Mean over samples with start <= t <= stop; NaN where a window holds none."""
        first = np.searchsorted(self._t_s, start_s, side="left")
        stop = np.searchsorted(self._t_s, stop_s, side="right")
        count = stop - first
        total = self._sums.take(stop, axis=-1) - self._sums.take(first, axis=-1)
        means: Floats = total * QUANTUM / np.where(count > 0, count, np.nan)
        return means


def window_maxima(t_s: Floats, values: Floats, start_s: Floats, stop_s: Floats) -> Floats:
    """Largest value among samples with start <= t <= stop, for windows that hold at least one."""
    first = np.searchsorted(t_s, start_s, side="left")
    stop = np.searchsorted(t_s, stop_s, side="right")
    length = np.maximum(stop - first, 1)
    # Two overlapping spans of a power of two cover any window: a sparse table of maxima.
    power = np.frexp(length.astype(np.float64))[1] - 1
    maxima = values
    result = np.empty(start_s.size)
    for exponent in range(int(power.max(initial=0)) + 1):
        here = power == exponent
        span = 1 << exponent
        low = first[here]
        result[here] = np.maximum(maxima[low], maxima[stop[here] - span])
        if maxima.size > span:
            maxima = np.maximum(maxima[:-span], maxima[span:])
    return result

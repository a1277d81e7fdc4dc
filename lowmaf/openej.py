"""The OpenEJ method, rule for rule: trims of a whole log averaged on the 2002-2007 WRX axis.

It is kept beside our own estimators because its web client and its users' figures exist. What it
counts is counted here as well, to the sample; only its arithmetic is not repeated: it rounds its
running mean to 0.01 after each sample, which drifts and in the end freezes (400 x +2 and then
4000 x -2 gives it +0.67 for a mean of -1.64). Here the mean is exact and rounded once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowmaf.maf_table import SUBARU_WRX_AXIS_V
from lowmaf.samples import Floats

CLOSED_LOOP_STATUS = 8.0

LAST_STEADY_V_PER_S = 0.295
"""The largest dMAF/dt whose text with two decimals is below 0.3.

The rule is ``float(f"{x:.2f}") < 0.3``. The double nearest to 0.295 lies below it by 2e-17 and is
therefore written as 0.29; the next double is written as 0.30. No tie exists in between, so one
comparison says exactly what formatting every number would.
"""

_ROUNDING_DOUBT = 1e-6
"""Distance from a rounding tie, in hundredths, below which a sum is made again without error."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenEjColumns:
    """Rows of a request as float64 columns of shape (n,); NaN where a row has no such number.

    ``time_ms`` ms, ``short_pct`` and ``learning_pct`` %, ``maf_v`` V, ``status`` Subaru's fuel loop
    status (8 = closed loop).
    """

    time_ms: Floats
    short_pct: Floats
    learning_pct: Floats
    maf_v: Floats
    status: Floats


@dataclass(frozen=True, slots=True, eq=False)
class OpenEjTable:
    """One value per breakpoint, shape (48,); ``correction_pct`` is 0 where nothing was counted."""

    maf_v: Floats
    correction_pct: Floats
    frequency: NDArray[np.int64]


def openej_table(columns: OpenEjColumns) -> OpenEjTable:
    """Mean of short plus learning trim per breakpoint, over steady rows in closed loop.

    A row with a NaN in any column is skipped and is no neighbour. dMAF/dt is taken between
    consecutive remaining rows, whatever their status, and is *signed*: only a rise of 0.295 V/s or
    more is a transient. Where time stands still or runs back, the step is a transient. The first
    row is always steady. Volts beyond the axis count to its end cells.
    """
    whole = np.isfinite(columns.time_ms) & np.isfinite(columns.maf_v) & np.isfinite(columns.status)
    whole &= np.isfinite(columns.short_pct) & np.isfinite(columns.learning_pct)
    time_ms, maf_v = columns.time_ms[whole], columns.maf_v[whole]
    trim_pct = columns.short_pct[whole] + columns.learning_pct[whole]
    counted = _steady(time_ms, maf_v) & (columns.status[whole] == CLOSED_LOOP_STATUS)
    axis = np.array(SUBARU_WRX_AXIS_V)
    cell, trim_pct = nearest_breakpoint(axis, maf_v[counted]), trim_pct[counted]
    frequency = np.bincount(cell, minlength=axis.size)
    return OpenEjTable(axis, _rounded_means(cell, trim_pct, frequency), frequency)


def nearest_breakpoint(axis: Floats, maf_v: Floats) -> NDArray[np.intp]:
    """Index of the breakpoint nearest to each voltage; in a tie, in doubles, the upper one."""
    right = np.clip(np.searchsorted(axis, maf_v), 1, axis.size - 1)
    left_is_nearer = np.abs(axis[right - 1] - maf_v) < np.abs(axis[right] - maf_v)
    return right - left_is_nearer


def _steady(time_ms: Floats, maf_v: Floats) -> NDArray[np.bool_]:
    steady = np.ones(time_ms.size, dtype=np.bool_)
    if time_ms.size > 1:
        step_ms = np.diff(time_ms)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            rise = 1000.0 * np.diff(maf_v) / step_ms
        steady[1:] = (step_ms > 0.0) & (rise <= LAST_STEADY_V_PER_S)
    return steady


def _rounded_means(cell: NDArray[np.intp], trim_pct: Floats, frequency: NDArray[np.int64]) -> Floats:
    """Mean per cell, rounded once to 2 decimals.

    A plain sum is good to 1e-12 of it; only where that could change the rounding is the sum made
    again exactly.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.bincount(cell, weights=trim_pct, minlength=frequency.size) / np.maximum(frequency, 1)
        hundredths = mean * 100.0
        doubtful = np.abs(hundredths - np.floor(hundredths) - 0.5) < _ROUNDING_DOUBT
    for index in np.flatnonzero(doubtful | ~np.isfinite(mean)):
        mean[index] = _exact_mean(trim_pct[cell == index])
    return np.array([round(value, 2) for value in mean.tolist()]) + 0.0


def _exact_mean(values: Floats) -> float:
    try:
        return math.fsum(values.tolist()) / values.size
    except OverflowError:
        return math.fsum((values / values.size).tolist())

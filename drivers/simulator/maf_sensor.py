"""The MAF sensor, its true transfer curve, and the ECU's table that is wrong by a known amount."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable

import numpy as np

from drivers.simulator.noise import seeded
from drivers.simulator.settings import STEP_S, CarSettings, TableError
from lowmaf.maf_table import MafTable, MafTableError
from lowmaf.samples import Floats

_LOWEST_V, _LOWEST_GS = 0.90, 0.85
_HIGHEST_V, _HIGHEST_GS = 5.00, 290.0
_KING_EXPONENT = 0.70


def breakpoints_v() -> Floats:
    """The table's 54 breakpoints, V: dense where closed loop is driven, wider above."""
    dense = 0.90 + 0.04 * np.arange(15)
    middle = 1.46 + 0.06 * np.arange(1, 24)
    high = np.linspace(2.84, _HIGHEST_V, 17)[1:]
    return np.round(np.concatenate([dense, middle, high]), 2)


def true_flow_gs(maf_v: Floats) -> Floats:
    """King's law of a hot wire, V² = a + b·flow^0.7, through both ends of the table; g/s."""
    low, high = _LOWEST_GS**_KING_EXPONENT, _HIGHEST_GS**_KING_EXPONENT
    b = (_HIGHEST_V**2 - _LOWEST_V**2) / (high - low)
    a = _LOWEST_V**2 - b * low
    flow: Floats = ((maf_v**2 - a) / b) ** (1.0 / _KING_EXPONENT)
    return flow


def true_curve() -> tuple[Floats, Floats]:
    """Volts and true flow, g/s, of the sensor, linear in between."""
    volts = breakpoints_v()
    return volts, true_flow_gs(volts)


def table_error(settings: CarSettings, maf_v: Floats) -> Floats:
    """Relative error of the ECU's table, shape as ``maf_v``: true flow = table x (1 + error)."""
    return settings.error_scale * _SHAPES[settings.table_error](maf_v, settings.error_seed)


def ecu_table(settings: CarSettings) -> MafTable:
    """The table in the simulated ECU: the true curve divided by (1 + error)."""
    volts = breakpoints_v()
    flow = true_flow_gs(volts) / (1.0 + table_error(settings, volts))
    return MafTable("simulated car", volts, np.maximum.accumulate(flow))


def _bell(maf_v: Floats, middle_v: float, width_v: float) -> Floats:
    return np.exp(-0.5 * ((maf_v - middle_v) / width_v) ** 2)


def _intake(maf_v: Floats, _seed: int) -> Floats:
    slope = 0.028 + 0.022 * np.tanh((maf_v - 1.7) / 0.6)
    return slope + 0.05 * _bell(maf_v, 2.15, 0.20) - 0.06 * _bell(maf_v, 1.36, 0.14)


def _random_curve(maf_v: Floats, seed: int) -> Floats:
    draw = seeded(seed)
    curve = np.full_like(maf_v, draw.gauss(0.0, 0.02))
    for middle_v in np.arange(0.9, 5.1, 0.45):
        curve += draw.gauss(0.0, 0.055) * _bell(maf_v, float(middle_v), draw.uniform(0.22, 0.40))
    return np.clip(curve, -0.18, 0.18)


_SHAPES: dict[TableError, Callable[[Floats, int], Floats]] = {
    TableError.INTAKE: _intake,
    TableError.HOUSING: lambda v, _: np.full_like(v, 0.12),
    TableError.SCALED_DOWN: lambda v, _: np.full_like(v, -0.13),
    TableError.SLOPE: lambda v, _: 0.06 * np.tanh((v - 1.8) / 0.9),
    TableError.BUMP: lambda v, _: 0.11 * _bell(v, 1.9, 0.25),
    TableError.IDLE_END: lambda v, _: 0.15 / (1.0 + np.exp((v - 1.35) / 0.09)),
    TableError.SINE: lambda v, _: 0.07 * np.sin(2.0 * math.pi * (v - 0.9) / 1.1),
    TableError.HIGH_FLOW_DROP: lambda v, _: -0.10 / (1.0 + np.exp((2.3 - v) / 0.15)),
    TableError.RANDOM: _random_curve,
    TableError.ZERO: lambda v, _: np.zeros_like(v),
}


class MafSensor:
    """Sensor with lag and turbulence, read through the ECU's table.

    ``maf_v`` is the sensor's voltage, ``table_gs`` what the ECU makes of it, ``cell`` the table's
    nearest breakpoint. The true curve is linear between :func:`breakpoints_v`; on a table of the same
    breakpoints the correction that the car needs is therefore exact between them too.
    """

    __slots__ = ("_cell", "_flow", "_gain", "_last", "_middle_v", "_noise", "_random", "_slope_table",
                 "_slope_v", "_table", "_true_gs", "_volts", "cell", "maf_v", "table",
                 "table_gs")  # fmt: skip

    def __init__(self, settings: CarSettings, table: MafTable | None, draw: random.Random) -> None:
        """``table`` is that of the ECU, None the settings' own.

        Raises:
            MafTableError: the table has no flow, or none above zero where the sensor reads.
        """
        self.table = ecu_table(settings) if table is None else table
        # not np.union1d: it would load masked arrays, 2 MB
        volts = np.array(sorted({*breakpoints_v().tolist(), *self.table.maf_v.tolist()}))
        volts = volts[(volts >= _LOWEST_V) & (volts <= _HIGHEST_V)]
        true_gs, table_gs = np.interp(volts, *true_curve()), self.table.flow_at(volts)
        if table_gs[0] <= 0.0:
            raise MafTableError(f"flow must be above 0 g/s from {_LOWEST_V:g} V on, not {table_gs[0]:g}")
        self._volts: list[float] = volts.tolist()
        self._true_gs: list[float] = true_gs.tolist()
        self._table: list[float] = table_gs.tolist()
        self._slope_v: list[float] = (np.diff(volts) / np.diff(true_gs)).tolist()
        self._slope_table: list[float] = (np.diff(table_gs) / np.diff(true_gs)).tolist()
        self._last = len(self._slope_v) - 1
        axis = self.table.maf_v
        cell = np.clip(np.searchsorted(axis, volts, side="right") - 1, 0, axis.size - 2)
        self._cell: list[int] = cell.tolist()
        self._middle_v: list[float] = (0.5 * (axis[cell] + axis[cell + 1])).tolist()
        self._gain = 1.0 - math.exp(-STEP_S / settings.maf_lag_s)
        # uniform noise of this half width has the standard deviation asked for
        self._noise = settings.maf_noise_pct / 100.0 * math.sqrt(12.0)
        self._random = draw.random
        self._flow = settings.idle_flow_gs
        self.maf_v = self.table_gs = 0.0
        self.cell = 0
        self.step(self._flow)

    def step(self, metered_gs: float) -> float:
        """One step with this flow through the bore, g/s; returns ``table_gs``."""
        noisy = metered_gs * (1.0 + self._noise * (self._random() - 0.5))
        flow = self._flow = self._flow + self._gain * (noisy - self._flow)
        left = min(max(bisect_right(self._true_gs, flow) - 1, 0), self._last)
        over = max(flow - self._true_gs[left], 0.0)
        maf_v = self.maf_v = self._volts[left] + over * self._slope_v[left]
        table_gs = self.table_gs = self._table[left] + over * self._slope_table[left]
        self.cell = self._cell[left] + (maf_v >= self._middle_v[left])
        return table_gs

    def correction_pct(self) -> Floats:
        """What every cell's flow should be changed by, %, shape as the table's breakpoints.

        NaN at breakpoints that the sensor never reaches.
        """
        volts = self.table.maf_v
        reached = (volts >= _LOWEST_V) & (volts <= _HIGHEST_V)
        ratio = np.full(volts.shape, np.nan)
        ratio[reached] = np.interp(volts[reached], *true_curve()) / self.table.flow_at(volts[reached])
        return 100.0 * (ratio - 1.0)

    def correction_at_flow(self, flow_gs: float) -> float:
        """The same at a flow of the table, as a fraction."""
        return float(np.interp(flow_gs, self._table, np.array(self._true_gs) / self._table) - 1.0)

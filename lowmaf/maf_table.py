"""The ROM's MAF table: air flow over sensor voltage, linear between breakpoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lowmaf.samples import Floats

MAX_CELLS = 1024
MAX_FLOW_GS = 1e6
DIP = 0.01
"""Flow may fall by this share from one cell to the next: measured tables in real ROMs do."""


class MafTableError(ValueError):
    """A MAF table that cannot be one; the message says which value is wrong and what is allowed."""


@dataclass(frozen=True, slots=True, eq=False)
class MafTable:
    """Breakpoints ``maf_v`` (k,), V, strictly rising, and their flow ``flow_gs`` (k,), g/s.

    ``flow_gs`` is None where only the axis is known: corrections can then be learned, but no
    table can be proposed. Flow rises with voltage, but for dips of less than 1 % that real tables
    have, and may be zero or negative at the low end (Bosch, Mazda); such cells take no samples.

    Raises:
        MafTableError: fewer than 2 or more than 1024 cells, a value that is not finite, volts
            that do not rise or lie outside 0 to 5.5 V, flow that falls, no flow above zero.
    """

    name: str
    maf_v: Floats
    flow_gs: Floats | None = None
    revision: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "maf_v", _frozen(self.maf_v))
        if self.flow_gs is not None:
            object.__setattr__(self, "flow_gs", _frozen(self.flow_gs))
        volts, flow = self.maf_v, self.flow_gs
        if volts.ndim != 1 or not 2 <= volts.size <= MAX_CELLS:
            raise MafTableError(f"a MAF table has 2 to {MAX_CELLS} cells, not {volts.size}")
        if flow is not None and flow.shape != volts.shape:
            raise MafTableError(f"{volts.size} volts but {flow.size} flow values")
        for row, unit in ((volts, "V"), (flow, "g/s")):
            if row is not None and not np.isfinite(row).all():
                cell = int(np.flatnonzero(~np.isfinite(row))[0])
                raise MafTableError(f"cell {cell + 1} has no finite value in {unit}")
        if flow is not None and (flow[-1] <= 0.0 or flow[-1] > MAX_FLOW_GS):
            raise MafTableError(
                f"the highest cell needs a flow above 0 and up to {MAX_FLOW_GS:g} g/s, met {flow[-1]:g} g/s"
            )
        if volts[0] < 0.0 or volts[-1] > 5.5:
            raise MafTableError(f"volts must lie in 0 to 5.5 V, met {volts[0]:g} to {volts[-1]:g} V")
        if (falling := np.flatnonzero(np.diff(volts) <= 0.0)).size:
            cell = int(falling[0])
            raise MafTableError(
                f"volts must rise from cell to cell, but cell {cell + 1} has {volts[cell]:g} V and "
                f"cell {cell + 2} has {volts[cell + 1]:g} V"
            )
        if flow is not None and (falling := np.flatnonzero(np.diff(flow) < -DIP * np.abs(flow[:-1]))).size:
            cell = int(falling[0])
            raise MafTableError(
                f"flow must not fall with voltage, but it falls from {flow[cell]:g} to "
                f"{flow[cell + 1]:g} g/s at {volts[cell + 1]:g} V (cell {cell + 2})"
            )

    @property
    def cells(self) -> int:
        return int(self.maf_v.size)

    @property
    def takes_samples(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Cells that can be corrected by a factor: those with flow above zero (all, without flow)."""
        if self.flow_gs is None:
            return np.ones(self.cells, dtype=np.bool_)
        return self.flow_gs > 0.0

    def flow_at(self, maf_v: Floats) -> Floats:
        """Flow, g/s, at the given volts, linear between breakpoints and flat beyond the ends.

        Raises:
            MafTableError: this table has no flow.
        """
        return np.interp(maf_v, self.maf_v, self._flow())

    def voltage_at(self, flow_gs: Floats) -> Floats:
        """Volts at which the table gives this flow; NaN outside the table and where it is flat there.

        Used for logs that carry g/s but no voltage, and where g/s is finer than the voltage.

        Raises:
            MafTableError: this table has no flow.
        """
        flow = self._flow()
        from_left, from_right = np.maximum.accumulate(flow), np.minimum.accumulate(flow[::-1])[::-1]
        rising = 0.5 * (from_left + from_right)
        flat = rising[:-1][np.diff(rising) == 0.0]
        known = (flow_gs >= flow[0]) & (flow_gs <= flow[-1]) & ~np.isin(flow_gs, flat)
        return np.where(known, np.interp(flow_gs, rising, self.maf_v), np.nan)

    def _flow(self) -> Floats:
        if self.flow_gs is None:
            raise MafTableError(f"the table {self.name!r} has an axis but no flow (g/s)")
        return self.flow_gs


def _frozen(values: Floats) -> Floats:
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


SUBARU_WRX_AXIS_V = (
    0.94, 0.98, 1.02, 1.05, 1.09, 1.13, 1.17, 1.21, 1.25, 1.29, 1.33, 1.37, 1.41, 1.48, 1.56, 1.64,
    1.72, 1.80, 1.87, 1.95, 2.03, 2.11, 2.19, 2.27, 2.34, 2.42, 2.54, 2.66, 2.77, 2.89, 3.01, 3.12,
    3.24, 3.36, 3.48, 3.59, 3.71, 3.83, 3.95, 4.06, 4.18, 4.30, 4.41, 4.49, 4.57, 4.61, 4.65, 4.69,
)  # fmt: skip
"""Breakpoints of the 2002-2007 USDM WRX, which the OpenEJ service uses for every car."""


def default_axis() -> MafTable:
    """The axis used when no table is given: breakpoints of the 2002-2007 USDM WRX, no flow."""
    return MafTable("2002-2007 USDM WRX axis", np.array(SUBARU_WRX_AXIS_V))

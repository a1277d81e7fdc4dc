"""The methods that other tools use, as peers: trims averaged in cells.

Each takes samples (with measured lambda where it wants to filter by it) and the axis, and gives a
correction per cell, %, 0 where it has nothing to say. Rules were taken from the tools' published
sources; of TunerStudio's VE Analyze Live only the outlines are known, so it is called *like* it.
"""

from __future__ import annotations

import numpy as np

from lowmaf.maf_table import MafTable
from lowmaf.openej import LAST_STEADY_V_PER_S, nearest_breakpoint
from lowmaf.samples import Floats, FuelLoop, SampleBatch

AFR = 14.7


def openej_like(batch: SampleBatch, table: MafTable) -> Floats:
    """OpenEJ: closed loop, volts not rising by 0.3 V/s or more, nearest cell, mean of short + long.

    Its service knows one axis only; here the rules run on the car's own. The mean is exact.
    """
    steady = np.ones(len(batch), dtype=np.bool_)
    steady[1:] = np.diff(batch["maf_v"]) / np.diff(batch.t_s) <= LAST_STEADY_V_PER_S
    counted = steady & _closed(batch)
    cell = nearest_breakpoint(table.maf_v, batch["maf_v"][counted])
    return _means(cell, _trim_pct(batch)[counted], table.cells)


def nearest_steady(batch: SampleBatch, table: MafTable) -> Floats:
    """Closed loop, |dV/dt| below 0.3 V/s over half a second, coolant 70 °C, nearest cell, mean."""
    change = batch["maf_v"] - np.interp(batch.t_s - 0.5, batch.t_s, batch["maf_v"])
    counted = (np.abs(change) < 0.15) & _closed(batch) & (batch["ect_c"] >= 70.0)
    cell = nearest_breakpoint(table.maf_v, batch["maf_v"][counted])
    return _means(cell, _trim_pct(batch)[counted], table.cells)


def mafscaling_like(batch: SampleBatch, table: MafTable) -> Floats:
    """mafscaling: AFR 13.7 to 15, load of 0.2 g/rev, |dV/dt| up to 0.7 V/s, cell by g/s.

    A cell of more than 30 hits gets the middle between mean and mode.
    """
    assert table.flow_gs is not None
    slope = np.zeros(len(batch))
    slope[1:] = np.abs(np.diff(batch["maf_v"]) / np.diff(batch.t_s))
    afr = AFR * batch["lambda_"]
    counted = _closed(batch) & (slope <= 0.7) & (batch["load_g_rev"] >= 0.2) & (afr >= 13.7) & (afr <= 15.0)
    cell = nearest_breakpoint(table.flow_gs, batch["maf_gs"][counted])
    trims = np.round(_trim_pct(batch)[counted], 2)
    correction = np.zeros(table.cells)
    for index in range(table.cells):
        own = trims[cell == index]
        if own.size > 30:
            values, counts = np.unique(own, return_counts=True)
            correction[index] = 0.5 * (own.mean() + values[np.argmax(counts)])
    return correction


def veal_like(batch: SampleBatch, table: MafTable) -> Floats:
    """Hat-weighted mean of the trims seen a delay later, no tip-in, cells that resist for ten hits."""
    assert table.flow_gs is not None
    t_s, volts = batch.t_s, batch["maf_v"]
    delay_s = np.interp(batch["maf_gs"], (2.0, 10.0, 40.0, 120.0), (0.60, 0.35, 0.22, 0.18))
    trims = np.interp(t_s + delay_s, t_s, _trim_pct(batch))
    change = np.abs(volts - np.interp(t_s - 0.5, t_s, volts))
    tip_in = np.interp(t_s - 0.3, t_s, np.where(change > 0.25, 1.0, 0.0)) + (change > 0.25)
    still = np.interp(t_s + delay_s, t_s, _closed(batch).astype(np.float64)) == 1.0
    counted = _closed(batch) & still & (tip_in == 0.0) & (batch["ect_c"] >= 70.0)
    axis, v, y = table.maf_v, volts[counted], trims[counted]
    left = np.clip(np.searchsorted(axis, v, side="right") - 1, 0, table.cells - 2)
    high = np.clip((v - axis[left]) / (axis[left + 1] - axis[left]), 0.0, 1.0)
    hits = np.bincount(left, 1.0 - high, table.cells) + np.bincount(left + 1, high, table.cells)
    total = np.bincount(left, (1.0 - high) * y, table.cells) + np.bincount(left + 1, high * y, table.cells)
    resistance_hits = 10.0
    correction: Floats = total / (hits + resistance_hits)
    return correction


CLASSICS = {
    "OpenEJ": openej_like,
    "nearest |dV/dt|": nearest_steady,
    "VEAL-like": veal_like,
    "mafscaling": mafscaling_like,
}


def _closed(batch: SampleBatch) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return batch["fuel_loop"] == FuelLoop.CLOSED


def _trim_pct(batch: SampleBatch) -> Floats:
    return batch["stft_pct"] + batch["ltft_pct"]


def _means(cell: np.ndarray[tuple[int], np.dtype[np.intp]], trims: Floats, cells: int) -> Floats:
    hits = np.bincount(cell, minlength=cells)
    means: Floats = np.bincount(cell, trims, cells) / np.maximum(hits, 1)
    return means

"""Where a minute of driving would teach most, in terms a driver can follow."""

from __future__ import annotations

import math

import numpy as np

from lowmaf.cells import BlockView
from lowmaf.filters import Mask
from lowmaf.maf_table import MafTable
from lowmaf.samples import Floats
from lowmaf.snapshot import DriveNext
from lowmaf.solve import Curve

PLACES = 3
MINUTE_S = 60.0
RPM_SPREAD = 1.0
"""An engine-speed range reaches this many standard deviations to both sides of what was seen."""
ROUND_RPM = 100.0
HELD_S = 2.0
USE_SPREAD_V = 0.2
WORTH = 0.4
"""A place takes in the neighbours that gain at least this share of what the best cell gains."""


def drive_next(
    table: MafTable, curve: Curve, view: BlockView, noise_pct2_s: float, wanted: Mask
) -> tuple[DriveNext, ...]:
    """At most :data:`PLACES` ranges of neighbouring cells, the one that gains most first.

    The gain of a cell is its variance that a minute there would remove, times the share of driving
    that uses the cell; gains are shares of the whole. ``wanted`` (k,) are the cells that still lack
    evidence. Cells above the highest in which closed loop was held for some seconds are never
    suggested: they are full throttle, where the loop is open and nothing can be learned.
    """
    seconds = view.row("plain_nearest")[0]
    reached = np.flatnonzero(seconds >= HELD_S)
    if reached.size == 0:
        return ()
    reachable = (np.arange(table.cells) <= reached[-1]) & (np.arange(table.cells) >= reached[0])
    variance = np.diag(curve.covariance)
    removed = variance**2 / (variance + noise_pct2_s / MINUTE_S)
    use = _use(table.maf_v, seconds)
    gain = np.where(reachable & wanted & table.takes_samples, removed * use, 0.0)
    if gain.sum() <= 0.0:
        return ()
    gain = gain / gain.sum()
    places = [_place(table, view, gain, run) for run in _runs(gain)]
    return tuple(sorted(places, key=lambda place: -place.gain)[:PLACES])


def _use(axis_v: Floats, seconds: Floats) -> Floats:
    """Share of driving per cell, spread over neighbouring volts: a cell between used ones is used."""
    nearness = np.exp(-np.abs(axis_v[:, np.newaxis] - axis_v) / USE_SPREAD_V)
    use = nearness @ seconds
    share: Floats = use / use.sum()
    return share


def _runs(gain: Floats) -> list[slice]:
    """Spans of neighbouring cells that are worth driving in."""
    worth = gain >= WORTH * gain.max()
    edges = np.flatnonzero(np.diff(np.concatenate(([False], worth, [False])).astype(np.int8)))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _place(table: MafTable, view: BlockView, gain: Floats, run: slice) -> DriveNext:
    volts = table.maf_v
    low = volts[max(run.start - 1, 0)] if run.start else volts[0]
    high = volts[min(run.stop, table.cells - 1)]
    maf_v = (0.5 * float(low + volts[run.start]), 0.5 * float(high + volts[run.stop - 1]))
    flow = None
    if table.flow_gs is not None:
        flow_low, flow_high = table.flow_at(np.array(maf_v)).tolist()
        flow = (flow_low, flow_high)
    rpm = _rpm_range(view, run)
    return DriveNext(maf_v, flow, rpm, _load_range(flow, rpm), float(gain[run].sum()))


def _load_range(
    flow_gs: tuple[float, float] | None, rpm: tuple[float, float] | None
) -> tuple[float, float] | None:
    """Air per revolution, g, from the least flow at the highest speed to the most at the lowest."""
    if flow_gs is None or rpm is None or rpm[0] <= 0.0:
        return None
    return 60.0 * flow_gs[0] / rpm[1], 60.0 * flow_gs[1] / rpm[0]


def _rpm_range(view: BlockView, run: slice) -> tuple[float, float] | None:
    """Engine speeds at which these cells were met so far, or else the nearest ones to both sides.

    None where the source gives no engine speed.
    """
    known = np.flatnonzero(view.row("rpm_time")[0])
    if known.size == 0:
        return None
    if not view.row("rpm_time")[0, run].any():
        below, above = known[known < run.start], known[known >= run.stop]
        run = slice(
            int(below[-1]) if below.size else run.start, int(above[0]) + 1 if above.size else run.stop
        )
    seconds = float(view.row("rpm_time")[0, run].sum())
    mean = float(view.row("rpm")[0, run].sum()) / seconds
    square = float(view.row("rpm2")[0, run].sum()) / seconds
    spread = RPM_SPREAD * max(square - mean * mean, 0.0) ** 0.5
    low, high = (1000.0 * value / ROUND_RPM for value in (max(mean - spread, 0.0), mean + spread))
    return (math.floor(low) * ROUND_RPM, math.ceil(high) * ROUND_RPM)

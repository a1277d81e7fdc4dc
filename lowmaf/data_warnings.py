"""What the data themselves say against a table made of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lowmaf.cells import BLOCK_S, BlockKey, BlockView
from lowmaf.maf_table import MafTable
from lowmaf.samples import Floats
from lowmaf.snapshot import CellState, DataWarning, SampleCounts
from lowmaf.solve import Curve
from lowmaf.stream_statistics import StreamStatistics
from lowmaf.verdicts import Verdict

LEAK_SIGNIFICANT = 3.0
LEAK_LEAST_PCT = 4.0
"""Unmetered air is suspected where it would explain this much at the lowest measured cell, by three
standard errors, and explains the curve better than a slope does."""
LEAK_MISFIT = 2.0
"""… and fits to within this many times the expected squared misfit per cell."""
LEAK_BELOW_GS = 40.0
LEAK_CELLS = 6
LIMIT_SHARE = 0.01
LIMIT_BLOCKS_SHARE = 0.10
HELD_LEAST_PCT = 3.0
HELD_LEAST_S = 5.0
"""On real drives the extreme of a trim that is not at its limit is never held for a second."""
TABLE_DISAGREEMENT = 0.10
"""Real logs lie 2 to 5 % rms from the table in the ECU (the flow lags, the volts come in steps)."""
TABLE_LEAST_SAMPLES = 100
SLOW_POLLING_S = 0.5
DRIFT_PCT = 2.0
SLOW_LOOP = 1.3
JUMPS_PER_1000 = 2.0
IAT_RANGE_K = 20.0
RELAY_EVENNESS = 0.5
RELAY_LEAST_SWINGS = 300
STEADY_SHARE = 0.2
"""A cell is met in transients only where steady weight is less than this share of the time in it."""
TRANSIENT_LEAST_S = 10.0


def curve_warnings(
    table: MafTable,
    curve: Curve,
    states: tuple[CellState, ...],
    view: BlockView,
) -> Iterator[DataWarning]:
    """Warnings that follow from the learned curve. ``view`` holds all sums as one block."""
    measured = np.array([state is CellState.MEASURED for state in states])
    leak_gs = suspected_leak_gs(table, curve, view)
    if leak_gs is not None:
        yield DataWarning(
            "air_leak_suspected",
            f"the correction rises towards idle as {leak_gs:.2f} g/s of unmetered air would make it: "
            "look for an air leak behind the MAF sensor before you change the table",
            blocks_flash=True,
        )
    if curve.loop_slowness > SLOW_LOOP:
        yield DataWarning(
            "slow_fuel_loop",
            f"the fuel loop of this car answers about {curve.loop_slowness:.1f} times slower than usual; "
            "that is taken into account",
        )
    if curve.drift_pct > DRIFT_PCT:
        yield DataWarning(
            "level_drift",
            f"the level of the trims wandered by about {curve.drift_pct:.1f} % while driving (temperature, "
            "purge, fuel): the shape of the table is better known than its level",
        )
    time, steady = view.row("plain_nearest")[0], view.row("hat")[0]
    transient = (time >= TRANSIENT_LEAST_S) & (steady < STEADY_SHARE * time)
    if transient.any():
        yield DataWarning(
            "transient_cells",
            f"met almost only while the flow was changing, so less sure than their hits say: "
            f"{_volts(table.maf_v[transient])}",
        )
    if measured.any() and not measured[-1]:
        top = int(np.flatnonzero(measured)[-1])
        yield DataWarning(
            "nothing_above",
            f"nothing is measured above {table.maf_v[top]:.2f} V: those cells stay as they are, and the "
            f"correction of {curve.correction_pct[top]:+.1f} % ends there in a step",
        )


def change_warning(began: BlockKey, *, followed: bool) -> DataWarning:
    """The air path changed where block ``began`` begins; ``followed``: learning began anew there."""
    what = "learning began anew there" if followed else "replay the parts before and after it by themselves"
    where = f"drive {began.drive}, {began.block * BLOCK_S / 60.0:.0f} min"
    return DataWarning("change_detected", f"the trims changed for good at about {where}: {what}")


def stream_warnings(
    counts: SampleCounts, statistics: StreamStatistics, trim_limit_pct: float
) -> Iterator[DataWarning]:
    """Warnings that follow from what the samples are like. Trims from ``trim_limit_pct`` on were rejected."""
    at_limit = counts.rejected.get(Verdict.TRIM_AT_LIMIT.label, 0)
    share = at_limit / max(counts.accepted + at_limit, 1)
    if share > LIMIT_SHARE:
        yield DataWarning(
            "trims_at_limit",
            f"a trim was at its limit in {100 * share:.0f} % of closed loop: those samples are left out, and "
            "the true error there is larger than any correction shown",
            blocks_flash=share > LIMIT_BLOCKS_SHARE,
        )
    yield from _own_limits(statistics, trim_limit_pct)
    if statistics.flows >= TABLE_LEAST_SAMPLES and statistics.flow_disagreement > TABLE_DISAGREEMENT:
        yield DataWarning(
            "maf_table_mismatch",
            f"the flow that the ECU reports is {100 * statistics.flow_disagreement:.0f} % away from this MAF "
            "table: it is not the table in the ECU",
            blocks_flash=True,
        )
    if statistics.interval_s > SLOW_POLLING_S:
        yield DataWarning(
            "slow_polling",
            f"samples come every {statistics.interval_s:.1f} s: below 2 per second corrections are not to be "
            "trusted; log fewer channels",
            blocks_flash=True,
        )
    if statistics.trims_moved >= 100 and statistics.trims_in_steps == statistics.trims_moved:
        yield DataWarning(
            "trims_in_steps",
            "trims come in steps of 0.78 % (one byte); an ECU that cuts the rest off reads about 0.4 % low "
            "per trim: log the 4-byte trims if your ECU has them",
        )
    if 1000.0 * statistics.ltft_jumps > JUMPS_PER_1000 * max(statistics.samples, 1):
        yield DataWarning(
            "ltft_range_steps",
            "the long-term trim jumps between its ranges of air flow; steps of the curve at those flows "
            "are the ECU's learning, not the sensor",
        )
    if statistics.swings > RELAY_LEAST_SWINGS and statistics.swing_evenness > RELAY_EVENNESS:
        yield DataWarning(
            "relay_loop",
            "the short-term trim swings to and fro all the time, as with a narrow-band sensor: corrections "
            "are less exact than their standard errors say",
        )
    spread = statistics.iat_high_c - statistics.iat_low_c
    if spread > IAT_RANGE_K:
        yield DataWarning(
            "temperature_drift",
            f"intake air went from {statistics.iat_low_c:.0f} to {statistics.iat_high_c:.0f} °C; what "
            "that does to the trims cannot be told from the sensor's error",
        )


def _own_limits(statistics: StreamStatistics, trim_limit_pct: float) -> Iterator[DataWarning]:
    """The ECU may limit its trims to less than the filter knows: then they stand still at their extreme."""
    for extreme in (statistics.highest, statistics.lowest):
        held_s = extreme.samples_held * statistics.interval_s
        if not HELD_LEAST_PCT <= abs(extreme.stft_pct) < trim_limit_pct or held_s < HELD_LEAST_S:
            continue
        share = extreme.samples_held / max(statistics.samples, 1)
        limit = math.floor(10.0 * abs(extreme.stft_pct)) / 10.0
        yield DataWarning(
            "trims_at_own_limit",
            f"the short-term trim stood still at {extreme.stft_pct:+.1f} %, its extreme, for {held_s:.0f} s: "
            f"that is its limit in this ECU; set the filter trim_limit_pct = {limit:.1f}, so that these "
            "samples are left out",
            blocks_flash=share > LIMIT_BLOCKS_SHARE,
        )


def suspected_leak_gs(table: MafTable, curve: Curve, view: BlockView) -> float | None:
    """Unmetered air, g/s, that the shape of the curve suggests, None where it does not.

    Compares generalised least-squares fits of the corrections at low flow by a + b/flow and by
    a + b ln(flow): a leak of q g/s adds 100 q/flow %.
    """
    if table.flow_gs is None:
        return None
    cells = (view.row("hat")[0] > 0.0) & (table.flow_gs > 0.0) & (table.flow_gs <= LEAK_BELOW_GS)
    cells &= curve.stderr_pct < LEAK_LEAST_PCT
    if np.count_nonzero(cells) < LEAK_CELLS:
        return None
    flow, found = table.flow_gs[cells], curve.correction_pct[cells]
    covariance = curve.covariance[np.ix_(cells, cells)].copy()
    covariance[np.diag_indices_from(covariance)] = curve.stderr_pct[cells] ** 2
    weight = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
    leak_fit, leak, leak_se = _straight(100.0 / flow, found, weight)
    slope_fit, _, _ = _straight(np.log(flow), found, weight)
    explains = leak * 100.0 / float(flow[0]) >= LEAK_LEAST_PCT
    fits = leak_fit < min(slope_fit, LEAK_MISFIT * flow.size)
    return leak if leak > LEAK_SIGNIFICANT * leak_se and explains and fits else None


def _straight(x: Floats, y: Floats, weight: Floats) -> tuple[float, float, float]:
    """Misfit, slope and its standard error of y = a + b x."""
    design = np.column_stack((np.ones_like(x), x))
    normal = design.T @ weight @ design
    solution = np.linalg.solve(normal, design.T @ weight @ y)
    residual = y - design @ solution
    return float(residual @ weight @ residual), float(solution[1]), float(np.linalg.inv(normal)[1, 1] ** 0.5)


def _volts(volts: Floats) -> str:
    shown = ", ".join(f"{volt:.2f}" for volt in volts[:8])
    return f"{shown} V" if volts.size <= 8 else f"{shown} V and {volts.size - 8} more"

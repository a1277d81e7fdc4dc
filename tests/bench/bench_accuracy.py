"""How near the estimators come to the truth: ``python tests/bench/bench_accuracy.py``, about eight minutes.

Simulated drives of 40 minutes (:mod:`scenarios`) through our own estimators and through the methods of
other tools (:mod:`classics`). Scored are cells with at least 10 s of closed loop. ``--quick`` takes two
cars per scenario instead of eight.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from accuracy_page import CURVE, CURVE_LAMBDA, OPENEJ, WAYS, Score, Trial, page, report_figures
from classics import CLASSICS
from scenarios import DRIVE_S, SCENARIOS, Scenario

from drivers.simulator.car import Car
from drivers.simulator.recording import poll
from lowmaf.filters import Mask
from lowmaf.maf_table import MafTable
from lowmaf.pipeline import Pipeline
from lowmaf.samples import Floats, SampleBatch
from lowmaf.settings import CurveSettings
from lowmaf.snapshot import CellState, Snapshot

CARS, QUICK_CARS = 8, 2
REPEATED_CARS = 6
WORKERS = 2
DWELL_S = 10.0
STEP_S = 120.0
DRIVES = 4
FLASHES = 3
APART_S = 1e5  # between merged drives in the time of a classic, so that no rule looks across

Flashed = Callable[[Snapshot], Floats]


def main() -> None:
    parser = argparse.ArgumentParser(description="accuracy of the estimators on simulated drives")
    parser.add_argument("--quick", action="store_true", help="two cars per scenario instead of eight")
    cars = QUICK_CARS if parser.parse_args().quick else CARS
    started_s = time.monotonic()
    # The long ones first, so that no worker is left alone with one of them at the end.
    jobs = sorted(
        ((index, number) for index in range(len(SCENARIOS)) for number in range(cars)),
        key=lambda job: not _repeats(*job),
    )
    with ProcessPoolExecutor(WORKERS) as pool:
        trials = list(pool.map(trial, *zip(*jobs, strict=True)))
    of_scenarios = [(SCENARIOS[index], found) for (index, _), found in zip(jobs, trials, strict=True)]
    print("\n".join(page(of_scenarios)))
    report_figures(of_scenarios)
    print(f"{len(jobs)} cars, {WORKERS} processes, {time.monotonic() - started_s:.0f} s")


def _repeats(index: int, number: int) -> bool:
    return SCENARIOS[index].repeated and number < REPEATED_CARS


def trial(index: int, number: int) -> Trial:
    """All estimators on one car; for some cars also four drives merged and the table applied."""
    scenario = SCENARIOS[index]
    batch, car = drive(scenario, number)
    table, truth = car.maf_table, car.truth()
    scored = truth.closed_loop_s >= DWELL_S
    batches = [batch]
    found = Trial(single=scores(batches, table, truth.correction_pct, scored))
    if not _repeats(index, number):
        return found
    for nth in range(1, DRIVES):
        another, driven = drive(scenario, number, nth)
        batches.append(another)
        scored = scored | (driven.truth().closed_loop_s >= DWELL_S)
    found.merged.update(scores(batches, table, truth.correction_pct, scored))
    for way in WAYS:
        found.residual[way] = residuals(scenario, number, way, batch, car)
    return found


def drive(
    scenario: Scenario, number: int, nth: int = 0, table: MafTable | None = None
) -> tuple[SampleBatch, Car]:
    """Samples of the nth drive of a car, with lambda, and the car after it."""
    car = Car(scenario.car(number, nth), table)
    return poll(car, DRIVE_S, replace(scenario.polling, with_lambda=True)), car


# ---- one estimate


def scores(batches: list[SampleBatch], table: MafTable, truth: Floats, scored: Mask) -> dict[str, Score]:
    """Every estimator on the same drives."""
    shifted = [SampleBatch(batch.t_s + nth * APART_S, batch.channels) for nth, batch in enumerate(batches)]
    all_samples = SampleBatch.concatenate(shifted)
    found = {
        name: Score(*_errors(rule(all_samples, table), truth, scored)) for name, rule in CLASSICS.items()
    }
    for name, parts in ((CURVE, [without_lambda(batch) for batch in batches]), (CURVE_LAMBDA, batches)):
        found[name] = curve_score(parts, table, truth, scored)
    return found


def curve_score(batches: list[SampleBatch], table: MafTable, truth: Floats, scored: Mask) -> Score:
    """The curve's, with the driven minutes until its RMSE was below 1 % for the first time."""
    pipeline = Pipeline(table)
    driven_s, minutes = 0.0, np.nan
    for nth, batch in enumerate(batches, 1):
        pipeline.begin(nth)
        for start_s in np.arange(0.0, DRIVE_S, STEP_S):
            first, stop = np.searchsorted(batch.t_s, (start_s, start_s + STEP_S), side="right")
            pipeline.feed(batch.slice(int(first), int(stop)))
            driven_s += STEP_S
            if np.isnan(minutes):
                rmse, _ = _errors(_correction(pipeline.snapshot()), truth, scored)
                minutes = driven_s / 60.0 if rmse < 1.0 else np.nan
    pipeline.finish()
    snapshot = pipeline.snapshot()
    correction = _correction(snapshot)
    rmse, worst = _errors(correction, truth, scored)
    # A cell of which nothing is known claims nothing; its interval is the prior's.
    stderr = np.nan_to_num(snapshot.stderr_pct, nan=pipeline.settings.smooth_sd_pct)
    covered = np.abs(correction - truth) < 1.96 * stderr
    measured = _among(snapshot, CellState.MEASURED)
    own = scored & measured
    own_rmse = _errors(correction, truth, own)[0] if own.any() else np.nan
    return Score(
        rmse, worst, float(covered[scored].mean()), float(measured[scored].mean()), own_rmse, minutes
    )


def without_lambda(batch: SampleBatch) -> SampleBatch:
    """The same samples from an ECU of which lambda is not logged."""
    return SampleBatch(
        batch.t_s, {name: column for name, column in batch.channels.items() if not name.startswith("lambda")}
    )


def _errors(correction: Floats, truth: Floats, scored: Mask) -> tuple[float, float]:
    error = (correction - truth)[scored]
    return float(np.sqrt(np.mean(error**2))), float(np.abs(error).max())


def _correction(snapshot: Snapshot) -> Floats:
    return np.nan_to_num(snapshot.correction_pct)


def _among(snapshot: Snapshot, *states: CellState) -> Mask:
    return np.array([state in states for state in snapshot.states])


# ---- the table applied


def residuals(scenario: Scenario, number: int, way: str, batch: SampleBatch, car: Car) -> list[float]:
    """Rms of the correction still needed after each flash, over the cells of the first drive, %.

    Each flash is made of one fresh drive with the table before it.
    """
    scored = car.truth().closed_loop_s >= DWELL_S
    if WAYS[way].within_a_step:
        scored &= np.abs(car.truth().correction_pct) <= CurveSettings().max_step_pct
        if not scored.any():
            return [np.nan] * FLASHES
    left = []
    before: Pipeline | None = None
    for flash in range(1, FLASHES + 1):
        table = car.maf_table
        if way == OPENEJ:
            flow = corrected_gs(table, CLASSICS[OPENEJ](batch, table), np.ones(table.cells, dtype=np.bool_))
        else:
            pipeline = Pipeline(table)
            if WAYS[way].carries_over and before is not None:
                pipeline.carry_over(before)
            pipeline.begin(flash)
            pipeline.feed(batch if WAYS[way].with_lambda else without_lambda(batch))
            pipeline.finish()
            snapshot, before = pipeline.snapshot(), pipeline
            flow = _flow_to_flash(snapshot, proposed=WAYS[way].proposed)
        flashed = MafTable(table.name, table.maf_v, flow)
        left.append(_rms(Car(scenario.car(number), flashed).truth().correction_pct[scored]))
        if flash < FLASHES:
            batch, car = drive(scenario, number, DRIVES + flash, flashed)
    return left


def _flow_to_flash(snapshot: Snapshot, *, proposed: bool) -> Floats:
    """The proposal, or full corrections of measured and of weak cells."""
    if proposed:
        assert snapshot.proposed_gs is not None
        return snapshot.proposed_gs
    return corrected_gs(
        snapshot.table, _correction(snapshot), _among(snapshot, CellState.MEASURED, CellState.WEAK)
    )


def corrected_gs(table: MafTable, correction_pct: Floats, moves: Mask) -> Floats:
    """The table's flow, g/s, with these cells corrected in full; it never falls."""
    assert table.flow_gs is not None
    flow = table.flow_gs * np.where(moves, 1.0 + correction_pct / 100.0, 1.0)
    return np.maximum.accumulate(flow)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))


if __name__ == "__main__":
    main()

"""What a sample costs in the core: ``python tests/bench/bench_core.py``, about 30 seconds.

CPU time, one BLAS thread. The peer is a plain Python loop that does what other tools do (closed loop,
nearest cell, running mean) on the same samples in the same run.
"""

from __future__ import annotations

import bisect
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from figures import report

from drivers.simulator.maf_sensor import ecu_table
from drivers.simulator.recording import record_drive
from drivers.simulator.settings import CarSettings
from lowmaf.maf_table import MafTable
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch

MINUTES = 40
RATE_HZ = 25.0
LIVE_RATE_HZ = 50.0
ROUNDS = 5


def plain_loop(batch: SampleBatch, table: MafTable) -> list[float]:
    """Closed loop, nearest cell, mean: one sample after the other in plain Python."""
    volts = table.maf_v.tolist()
    total, count = [0.0] * len(volts), [0] * len(volts)
    columns = zip(
        batch["maf_v"].tolist(),
        batch["stft_pct"].tolist(),
        batch["ltft_pct"].tolist(),
        batch["fuel_loop"].tolist(),
        strict=True,
    )
    for maf_v, stft, ltft, loop in columns:
        if loop != 2.0:
            continue
        cell = bisect.bisect_left(volts, maf_v)
        if cell == len(volts) or (cell and maf_v - volts[cell - 1] < volts[cell] - maf_v):
            cell -= 1
        total[cell] += stft + ltft
        count[cell] += 1
    return [t / n if n else 0.0 for t, n in zip(total, count, strict=True)]


def through(table: MafTable, batches: list[SampleBatch], estimator: str = "curve") -> Pipeline:
    """All batches through verdicts and sums."""
    pipeline = Pipeline(table, estimator=estimator)
    for batch in batches:
        pipeline.feed(batch)
    pipeline.finish()
    return pipeline


def cpu_s(work: Callable[[], object]) -> float:
    """Median CPU time of some rounds, s."""
    spent = []
    for _ in range(ROUNDS):
        started_s = time.process_time()
        work()
        spent.append(time.process_time() - started_s)
    return statistics.median(spent)


def cut(batch: SampleBatch, size: int) -> list[SampleBatch]:
    return [batch.slice(start, start + size) for start in range(0, len(batch), size)]


def main() -> None:
    settings = CarSettings()
    table = ecu_table(settings)
    drive = record_drive(settings, MINUTES * 60.0, RATE_HZ)
    live = record_drive(settings, 300.0, LIVE_RATE_HZ)
    n = len(drive)
    through(table, [drive])
    loop_us = 1e6 * cpu_s(lambda: plain_loop(drive, table)) / n
    loop = ("plain Python loop", loop_us)
    print(f"{MINUTES} min at {RATE_HZ:g} Hz, {table.cells} cells; microseconds of CPU per sample")
    for size in (16384, 4096, 1024, 32):
        batches = cut(drive, size)
        each_us = 1e6 * cpu_s(lambda batches=batches: through(table, batches)) / n  # type: ignore[misc]
        fast = 2.0 if size >= 4096 else None  # 500 000 samples/s
        report(f"curve, batches of {size}", each_us, "µs/sample", peer=loop, at_most=fast)
    nearest_us = 1e6 * cpu_s(lambda: through(table, cut(drive, 16384), "nearest")) / n
    report("nearest, batches of 16384", nearest_us, "µs/sample", peer=loop)
    singles = cut(live, 1)
    single_us = 1e6 * cpu_s(lambda: through(table, singles)) / len(singles)
    report(f"curve, one at a time at {LIVE_RATE_HZ:g} Hz", single_us, "µs/sample", at_most=150.0)

    pipeline = through(table, [drive])
    solver = pipeline._estimator.solver
    sums = pipeline.learned.sums
    cold_ms = 1e3 * cpu_s(lambda: solver.solve(sums, remember=False))
    report(f"solve, {table.cells} cells × {len(sums.blocks)} blocks", cold_ms, "ms", at_most=5.0)
    report("held-out check", 1e3 * cpu_s(pipeline.held_out), "ms")
    snapshot_ms = 1e3 * cpu_s(pipeline.snapshot)
    # Live, each second: 50 samples, one solve of the stretch that grows, one snapshot.
    share = LIVE_RATE_HZ * single_us * 1e-4 + 0.1 * (cold_ms + snapshot_ms)
    report(f"live at {LIVE_RATE_HZ:g} samples/s, a solve a second", share, "% of a core", at_most=2.0)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()

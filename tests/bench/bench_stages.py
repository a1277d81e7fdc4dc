"""What each stage costs a sample: ``python tests/bench/bench_stages.py``, about 15 seconds.

validate | filter | assign to cell | accumulate | total, in microseconds of CPU per sample, for batches of
1, 32, 1 024 and 16 384, as this program does it with arrays, beside a plain Python loop over the same
samples and the loop of a garage that gives cars their places (validate, sequence, assign, look up): what
the stage budget of a busy web service is made of. Medians of interleaved rounds.
"""

from __future__ import annotations

import bisect
import heapq
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from figures import report

from drivers.simulator.maf_sensor import ecu_table
from drivers.simulator.recording import record_drive
from drivers.simulator.settings import CarSettings
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable
from lowmaf.pipeline import Pipeline
from lowmaf.sample_stream import SampleStream
from lowmaf.samples import SampleBatch

SIZES = (1, 32, 1024, 16384)
SAMPLES = 16384
ROUNDS = 5
RATE_HZ = 25.0
STAGES = ("validate", "filter", "assign", "accumulate")
Stages = Mapping[str, Callable[[], object]]


def cut(batch: SampleBatch, size: int) -> list[SampleBatch]:
    """The batch in pieces; of single samples fewer, which is enough for a median."""
    stop = min(len(batch), 2048) if size == 1 else len(batch)
    return [batch.slice(start, start + size) for start in range(0, stop, size)]


def _named(*stages: Callable[[], object]) -> Stages:
    return dict(zip((*STAGES, "total"), stages, strict=True))


def of_arrays(pieces: list[SampleBatch], table: MafTable) -> Stages:
    """The stages of the ``nearest`` estimator; the total is the pipeline as it runs, all rules included."""
    used = ("maf_v", "stft_pct", "ltft_pct", "fuel_loop")
    columns = [tuple(piece[name] for name in used) for piece in pieces]
    filters = Filters()
    halfway = 0.5 * (table.maf_v[1:] + table.maf_v[:-1])
    kept = [loop == 2.0 for *_, loop in columns]
    cells = [np.searchsorted(halfway, maf_v) for maf_v, *_ in columns]
    total, count = np.zeros(table.cells), np.zeros(table.cells)

    def validate() -> None:
        for maf_v, stft, ltft, loop in columns:
            np.isfinite(maf_v + stft + ltft + loop)

    def judge() -> None:
        stream = SampleStream(filters, None, 0.0)
        for piece in pieces:
            stream.push(piece)
            stream.take(0.0, finished=False)

    def assign() -> None:
        for maf_v, *_ in columns:
            np.searchsorted(halfway, maf_v)

    def accumulate() -> None:
        for (_, stft, ltft, _), cell, keep in zip(columns, cells, kept, strict=True):
            total.__iadd__(np.bincount(cell, weights=(stft + ltft) * keep, minlength=table.cells))
            count.__iadd__(np.bincount(cell, weights=keep, minlength=table.cells))

    def all_of_it() -> None:
        pipeline = Pipeline(table, estimator="nearest")
        for piece in pieces:
            pipeline.feed(piece)
        pipeline.finish()

    return {
        "validate": validate,
        "filter": judge,
        "assign": assign,
        "accumulate": accumulate,
        "total": all_of_it,
    }


def of_plain_python(pieces: list[SampleBatch], table: MafTable) -> Stages:
    """The same stages, one sample after the other, with the few rules that other tools have."""
    volts = table.maf_v.tolist()
    used = ("t_s", "maf_v", "stft_pct", "ltft_pct", "fuel_loop")
    rows = [
        row
        for piece in pieces
        for row in zip(piece.t_s.tolist(), *(piece[name].tolist() for name in used[1:]), strict=True)
    ]
    total, count = [0.0] * len(volts), [0] * len(volts)

    def valid(row: tuple[float, ...]) -> bool:
        return all(value == value for value in row)

    def steady(row: tuple[float, ...], before: tuple[float, ...]) -> bool:
        step_s = row[0] - before[0]
        return row[4] == 2.0 and step_s > 0.0 and abs(row[1] - before[1]) <= 0.3 * step_s

    def cell_of(maf_v: float) -> int:
        right = bisect.bisect_left(volts, maf_v)
        if right == len(volts) or (right and maf_v - volts[right - 1] < volts[right] - maf_v):
            return right - 1
        return right

    def add(cell: int, trim_pct: float) -> None:
        total[cell] += trim_pct
        count[cell] += 1

    def validate() -> None:
        for row in rows:
            valid(row)

    def judge() -> None:
        before = rows[0]
        for row in rows:
            steady(row, before)
            before = row

    def assign() -> None:
        for row in rows:
            cell_of(row[1])

    def accumulate() -> None:
        for row in rows:
            add(7, row[2] + row[3])

    def all_of_it() -> None:
        before = rows[0]
        for row in rows:
            if valid(row):
                if steady(row, before):
                    add(cell_of(row[1]), row[2] + row[3])
                before = row

    return {
        "validate": validate,
        "filter": judge,
        "assign": assign,
        "accumulate": accumulate,
        "total": all_of_it,
    }


def of_a_garage(cars: int) -> Stages:
    """Requests for a place: is the plate valid, its turn, the lowest free place, who stands where."""
    plates = [f"KA-{number % 100:02d}-HH-{number % 10_000:04d}" for number in range(cars)]
    places = 20_000

    def valid(plate: str) -> bool:
        state, district, letters, number = plate.split("-")
        return len(state) == 2 and district.isdigit() and letters.isalpha() and number.isdigit()

    def validate() -> None:
        for plate in plates:
            valid(plate)

    def sequence() -> None:
        line = {plate: ticket for ticket, plate in enumerate(plates)}
        line.clear()

    def assign() -> None:
        free = list(range(places))
        for _ in plates:
            heapq.heappop(free)

    def look_up() -> None:
        where = dict.fromkeys(plates, 7)
        for plate in plates:
            where.get(plate)

    def all_of_it() -> None:
        free, line, where = list(range(places)), {}, {}
        for ticket, plate in enumerate(plates):
            if valid(plate):
                line[plate] = ticket
                where[plate] = heapq.heappop(free)
                where.get(plate)

    return {
        "validate": validate,
        "filter": sequence,
        "assign": assign,
        "accumulate": look_up,
        "total": all_of_it,
    }


def main() -> None:
    table = ecu_table(CarSettings())
    drive = record_drive(CarSettings(), SAMPLES / RATE_HZ + 1.0, RATE_HZ).slice(0, SAMPLES)
    rivals: dict[str, tuple[int, Stages]] = {}
    for size in SIZES:
        pieces = cut(drive, size)
        rivals[f"arrays, batches of {size}"] = (sum(map(len, pieces)), of_arrays(pieces, table))
    rivals["plain Python loop"] = (SAMPLES, of_plain_python([drive], table))
    rivals["garage, plain Python"] = (SAMPLES, of_a_garage(SAMPLES))
    spent: dict[tuple[str, str], list[float]] = {}
    for turn in range(ROUNDS + 1):
        for name, (samples, stages) in rivals.items():
            for stage, work in stages.items():
                started_s = time.process_time()
                work()
                if turn:
                    us = 1e6 * (time.process_time() - started_s) / samples
                    spent.setdefault((name, stage), []).append(us)
    print("CPU per sample; filter: all rules that need no look-ahead; garage: sequence, and look up last")
    for name in rivals:
        for stage in (*STAGES, "total"):
            peer = None
            if name.startswith("arrays"):
                peer = ("plain Python loop", statistics.median(spent["plain Python loop", stage]))
            report(f"{name}: {stage}", statistics.median(spent[name, stage]), "µs/sample", peer=peer)


if __name__ == "__main__":
    main()

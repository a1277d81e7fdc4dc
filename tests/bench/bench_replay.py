"""Recorded logs to a table: ``python tests/bench/bench_replay.py``, about a minute.

CPU time of reading a CSV and computing the same table, against pandas and polars that are told which
five columns to read, in one process, in turn; our reader is told nothing and reads every channel that it
recognises (12 of the 18 columns). Then the core behind the reader, in samples per second, and the peak
memory of processes that read logs of two sizes, which must not grow with the log.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from csv_logs import SIZES, write_log
from interleaved import medians_s, print_ratios

from drivers.logs.reader import LogReader
from lowmaf.maf_table import default_axis
from lowmaf.openej import OpenEjColumns, OpenEjTable, openej_table
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch

PROJECT = Path(__file__).resolve().parents[2]
NEEDED = (
    "Time (msec)", "A/F Correction #1 (%)", "A/F Learning #1 (%)", "Mass Airflow Sensor Voltage (V)",
    "CL/OL Fueling* (status)",
)  # fmt: skip
REAL_LOG = PROJECT.parent / "shared" / "logs" / "subaru-tactrix" / "2026-04-24_rev20.8.csv"
TARGET_SAMPLES_PER_S = 100_000
TARGET_GROWTH_MB = 15.0


def optional(name: str) -> Any:
    """A library that only this benchmark knows; None, with words, where it is absent."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed: not compared")
        return None


def ours(path: Path) -> OpenEjTable:
    """Our reader: every channel that it recognises, in our units, the loop decoded."""
    batch = SampleBatch.concatenate(LogReader(path).batches())
    status = batch["fuel_loop"] + 6.0
    return openej_table(
        OpenEjColumns(batch.t_s * 1000.0, batch["stft_pct"], batch["ltft_pct"], batch["maf_v"], status)
    )


def with_pandas(pandas: Any, path: Path) -> OpenEjTable:
    """pandas: the five columns by name."""
    frame = pandas.read_csv(path, usecols=list(NEEDED))
    return openej_table(OpenEjColumns(*(frame[name].to_numpy(np.float64) for name in NEEDED)))


def with_polars(polars: Any, path: Path) -> OpenEjTable:
    """polars: the five columns by name."""
    frame = polars.read_csv(path, columns=list(NEEDED))
    return openej_table(OpenEjColumns(*(frame[name].to_numpy().astype(np.float64) for name in NEEDED)))


def compare(folder: Path) -> None:
    """CSV to table, all rivals in turn, three sizes."""
    pandas, polars = optional("pandas"), optional("polars")
    for title, rows in SIZES.items():
        path = folder / f"{rows}.csv"
        write_log(path, rows)
        rivals = {"lowmaf": lambda path=path: ours(path)}
        if pandas is not None:
            rivals["pandas + NumPy (5 of 18 columns)"] = lambda path=path: with_pandas(pandas, path)
        if polars is not None:
            rivals["polars + NumPy (5 of 18 columns)"] = lambda path=path: with_polars(polars, path)
        counted = {name: int(rival().frequency.sum()) for name, rival in rivals.items()}
        if len(set(counted.values())) != 1:
            raise SystemExit(f"the rivals do not count the same: {counted}")
        rounds = 5 if rows > 100_000 else 15
        print_ratios(f"{title}, {rows} rows, CSV to table", medians_s(rivals, rounds), "lowmaf")


def whole_replay(path: Path) -> bool:
    """Reading, filters, curve, held-out check and snapshot, in samples per second of CPU time."""
    started_s = time.process_time()
    pipeline = Pipeline(default_axis())
    pipeline.begin(1)
    samples = 0
    for batch in LogReader(path).batches():
        samples += len(batch)
        pipeline.feed(batch)
    pipeline.finish()
    read_s = time.process_time() - started_s
    pipeline.snapshot(pipeline.held_out())
    whole_s = time.process_time() - started_s
    rate = samples / read_s
    print(
        f"whole replay of {path.name}: {samples} samples, {rate:,.0f} samples/s through reader and core, "
        f"{1e3 * whole_s:.0f} ms with the solve and the held-out check (target {TARGET_SAMPLES_PER_S:,}/s)"
    )
    return rate >= TARGET_SAMPLES_PER_S


def peak_mb(path: Path) -> float:
    """Peak memory of a process that reads a log through the reader alone, MB."""
    code = (
        "import sys, pathlib; from drivers.logs.reader import LogReader\n"
        "for batch in LogReader(pathlib.Path(sys.argv[1])).batches(): pass\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(status.partition('VmHWM:')[2].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return int(done.stdout) / 1024.0


def main() -> int:
    """Prints everything; 1 where a target is missed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compare(folder)
        rows = list(SIZES.values())
        fast = whole_replay(REAL_LOG if REAL_LOG.is_file() else folder / f"{rows[1]}.csv")
        small, large = peak_mb(folder / f"{rows[1]}.csv"), peak_mb(folder / f"{rows[2]}.csv")
    print(f"peak memory: {small:.1f} MB at 2.07 MB, {large:.1f} MB at 20 MB (may grow {TARGET_GROWTH_MB} MB)")
    return 0 if fast and large - small <= TARGET_GROWTH_MB else 1


if __name__ == "__main__":
    sys.exit(main())

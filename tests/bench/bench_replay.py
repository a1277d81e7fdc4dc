"""Recorded logs to a table: ``python tests/bench/bench_replay.py``, about three minutes.

CPU time of reading a CSV and making the same plain nearest-cell table of it, in one process, in turn.
pandas and polars (one thread) read the file as people do, and once more told which five columns to take,
which is the strictest comparison; our reader recognises the format and is told which channels are wanted.
The original service's row loop over a pandas frame is there for the two shortest logs. Then what the whole
of replay costs, the peak memory at every length, and the command from start to end.
"""

from __future__ import annotations

import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ["POLARS_MAX_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from csv_logs import ALL_SIZES, COLUMNS, write_log
from figures import not_measured, report
from interleaved import medians_s, print_ratios
from nearest_cell import AXIS_V, NearestCell

from drivers.logs.reader import LogReader
from lowmaf.maf_table import default_axis
from lowmaf.pipeline import Pipeline

PROJECT = Path(__file__).resolve().parents[2]
NEEDED = (
    "Time (msec)", "A/F Correction #1 (%)", "A/F Learning #1 (%)", "Mass Airflow Sensor Voltage (V)",
    "CL/OL Fueling* (status)",
)  # fmt: skip
WANTED = ("maf_v", "stft_pct", "ltft_pct", "fuel_loop")
REAL_LOG = PROJECT.parent / "shared" / "logs" / "subaru-tactrix" / "2026-04-24_rev20.8.csv"
TARGET_SAMPLES_PER_S = 100_000
TARGET_MEMORY_MB = 40.0
TARGET_COST_GROWTH = 1.1
TARGET_POLARS = 0.9
TARGET_PANDAS = {"2.07 MB": 1.0, "20 MB": 0.6, "200 MB": 0.6}
NAIVE = ("0.6 MB", "0.75 MB")
TOLD = f"told {len(NEEDED)} of {len(COLUMNS)} columns"
WHOLE = "whole file"


def optional(name: str) -> Any:
    """A library that only this benchmark knows; None, with words, where it is absent."""
    try:
        return importlib.import_module(name)
    except ImportError:
        not_measured(name, "not installed")
        return None


def ours(path: Path) -> NearestCell:
    """Our reader, and the calculation on each batch as it comes."""
    table = NearestCell()
    for batch in LogReader(path, channels=WANTED).batches():
        status = batch["fuel_loop"] + 6.0
        table.add(batch.t_s * 1000.0, batch["stft_pct"], batch["ltft_pct"], batch["maf_v"], status)
    return table


def with_pandas(pandas: Any, path: Path, columns: list[str] | None) -> NearestCell:
    """pandas' C reader; ``columns`` None: the whole file."""
    frame = pandas.read_csv(path, usecols=columns, engine="c")
    table = NearestCell()
    table.add(*(frame[name].to_numpy(np.float64) for name in NEEDED))
    return table


def with_polars(polars: Any, path: Path, columns: list[str] | None) -> NearestCell:
    """polars; ``columns`` None: the whole file."""
    frame = polars.read_csv(path, columns=columns)
    table = NearestCell()
    table.add(*(frame[name].to_numpy().astype(np.float64) for name in NEEDED))
    return table


def row_loop(pandas: Any, path: Path) -> NearestCell:
    """How the original service's first form goes through a log: row by row."""
    table = NearestCell()
    before: tuple[float, float] | None = None
    for _, row in pandas.read_csv(path, usecols=list(NEEDED)).iterrows():
        now_ms, volts = float(row[NEEDED[0]]), float(row[NEEDED[3]])
        rise = 0.0 if before is None else 1000.0 * (volts - before[1]) / (now_ms - before[0])
        before = now_ms, volts
        if rise < 0.295 and row[NEEDED[4]] == 8:
            cell = min(range(AXIS_V.size), key=lambda index, v=volts: abs(AXIS_V[index] - v))
            table.hits[cell] += 1
            table.trims[cell] += row[NEEDED[1]] + row[NEEDED[2]]
    return table


def rivals_of(title: str, path: Path, pandas: Any, polars: Any) -> dict[str, Callable[[], NearestCell]]:
    """Everyone who reads this log."""
    rivals: dict[str, Callable[[], NearestCell]] = {"lowmaf": lambda: ours(path)}
    columns = list(NEEDED)
    for name, library, read in (("pandas", pandas, with_pandas), ("polars", polars, with_polars)):
        if library is not None:
            rivals[f"{name}, {TOLD}"] = partial(read, library, path, columns)
            rivals[f"{name}, {WHOLE}"] = partial(read, library, path, None)
    if title in NAIVE and pandas is not None:
        rivals["pandas, row loop"] = lambda: row_loop(pandas, path)
    return rivals


def compare(folder: Path) -> None:
    """CSV to table, all rivals in turn, every length."""
    pandas, polars = optional("pandas"), optional("polars")
    per_mb: dict[str, float] = {}
    for title, rows in ALL_SIZES.items():
        path = folder / f"{rows}.csv"
        write_log(path, rows)
        rivals = rivals_of(title, path, pandas, polars)
        hits = {name: rival().hits for name, rival in rivals.items() if name != "pandas, row loop"}
        if any((found != hits["lowmaf"]).any() for found in hits.values()):
            raise SystemExit(f"the rivals do not count the same: {hits}")
        medians = medians_s(rivals, 3 if rows > 1_000_000 or title in NAIVE else 9 if rows > 100_000 else 25)
        print_ratios(f"{title}, {rows} rows, CSV to table", medians, "lowmaf")
        per_mb[title] = medians["lowmaf"] / (path.stat().st_size / 1e6)
        for name, target in (("pandas", TARGET_PANDAS.get(title)), ("polars", TARGET_POLARS)):
            for how in (WHOLE, TOLD):
                theirs_s = medians.get(f"{name}, {how}")
                if theirs_s is not None:
                    peer = (f"{name}, {how}", 1e3 * theirs_s)
                    ours_ms = 1e3 * medians["lowmaf"]
                    report(f"{title} CSV to table", ours_ms, "ms", peer=peer, ratio_at_most=target)
        if "pandas, row loop" in medians:
            peer = ("pandas, row loop", 1e3 * medians["pandas, row loop"])
            report(f"{title} CSV to table", 1e3 * medians["lowmaf"], "ms", peer=peer)
    report(
        "200 MB, for each MB",
        1e3 * per_mb["200 MB"],
        "ms",
        peer=("2.07 MB", 1e3 * per_mb["2.07 MB"]),
        ratio_at_most=TARGET_COST_GROWTH,
    )


def whole_replay(path: Path) -> None:
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
    what = f"replay of {samples} recorded samples"
    report(f"{what}, with solve and held-out check", 1e3 * whole_s, "ms")
    report(f"{what}: reader and core", samples / read_s, "samples/s", at_least=TARGET_SAMPLES_PER_S)


def peak_mb(path: Path | None) -> float:
    """Peak memory of a process that reads a log and makes the table, MB; None: one that only imports."""
    code = (
        "import sys, pathlib, numpy, lowmaf.openej, lowmaf.samples\n"
        "if sys.argv[1:]:\n"
        "    sys.path.insert(0, 'tests/bench')\n"
        "    from drivers.logs.reader import LogReader\n"
        "    from nearest_cell import NearestCell\n"
        "    table = NearestCell()\n"
        f"    for b in LogReader(pathlib.Path(sys.argv[1]), channels={WANTED!r}).batches():\n"
        "        table.add(b.t_s * 1e3, b['stft_pct'], b['ltft_pct'], b['maf_v'], b['fuel_loop'] + 6.0)\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(status.partition('VmHWM:')[2].split()[0])"
    )
    command = [sys.executable, "-c", code, *([] if path is None else [str(path)])]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024.0


def memory(folder: Path) -> None:
    """Peak memory above a process that imported numpy and lowmaf."""
    bare = peak_mb(None)
    for title, rows in ALL_SIZES.items():
        above = peak_mb(folder / f"{rows}.csv") - bare
        report(f"{title}: peak memory above numpy and lowmaf", above, "MB", at_most=TARGET_MEMORY_MB)


def command(folder: Path) -> None:
    """The whole command on a log of 1 MB, start-up included: wall time."""
    path = folder / "1mb.csv"
    write_log(path, 12_600)
    spent = []
    for _ in range(5):
        started_s = time.perf_counter()
        arguments = [sys.executable, "-m", "daemon", "replay", str(path)]
        subprocess.run(arguments, cwd=PROJECT, capture_output=True, check=True)
        spent.append(time.perf_counter() - started_s)
    size_mb = path.stat().st_size / 1e6
    report(f"lowmaf replay of {size_mb:.1f} MB, start-up included", 1e3 * statistics.median(spent), "ms")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compare(folder)
        memory(folder)
        whole_replay(REAL_LOG if REAL_LOG.is_file() else folder / f"{ALL_SIZES['2.07 MB']}.csv")
        command(folder)


if __name__ == "__main__":
    main()

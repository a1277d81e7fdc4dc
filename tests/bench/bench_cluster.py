"""Logs on a cluster: ``python tests/bench/bench_cluster.py``, about four minutes, with ``--quick`` two.

500 logs of half a minute to two on one worker and on two, in turn, on loopback, so that a busy machine slows
both alike; every byte that any process of the cluster sends, per log; the sizes of what a log becomes; and
this machine alone. Client, scheduler and workers share the cores here: on machines of their own workers do
better.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import byte_count
import numpy as np
from csv_logs import write_log
from dask_cluster import DaskCluster
from distributed.protocol import serialize_bytelist
from figures import report

from daemon.cluster.replaying import replay_on
from daemon.cluster.tasks import Job, read_logs, versions
from daemon.log_names import expanded
from daemon.log_replay import KeepNothing, Reading, Replayed, logs_of, replay
from lowmaf.document import table_document
from lowmaf.filters import Filters
from lowmaf.maf_table import default_axis
from lowmaf.pipeline import Pipeline

LOGS = 500
LONG_LOGS = 16
LONG_ROWS = 54_000
ROUNDS = 1 if "--quick" in sys.argv else 3
TARGET_SPEEDUP = 1.7
TARGET_BYTES = 16 * 1024
REAL_LOGS = Path(__file__).resolve().parents[2].parent / "shared" / "logs"


class Silent:
    """A progress bar that nobody looks at."""

    def show(self, name: str, read: int, total: int | None) -> None: ...
    def next_log(self) -> None: ...
    def clear(self) -> None: ...


def on_cluster(cluster: DaskCluster, folder: Path) -> tuple[float, Replayed]:
    """Wall time of a replay, s, and its result."""
    started_s = time.perf_counter()
    replayed = replay_on(cluster.address, [str(folder)], default_axis(), progress=Silent())
    return time.perf_counter() - started_s, replayed


def alone(folder: Path) -> tuple[float, Replayed]:
    """The same on this machine, without a cluster."""
    started_s = time.perf_counter()
    logs = logs_of([log.name for log in expanded([str(folder)], Path())])
    replayed = replay(logs, Pipeline(default_axis()), Reading({}), KeepNothing(), Silent())
    return time.perf_counter() - started_s, replayed


def document(replayed: Replayed) -> object:
    return table_document(replayed.snapshot, logs=[log.as_json() for log in replayed.summaries])


def print_moved(cluster: DaskCluster, folder: Path, what: str) -> None:
    """What all processes together send during a replay."""
    before = cluster.sent_bytes() + byte_count.sent()
    on_cluster(cluster, folder)
    logs = len(list(folder.iterdir()))
    each = (cluster.sent_bytes() + byte_count.sent() - before) / logs
    limit = TARGET_BYTES / 1024
    report(f"{what}: sent per log, by all processes", each / 1024, "KB", at_most=limit)


def print_sizes(paths: list[Path], what: str) -> None:
    """What single logs become, in KB: what goes to the client, and what stays on its worker."""
    job = Job(default_axis(), "curve", Filters(), Reading({}), Path(), versions())
    states = [state for path in paths for state in read_logs(job, [str(path)])]
    for part, sizes in (
        ("to the client", [sum(map(len, serialize_bytelist(state.outcome))) for state in states]),
        ("equations, kept", [len(state.equations) for state in states]),
        ("blocks, kept", [len(state.blocks) for state in states]),
    ):
        low, middle, high, most = np.percentile(np.array(sizes) / 1024, (10, 50, 90, 100))
        shares = f"10 % {low:6.1f}  median {middle:6.1f}  90 % {high:6.1f}  most {most:6.1f} KB"
        print(f"  {what:<12} {part:<16} {shares}", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as kept:
        folder, long_folder = Path(kept) / "logs", Path(kept) / "long"
        folder.mkdir()
        long_folder.mkdir()
        rows = np.random.default_rng(1).integers(900, 3600, LOGS)
        for number, length in enumerate(rows.tolist()):
            write_log(folder / f"{number:03}.csv", length)
        for number in range(LONG_LOGS):
            write_log(long_folder / f"{number:02}.csv", LONG_ROWS + number)
        measured(Path(kept), folder, long_folder)


def measured(kept: Path, folder: Path, long_folder: Path) -> None:
    """Bytes and sizes, then one and two workers in turn."""
    clusters: dict[int, DaskCluster] = {}
    for workers in (1, 2):
        (kept / f"cluster-{workers}").mkdir()
        clusters[workers] = DaskCluster(kept / f"cluster-{workers}", workers)
    with clusters[1], clusters[2]:
        clusters[2].count_bytes()
        byte_count.start()
        print_moved(clusters[2], folder, f"{LOGS} logs of 0.5 to 2 min")
        print_moved(clusters[2], long_folder, f"{LONG_LOGS} logs of 30 min")
        print_sizes(sorted(folder.iterdir())[:60], "0.5 to 2 min")
        print_sizes(sorted(long_folder.iterdir())[:6], "30 min")
        if REAL_LOGS.is_dir():
            cars = ("subaru-tactrix", "ecutek", "cobb")
            print_sizes(sorted(path for car in cars for path in (REAL_LOGS / car).glob("*.csv")), "real logs")
        print_speed(clusters, folder)


def print_speed(clusters: dict[int, DaskCluster], folder: Path) -> None:
    """One and two workers in turn; then this machine alone, whose result is the same."""
    spent: dict[int, list[float]] = {workers: [] for workers in clusters}
    loads: list[float] = []
    on_cluster(clusters[1], folder)  # imports; the other one has them
    for _ in range(ROUNDS):
        for workers, cluster in clusters.items():
            seconds, replayed = on_cluster(cluster, folder)
            spent[workers].append(seconds)
        loads.append(os.getloadavg()[0])
    rates = {workers: LOGS / statistics.median(times) for workers, times in spent.items()}
    best = {workers: LOGS / min(times) for workers, times in spent.items()}
    for what, found in (("median of rounds in turn", rates), ("best of them", best)):
        peer = ("1 worker", found[1])
        limit = TARGET_SPEEDUP if found is rates else None
        report(f"{LOGS} logs, 2 workers, {what}", found[2], "logs/s", peer=peer, ratio_at_least=limit)
    print(f"load average {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} cores", flush=True)
    seconds, wanted = alone(folder)
    report("this machine alone, without a cluster", LOGS / seconds, "logs/s")
    report("tables that differ from it", int(document(replayed) != document(wanted)), at_most=0)


if __name__ == "__main__":
    main()

"""Logs on a cluster: ``python tests/bench/bench_cluster.py``, about four minutes, with ``--quick`` two.

500 logs of half a minute to two on one worker and on two, in turn, on loopback, so that a busy machine slows
both alike; every byte that any process of the cluster sends, per log; the sizes of what a log becomes; and
this machine alone.

Scheduler and client need a processor as well. Where there are two cores, two workers share them with both,
while one worker leaves them a core of their own: that ratio is too low for machines of their own. So one
worker is also measured with scheduler and client on its own core, as two have them on their two cores; and
the processor time of each is told: what the busier of two workers spends does not depend on who shares what.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import byte_count
import numpy as np
import psutil
from csv_logs import write_log
from dask_cluster import DaskCluster
from figures import report

from daemon.cluster.outcomes import outcomes_to_bytes
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
        ("to the client", [len(outcomes_to_bytes([state.outcome])) for state in states]),
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


@dataclass(frozen=True, slots=True)
class Spent:
    """One replay: wall time, s, and CPU time of scheduler and client and of each worker, s.

    ``foreign_cores``: so many cores other programs took on average meanwhile.
    """

    wall_s: float
    others_cpu_s: float
    workers_cpu_s: list[float]
    foreign_cores: float
    replayed: Replayed


def busy_s() -> float:
    """CPU time that all programs of this machine together have spent, s."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def on_cores(cluster: DaskCluster, folder: Path, cores: set[int]) -> Spent:
    """A replay whose every process runs on these cores only."""
    own = os.sched_getaffinity(0)
    cluster.keep_on(cores)
    os.sched_setaffinity(0, cores)  # the client's other threads begin with the replay
    before, client_s, all_s = cluster.cpu_s(), time.process_time(), busy_s()
    try:
        seconds, replayed = on_cluster(cluster, folder)
    finally:
        os.sched_setaffinity(0, own)
    client_s, all_s = time.process_time() - client_s, busy_s() - all_s
    scheduler_s, *workers_s = (after - then for then, after in zip(before, cluster.cpu_s(), strict=True))
    others_s = scheduler_s + client_s
    foreign = max(0.0, all_s - others_s - sum(workers_s)) / seconds
    return Spent(seconds, others_s, workers_s, foreign, replayed)


def print_speed(clusters: dict[int, DaskCluster], folder: Path) -> None:
    """One and two workers in turn; then this machine alone, whose result is the same."""
    all_cores = os.sched_getaffinity(0)
    ways = {
        "1 worker": (clusters[1], all_cores),
        "1 worker, all on one core": (clusters[1], {min(all_cores)}),
        "2 workers": (clusters[2], all_cores),
    }
    spent: dict[str, list[Spent]] = {way: [] for way in ways}
    on_cluster(clusters[1], folder)  # imports; the other one has them
    for _ in range(ROUNDS):
        for way, (cluster, cores) in ways.items():
            spent[way].append(on_cores(cluster, folder, cores))
    rates = {way: LOGS / statistics.median(each.wall_s for each in runs) for way, runs in spent.items()}
    two = rates["2 workers"]
    one, one_core = ((way, rates[way]) for way in list(ways)[:2])
    name = f"{LOGS} logs, 2 workers"
    report(f"{name}, median of {ROUNDS} in turn", two, "logs/s", peer=one, ratio_at_least=TARGET_SPEEDUP)
    if len(all_cores) == 2:
        report(f"{name} on two cores", two, "logs/s", peer=one_core, ratio_at_least=TARGET_SPEEDUP)
    else:
        report(f"{name}, beside one core for everything", two, "logs/s", peer=one_core)
    print_cpu(spent["1 worker"], spent["2 workers"])
    for way, runs in spent.items():
        took = ", ".join(f"{each.foreign_cores:.1f}" for each in runs)
        print(f"  {way}: other programs took {took} of {len(all_cores)} cores", flush=True)
    seconds, wanted = alone(folder)
    report("this machine alone, without a cluster", LOGS / seconds, "logs/s")
    differ = sum(document(each.replayed) != document(wanted) for runs in spent.values() for each in runs)
    report("tables that differ from it", differ, at_most=0)


def print_cpu(one: list[Spent], two: list[Spent]) -> None:
    """Where the processor time of a replay goes, whoever shares which core: medians of all rounds."""
    alone_s = statistics.median(each.workers_cpu_s[0] for each in one)
    busier_s = statistics.median(max(each.workers_cpu_s) for each in two)
    report(f"{LOGS} logs, CPU of the busier of 2 workers", busier_s, "s", peer=("the only worker", alone_s))
    others_s = statistics.median(each.others_cpu_s for each in two)
    workers_s = statistics.median(sum(each.workers_cpu_s) for each in two)
    report(f"{LOGS} logs, CPU of scheduler and client", others_s, "s", peer=("both workers", workers_s))


if __name__ == "__main__":
    main()

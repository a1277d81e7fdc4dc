"""What the store writes to the card and costs: ``python tests/bench/bench_store.py``, about 2 minutes.

Half an hour of the simulated car in town at 50 samples per second through the real pipeline, committed
every 2 s of driving as the daemon does; the driving is compressed. Bytes are what arrives at a block device:
an ext4 file system of its own in a file, its journal included, where root may mount one; elsewhere
``write_bytes`` of /proc/self/io below ``LOWMAF_BENCH_FOLDER`` (default: here), which knows no journal.

Then how late a sample is handled at 50 samples per second in real time on a disk that takes 500 ms for each
sync: while a commit is under way, beside those in between, so that what else the machine does is in both.
``--quick`` drives ten minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pytest
from disk_shim import make_disk
from figures import not_measured, report

from daemon.live.hub import Hub
from daemon.live.hub_settings import HubSettings
from daemon.store.records import SessionStart
from daemon.store.store import Store
from drivers.simulator.recording import record_drive
from drivers.simulator.settings import CarSettings, DriveKind
from lowmaf.cells import block_to_bytes
from lowmaf.filters import Filters
from lowmaf.maf_table import default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch
from lowmaf.settings import CurveSettings

RATE_HZ, COMMIT_S = 50, 2.0
DRIVEN_S = 600.0 if "--quick" in sys.argv else 1800.0
LATE_S, SYNC_MS = 40.0, 500
LATE_TARGET_MS = 5.0
IN_OWN_NAMESPACE = "LOWMAF_BENCH_MOUNTS"


class Kept(Enum):
    """What is written with each commit, and the most that it may cost, MB/h."""

    FLOOR = ("one number (what a commit costs at least)", None)
    CELLS = ("cells only", 25)
    SAMPLES = ("cells and samples", 40)


def drive() -> SampleBatch:
    """The car in town, with every channel that there is: 14, and their time."""
    recorded = record_drive(CarSettings(drive=DriveKind.CITY), DRIVEN_S, RATE_HZ, with_lambda=True)
    noise = np.random.default_rng(1).normal(0.0, 1.0, len(recorded))
    map_kpa = np.round(60.0 * recorded["load_g_rev"] + noise)
    return SampleBatch(recorded.t_s, {**recorded.channels, "map_kpa": map_kpa})


async def measure(folder: Path, recorded: SampleBatch, kept: Kept, written_bytes: Callable[[], int]) -> None:
    path = folder / f"{kept.name}.sqlite3"
    per_commit = int(RATE_HZ * COMMIT_S)
    took_s: list[float] = []
    cpu_s = 0.0
    async with await Store.open(path, commit_interval_s=3600.0) as store:
        table = await store.put_table(default_axis())
        start = SessionStart(
            driver="bench", maf_table_revision=table.revision, epoch=1, estimator="curve", settings={}
        )
        session = await store.begin_session(start)
        pipeline = Pipeline(table)
        pipeline.begin(session)
        before_bytes = written_bytes()
        for first in range(0, len(recorded), per_commit):
            batch = recorded.slice(first, min(first + per_commit, len(recorded)))
            if kept is not Kept.FLOOR:
                pipeline.feed(batch)
            started_s, started_cpu_s = time.monotonic(), time.process_time()
            if kept is Kept.SAMPLES:
                store.write_samples(session, batch)
            for key, sums in pipeline.take_changed_blocks().items():
                store.write_blocks(session, {key.block: block_to_bytes(table.cells, sums)})
            counts = {"accepted": first} if kept is Kept.FLOOR else pipeline.verdict_counts()
            store.write_counts(session, counts)
            await store.flush()
            took_s.append(time.monotonic() - started_s)
            cpu_s += time.process_time() - started_cpu_s
        written_mb = (written_bytes() - before_bytes) / 1e6
    words, limit = kept.value
    per_hour = 3600.0 / DRIVEN_S
    p99_ms = 1e3 * statistics.quantiles(took_s, n=100)[98]
    print(f"{words}: {len(took_s)} commits in {DRIVEN_S / 60:.0f} minutes, {len(recorded.channels)} channels")
    short = kept.name.lower()
    report(f"{short}: written", written_mb * per_hour, "MB/h", at_most=limit)
    report(f"{short}: written by a commit", written_mb * 1e3 / len(took_s), "kB")
    report(f"{short}: the file grows", path.stat().st_size / 1e6 * per_hour, "MB/h")
    report(f"{short}: a commit takes, median", 1e3 * statistics.median(took_s), "ms")
    report(f"{short}: a commit takes, p99", p99_ms, "ms")
    report(f"{short}: CPU of the store", 100.0 * cpu_s / DRIVEN_S, "% of a core", at_most=1.0)


@contextlib.contextmanager
def own_file_system(place: Path) -> Iterator[tuple[Path, Callable[[], int]]]:
    """A folder on an ext4 of its own, and what has arrived at its block device, bytes."""
    image, folder = place / "disk", place / "mounted"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(256 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    found = subprocess.run(
        ["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True
    )
    device = Path(found.stdout.strip())
    try:
        subprocess.run(["mount", str(device), str(folder)], check=True)

        def arrived() -> int:
            os.sync()
            return int(Path(f"/sys/block/{device.name}/stat").read_text("ascii").split()[6]) * 512

        try:
            yield folder, arrived
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    finally:
        subprocess.run(["losetup", "-d", str(device)], check=True)


def written_by_this_process() -> int:
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text("ascii").splitlines())
    return int(fields["write_bytes"])


def bytes_written() -> None:
    recorded = drive()
    parent = os.environ.get("LOWMAF_BENCH_FOLDER", ".")
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=parent, prefix="bench-store-")))
        try:
            folder, written = stack.enter_context(own_file_system(place))
            print("bytes at the block device of an ext4, journal included")
        except (OSError, subprocess.CalledProcessError) as error:
            folder, written = place, written_by_this_process
            print(f"bytes that this process wrote, without the journal (no ext4 of its own here: {error})")
        for kept in Kept:
            asyncio.run(measure(folder, recorded, kept, written))


async def lateness_ms(path: Path) -> tuple[list[float], list[float]]:
    """How late each sample was handled, from when it was due until the hub had taken it: those that came
    while a commit was under way, and the others."""
    recorded = record_drive(CarSettings(), LATE_S, RATE_HZ)
    begun = 0
    late_ms: tuple[list[float], list[float]] = ([], [])
    async with await Store.open(path) as store:
        table = await store.put_table(default_axis())
        hub = Hub(HubSettings("bench", table, "curve", Filters(), CurveSettings()), store)

        def before_commit() -> None:
            nonlocal begun
            begun = store.status()["commits"] + 1
            hub.save()

        store.before_commit = before_commit
        hub.source_connected("bench")
        start_s = time.perf_counter()
        for number in range(len(recorded)):
            due_s = start_s + number / RATE_HZ
            await asyncio.sleep(max(due_s - time.perf_counter(), 0.0))
            hub.take(recorded.slice(number, number + 1))
            late_ms[store.status()["commits"] >= begun].append(1e3 * (time.perf_counter() - due_s))
    return late_ms


def added_lateness() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-store-") as folder:
        place = Path(folder)
        (place / "disk").mkdir()
        try:
            disk = make_disk(place / "disk", place)
        except pytest.skip.Exception as reason:
            not_measured("lateness on a slow card", str(reason))
            return
        disk.behave(sync_delay_ms=SYNC_MS)
        command = [sys.executable, __file__, "--lateness", str(place / "disk" / "car.sqlite3")]
        ran = subprocess.run(command, env=disk.environment(), check=True, capture_output=True, text=True)
    committing, between = json.loads(ran.stdout)
    share_pct = 100.0 * len(committing) / (len(committing) + len(between))
    report(f"time with a commit under way, {SYNC_MS} ms for each sync", share_pct, "%")
    for words, quantile, limit in (("median", 0.5, None), ("p99", 0.99, LATE_TARGET_MS)):
        during_ms, other_ms = (float(np.quantile(those, quantile)) for those in (committing, between))
        report(f"a sample is handled late meanwhile, {words}", during_ms, "ms", peer=("in between", other_ms))
        report(f"added by the slow card, {words}", during_ms - other_ms, "ms", at_most=limit)


def main() -> None:
    if "--lateness" in sys.argv:
        print(json.dumps(asyncio.run(lateness_ms(Path(sys.argv[-1])))))
        return
    if os.getuid() == 0 and shutil.which("unshare") and IN_OWN_NAMESPACE not in os.environ:
        environment = {**os.environ, IN_OWN_NAMESPACE: "1"}
        command = ["unshare", "--mount", sys.executable, __file__, *sys.argv[1:]]
        if subprocess.run(command, env=environment, check=False).returncode == 0:
            return
    bytes_written()
    added_lateness()


if __name__ == "__main__":
    main()

"""What the store writes to the card and costs: ``python tests/bench/bench_store.py``, about 1 minute.

Half an hour of the simulated car in town at 50 samples per second through the real pipeline, committed
every 2 s of driving as the daemon does; the driving is compressed. Bytes are ``write_bytes`` of
/proc/self/io: what the process caused to be written to the block device below the folder
``LOWMAF_BENCH_FOLDER`` (default: here; on a memory file system they would be 0), without the file
system's own journal.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from daemon.store import Store
from daemon.store_records import SessionStart
from drivers.simulator.recording import record_drive
from drivers.simulator.settings import CarSettings, DriveKind
from lowmaf.cells import block_to_bytes
from lowmaf.maf_table import default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch

RATE_HZ, COMMIT_S, DRIVEN_S = 50, 2.0, 1800.0


def written_bytes() -> int:
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text("ascii").splitlines())
    return int(fields["write_bytes"])


async def measure(folder: Path, drive: SampleBatch, *, samples: bool) -> None:
    path = folder / f"bench-{samples}.sqlite3"
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
        for first in range(0, len(drive), per_commit):
            batch = drive.slice(first, min(first + per_commit, len(drive)))
            pipeline.feed(batch)
            started_s, started_cpu_s = time.monotonic(), time.process_time()
            if samples:
                store.write_samples(session, batch)
            for key, sums in pipeline.take_changed_blocks().items():
                store.write_blocks(session, {key.block: block_to_bytes(table.cells, sums)})
            store.write_counts(session, pipeline.verdict_counts())
            await store.flush()
            took_s.append(time.monotonic() - started_s)
            cpu_s += time.process_time() - started_cpu_s
    per_hour = 3600.0 / DRIVEN_S
    written_mb, file_mb = (written_bytes() - before_bytes) / 1e6, path.stat().st_size / 1e6
    what, limit = ("cells and samples", 70) if samples else ("cells only", 40)
    p99_ms = 1e3 * statistics.quantiles(took_s, n=100)[98]
    print(f"{what}: {len(took_s)} commits, {DRIVEN_S / 60:.0f} minutes, {len(drive.channels)} channels")
    print(f"  written      {written_mb * per_hour:6.1f} MB/h   (target: at most {limit})")
    print(f"  file grows   {file_mb * per_hour:6.1f} MB/h")
    print(f"  a commit     {1e3 * statistics.median(took_s):6.1f} ms median, {p99_ms:.1f} ms p99")
    print(f"  CPU          {100.0 * cpu_s / DRIVEN_S:6.2f} % of a core")


async def main() -> None:
    drive = record_drive(CarSettings(drive=DriveKind.CITY), DRIVEN_S, RATE_HZ, with_lambda=True)
    parent = os.environ.get("LOWMAF_BENCH_FOLDER", ".")
    with tempfile.TemporaryDirectory(dir=parent, prefix="bench-store-") as folder:
        for samples in (False, True):
            await measure(Path(folder), drive, samples=samples)


if __name__ == "__main__":
    asyncio.run(main())

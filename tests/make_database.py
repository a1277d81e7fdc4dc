"""``python tests/make_database.py FILE``: a small database as this version of lowmaf leaves it.

Before the schema changes, one is kept as ``tests/databases/schema_N.db``: two drives of a simulated car, the
second cut off by the power, in a boot that learned later what time it was.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np

from daemon.live.verdict_minutes import VerdictMinutes
from daemon.store.records import SessionStart
from daemon.store.store import Store
from daemon.wall_clock import BootClock, ClockReading, ClockState
from drivers.simulator.recording import record_drive
from drivers.simulator.settings import CarSettings
from lowmaf.cells import block_to_bytes
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable
from lowmaf.pipeline import Pipeline
from lowmaf.settings import CurveSettings

DRIVE_S = 120.0
CHUNK = 200
CUT_OFF_BOOT = "66666666-7777-8888-9999-000000000000"
BEGINNINGS = (
    ClockReading(1.7e9, 50.0, ClockState.SYNCED, "11111111-2222-3333-4444-555555555555"),
    ClockReading(1.0e9, 10.0, ClockState.UNSYNCED, CUT_OFF_BOOT),
)


async def keep(store: Store) -> None:
    """Writes what a kept database holds."""
    maf_v = np.round(np.linspace(1.0, 4.5, 16), 2)
    table = await store.put_table(MafTable("stock", maf_v, np.round(1.13 * (maf_v / 0.94) ** 3.4, 3)))
    store.write_locks(frozenset({3}))
    for number, clock in enumerate(BEGINNINGS):
        session = await _drive(store, table, CarSettings(seed=5 + number), clock)
        if clock.boot_id != CUT_OFF_BOOT:
            ended = ClockReading(clock.wall_s, clock.monotonic_s + DRIVE_S, clock.state, clock.boot_id)
            await store.end_session(session, ended)
    store.write_boot_clock(BootClock(CUT_OFF_BOOT, 1.7e9, ClockState.SYNCED))
    await store.flush()


async def _drive(store: Store, table: MafTable, car: CarSettings, clock: ClockReading) -> int:
    filters, curve = Filters.from_pairs(["min_ect_c=off"]), CurveSettings()
    start = SessionStart(
        driver="simulator",
        maf_table_revision=table.revision,
        epoch=1,
        estimator="curve",
        settings={"filters": asdict(filters), "curve": asdict(curve)},
    )
    session = await store.begin_session(start, clock)
    store.write_link("simulator", "running", "the simulated car", clock)
    pipeline, minutes = Pipeline(table, filters=filters, settings=curve), VerdictMinutes()
    pipeline.begin(session)
    samples = record_drive(car, seconds=DRIVE_S)
    for first in range(0, len(samples), CHUNK):
        chunk = samples.slice(first, min(first + CHUNK, len(samples)))
        minutes.add(pipeline.feed(chunk))
        store.write_samples(session, chunk)
        await store.flush()
    minutes.add(pipeline.finish())
    changed = pipeline.take_changed_blocks()
    store.write_blocks(
        session, {key.block: block_to_bytes(table.cells, sums) for key, sums in changed.items()}
    )
    store.write_counts(session, pipeline.verdict_counts())
    store.write_minutes(session, minutes.take(finished=True))
    return session


async def make(target: Path) -> None:
    """Makes the file, which must not be there yet; a drive that is open in it stays open."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.sqlite3"
        async with await Store.open(path, commit_interval_s=3600.0) as store:
            await keep(store)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))


def main(arguments: Sequence[str]) -> None:
    """Makes the file that is named."""
    asyncio.run(make(Path(arguments[0])))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Cells can be made anew from kept samples, and equal the kept ones bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from daemon.store.records import SessionStart
from daemon.store.store import Store
from drivers.simulator.recording import record_drive
from drivers.simulator.settings import CarSettings
from lowmaf.cells import block_to_bytes
from lowmaf.filters import Filters
from lowmaf.maf_table import default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch

FROM_COLD = Filters.from_pairs(["min_ect_c=off"])


def with_gaps(batch: SampleBatch) -> SampleBatch:
    """Some values missing, as when the car does not answer in time."""
    rng = np.random.default_rng(7)
    return SampleBatch(
        batch.t_s + rng.uniform(0.0, 0.01, len(batch)),
        {
            name: np.where(rng.random(len(batch)) < 0.02, np.nan, values)
            for name, values in batch.channels.items()
        },
    )


def keep_cells(pipeline: Pipeline, store: Store, session: int) -> None:
    for key, sums in pipeline.take_changed_blocks().items():
        store.write_blocks(session, {key.block: block_to_bytes(pipeline.table.cells, sums)})
    store.write_counts(session, pipeline.verdict_counts())


async def test_cells_made_anew_from_kept_samples_equal_the_kept_ones(tmp_path: Path) -> None:
    drive = with_gaps(record_drive(CarSettings(), seconds=240.0))
    start = SessionStart(driver="test", maf_table_revision=1, epoch=1, estimator="curve", settings={})
    async with await Store.open(tmp_path / "car.sqlite3", commit_interval_s=3600.0) as store:
        table = await store.put_table(default_axis())
        session = await store.begin_session(start)
        live = Pipeline(table, filters=FROM_COLD)
        live.begin(session)
        for first in range(0, len(drive), 7):
            batch = drive.slice(first, min(first + 7, len(drive)))
            live.feed(batch)
            store.write_samples(session, batch)
            if first % 280 == 0:
                keep_cells(live, store, session)
                await store.flush()
        live.finish()
        keep_cells(live, store, session)
        await store.flush()

        anew = Pipeline(table, filters=FROM_COLD)
        anew.begin(session)
        async for batch in store.samples(session):
            anew.feed(batch)
        anew.finish()
        blocks = {
            key.block: block_to_bytes(table.cells, sums) for key, sums in anew.take_changed_blocks().items()
        }
        assert sorted(blocks) == [2, 3, 4, 5, 6, 7], "the loop closes after a minute"
        assert blocks == await store.blocks(session)
        assert {label: n for label, n in anew.verdict_counts().items() if n} == await store.counts(session)
        assert anew.counts().accepted > 1000

"""A drive through each driver is recorded on the way: replayed, it gives the same, bit for bit."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from pathlib import Path

import can
import numpy as np
import pytest
from link_benches import BENCHES, Bench
from test_drivers_contract import BAD_LINKS

from drivers.base import DeviceUnavailableError, Driver
from drivers.clock import ScaledClock, WallClock
from drivers.links import LiveLinks
from drivers.logs.opening import open_log
from drivers.recorder import RecordingSettings
from drivers.registry import RECORDED, create
from drivers.simulator.link_faults import NO_FAULTS, LinkFaults
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable, default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch

SPEED = 30.0
"""The car drives so much faster than the tests wait."""


async def driven(name: str, folder: Path, faults: LinkFaults, seconds: float, **more: object) -> SampleBatch:
    """Samples of a drive that ends when the ECU falls silent, which is recorded too."""
    taken: list[SampleBatch] = []
    with BENCHES[name](faults, ScaledClock(SPEED, WallClock())) as bench:
        options = {**bench.options, "silent_s": 0.4, **more}
        header = {"options": json.dumps(options), "car": "my car", "note": "two words"}
        links = LiveLinks(RecordingSettings(folder, 10**9, name, header))
        driver = create(name, options, WallClock(), links)
        async with asyncio.timeout(60.0):
            while not taken:  # on a bad link the ECU is not always found at once
                with pytest.raises(DeviceUnavailableError):
                    await _to_its_end(driver, bench, seconds, taken)
    return SampleBatch.concatenate(taken)


async def _to_its_end(driver: Driver, bench: Bench, seconds: float, taken: list[SampleBatch]) -> None:
    loop = asyncio.get_running_loop()
    until_s = loop.time() + seconds
    async with aclosing(driver.batches()) as batches:  # type: ignore[type-var]
        async for batch in batches:
            taken.append(batch)
            if loop.time() > until_s:
                bench.unplug()


def replayed(folder: Path) -> SampleBatch:
    (path,) = folder.glob("lowmaf-*-2*.log")
    return SampleBatch.concatenate(open_log(path).batches())


def table_of(samples: SampleBatch) -> bytes:
    """What the samples teach, as bytes."""
    axis = default_axis()
    table = MafTable("any", axis.maf_v, 1.2 * (axis.maf_v / 0.94) ** 3.4)
    pipeline = Pipeline(table, estimator="nearest", filters=Filters.none())
    pipeline.begin(1)
    pipeline.feed(samples)
    pipeline.finish()
    snapshot = pipeline.snapshot(None)
    assert snapshot.counts.accepted > 0
    return snapshot.correction_pct.tobytes() + snapshot.hits.tobytes()


def same(live: SampleBatch, again: SampleBatch) -> None:
    assert again.t_s.tobytes() == live.t_s.tobytes()
    assert list(again.channels) == list(live.channels)
    for name, values in live.channels.items():
        assert again[name].tobytes() == values.tobytes(), name
    assert table_of(again) == table_of(live)


@pytest.mark.parametrize("name", sorted(RECORDED))
async def test_live_equals_replay(name: str, tmp_path: Path) -> None:
    live = await driven(name, tmp_path, NO_FAULTS, 0.7)
    assert len(live) > 10
    assert np.unique(live["maf_gs"]).size > 5
    same(live, await asyncio.to_thread(replayed, tmp_path))


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(RECORDED))
async def test_live_equals_replay_on_a_link_that_loses_damages_and_delays(name: str, tmp_path: Path) -> None:
    live = await driven(name, tmp_path, BAD_LINKS["everything at once"], 1.0, silent_s=1.0)
    same(live, await asyncio.to_thread(replayed, tmp_path))


@pytest.mark.long
async def test_live_equals_replay_where_the_ecu_is_asked_each_time(tmp_path: Path) -> None:
    live = await driven("ssm-kline", tmp_path, NO_FAULTS, 1.0, mode="polled")
    same(live, await asyncio.to_thread(replayed, tmp_path))


async def test_python_can_reads_our_recordings_of_a_bus(tmp_path: Path) -> None:
    live = await driven("ssm-can", tmp_path, NO_FAULTS, 0.3)
    (path,) = tmp_path.glob("*.log")
    frames = [frame for frame in can.LogReader(path) if not frame.is_error_frame]
    assert {frame.arbitration_id for frame in frames} == {0x7E0, 0x7E8}
    assert all(frame.is_rx == (frame.arbitration_id == 0x7E8) for frame in frames)
    assert sum(frame.data[0] == 0x10 and frame.data[2] == 0xE8 for frame in frames) >= len(live)

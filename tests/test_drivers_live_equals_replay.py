"""A drive through each driver is recorded on the way: replayed, it gives the same, bit for bit."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, aclosing
from pathlib import Path

import can
import numpy as np
import pytest
from link_benches import BENCHES, Bench, can_bench, kline_bench, slcan_bench
from passive_links import DBC, ENGINE, SIGNALS, SLOW, TRIMS, Frame, broadcasting, controller
from test_drivers_contract import BAD_LINKS
from test_drivers_wideband import ISP2, naw

from drivers.base import DeviceUnavailableError, Driver
from drivers.clock import ScaledClock, WallClock
from drivers.dbc_signals import parse_pairs, signal_map
from drivers.links import Links, LiveLinks
from drivers.logs.broadcast_recording import BroadcastRecording
from drivers.logs.can_sniff import CanFormat
from drivers.logs.errors import LogUnreadableError
from drivers.logs.opening import open_log
from drivers.recorded_links import RecordedLinks
from drivers.recorder import RecordingSettings
from drivers.recording import Recording
from drivers.registry import RECORDED, RECORDED_WITH, create, create_second
from drivers.simulator.link_faults import NO_FAULTS, LinkFaults
from drivers.wideband import TimedReading, Wideband
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable, default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch

ENOUGH = 10
"""Samples that a drive has at least, however busy the machine is."""
MakeBench = Callable[..., AbstractContextManager[Bench]]
SPEED = 30.0
"""The car drives so much faster than the tests wait."""


async def driven(
    name: str, folder: Path, faults: LinkFaults, seconds: float, make_bench: MakeBench, **more: object
) -> SampleBatch:
    """Samples of a drive that ends when the ECU falls silent, which is recorded too."""
    taken: list[SampleBatch] = []
    with make_bench(faults, ScaledClock(SPEED, WallClock())) as bench:
        options = {**bench.options, "silent_s": 0.4, **more}
        header = {"options": json.dumps(options), "car": "my car", "note": "two words"}
        beside = (Path(str(options[RECORDED_WITH[name]])),) if RECORDED_WITH.get(name) in options else ()
        links = LiveLinks(RecordingSettings(folder, 10**9, name, header, beside))
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
            if loop.time() > until_s and sum(map(len, taken)) > ENOUGH:
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
    live = await driven(name, tmp_path, NO_FAULTS, 0.7, BENCHES[name])
    assert np.unique(live["maf_gs" if "maf_gs" in live.delivered else "maf_v"]).size > 5
    same(live, await asyncio.to_thread(replayed, tmp_path))


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(RECORDED))
async def test_live_equals_replay_on_a_link_that_loses_damages_and_delays(name: str, tmp_path: Path) -> None:
    bad = BAD_LINKS["everything at once"]
    live = await driven(name, tmp_path, bad, 1.0, BENCHES[name], silent_s=1.0)
    same(live, await asyncio.to_thread(replayed, tmp_path))


@pytest.mark.long
async def test_live_equals_replay_where_the_ecu_is_asked_each_time(tmp_path: Path) -> None:
    live = await driven("ssm-kline", tmp_path, NO_FAULTS, 1.0, kline_bench, mode="polled")
    same(live, await asyncio.to_thread(replayed, tmp_path))


async def test_python_can_reads_our_recordings_of_a_bus(tmp_path: Path) -> None:
    live = await driven("ssm-can", tmp_path, NO_FAULTS, 0.3, can_bench)
    (path,) = tmp_path.glob("*.log")
    frames = [frame for frame in can.LogReader(path) if not frame.is_error_frame]
    assert {frame.arbitration_id for frame in frames} == {0x7E0, 0x7E8}
    assert all(frame.is_rx == (frame.arbitration_id == 0x7E8) for frame in frames)
    assert sum(frame.data[0] == 0x10 and frame.data[2] == 0xE8 for frame in frames) >= len(live)


@pytest.mark.parametrize("name", ["ssm-can", "obd-can"])
async def test_live_equals_replay_through_a_serial_can_adapter(name: str, tmp_path: Path) -> None:
    live = await driven(name, tmp_path, NO_FAULTS, 0.5, slcan_bench)
    same(live, await asyncio.to_thread(replayed, tmp_path))


async def test_frames_that_were_listened_to_are_read_by_any_program(tmp_path: Path) -> None:
    live = await driven("can-broadcast", tmp_path, NO_FAULTS, 0.3, BENCHES["can-broadcast"])
    (path,) = tmp_path.glob("*.log")
    frames = [frame for frame in can.LogReader(path) if not frame.is_error_frame]
    assert {(frame.arbitration_id, frame.is_extended_id) for frame in frames} == {ENGINE, TRIMS, SLOW}
    assert sum(frame.arbitration_id == ENGINE[0] for frame in frames) >= len(live)
    signals = signal_map(DBC, parse_pairs(SIGNALS))
    again = SampleBatch.concatenate(BroadcastRecording(path, CanFormat.CANDUMP, signals).batches())
    assert again["maf_v"].tobytes() == live["maf_v"].tobytes()


async def measured(links: Links, options: Mapping[str, object]) -> list[TimedReading]:
    """All readings until the link has ended."""
    taken: list[TimedReading] = []
    source = create_second("wideband", options, WallClock(), links)
    with pytest.raises(DeviceUnavailableError):
        await _measured_to_its_end(source, taken)
    return taken


async def _measured_to_its_end(source: Wideband, taken: list[TimedReading]) -> None:
    async with asyncio.timeout(20.0), aclosing(source.readings()) as readings:
        async for timed in readings:
            taken.append(timed)  # noqa: PERF401 - what came before the end is kept


def aem_frame(turn: int) -> Frame:
    return 0x180, True, bytes((0x1F, turn % 256)) + bytes.fromhex("00008A008200")


@pytest.mark.parametrize("kind", ["innovate", "naw-7s", "aem-can"])
async def test_readings_of_a_controller_equal_those_of_its_recording(kind: str, tmp_path: Path) -> None:
    turn = itertools.count()
    packet = {
        "innovate": lambda: ISP2[:-1] if next(turn) % 5 == 3 else ISP2,
        "naw-7s": lambda: naw(90.0 + next(turn)),
    }
    with ExitStack() as stack:
        options: dict[str, object] = {"controller": kind, "silent_s": 0.4}
        if kind == "aem-can":
            channel, sender = stack.enter_context(broadcasting(lambda: (aem_frame(next(turn)),)))
            options |= {"interface": "virtual", "channel": channel}
            mute = sender.mute
        else:
            device = stack.enter_context(controller(packet[kind], asked=kind == "naw-7s"))
            options["port"] = device.port.path
            mute = device.mute
        asyncio.get_running_loop().call_later(0.6, mute)
        header = {"options": json.dumps(options)}
        live = await measured(LiveLinks(RecordingSettings(tmp_path, 10**9, "wideband", header)), options)
    assert len(live) > 3
    (path,) = tmp_path.glob("lowmaf-wideband-2*.log")
    recording = Recording(path)
    again = await measured(RecordedLinks(recording), options)
    recording.close()
    opened_s = live[0][0] - again[0][0]
    assert [reading for _, reading in again] == [reading for _, reading in live]
    np.testing.assert_allclose([at_s + opened_s for at_s, _ in again], [at_s for at_s, _ in live], atol=1e-9)
    with pytest.raises(
        LogUnreadableError, match="it is of a wideband, which measures lambda and gives no samples"
    ):
        list(open_log(path).batches())

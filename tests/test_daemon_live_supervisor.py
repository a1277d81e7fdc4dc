"""The supervisor: retries with back-off, says a failure once, pauses, and closes what it opened."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest
from test_daemon_live_hub import MemoryStore, settings, steady

from daemon.config.config import load_config
from daemon.live.hub import Hub
from daemon.live.supervisor import IN_USE_WAIT_S, LONGEST_WAIT_S, PARKED_AFTER_S, PARKED_WAIT_S, Supervisor
from daemon.planning import plan_from
from drivers.base import DeviceUnavailableError, LinkInUseError
from lowmaf.samples import SampleBatch
from web.board import Command


class Script:
    """A driver that does what it is told: numbers are seconds of samples, errors are raised."""

    name = "script"

    def __init__(self, steps: list[float | Exception | None]) -> None:
        self.steps = steps
        self.open = 0

    def describe(self) -> str:
        return "a scripted source"

    async def batches(self) -> AsyncGenerator[SampleBatch, None]:
        self.open += 1
        t_s = 0.0
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                if step is None:
                    await asyncio.Event().wait()
                else:
                    yield steady(t_s, step)
                    t_s += step
                    await asyncio.sleep(0)
        finally:
            self.open -= 1


def supervised(drivers: list[Script]) -> tuple[Hub, MemoryStore, Supervisor, list[float]]:
    store = MemoryStore()
    hub = Hub(settings(), store)
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    remaining = iter(drivers)
    last = drivers[-1]
    return hub, store, Supervisor(lambda: next(remaining, last), hub, wait=wait, draw=lambda: 1.0), waits


async def until(hub: Hub, state: str) -> None:
    async with asyncio.timeout(20.0):
        generation = -1
        while hub.status().link.state != state:
            generation = await hub.changed(generation)


async def test_a_source_that_ends_is_a_session_and_an_end() -> None:
    hub, store, supervisor, waits = supervised([Script([1.0, 2.0])])
    await asyncio.wait_for(supervisor.run(), 5.0)
    assert hub.status().link.state == "ended"
    assert store.samples == {1: 30}
    assert store.ended == [1]
    assert waits == []


async def test_failures_are_said_once_and_so_is_the_recovery(caplog: pytest.LogCaptureFixture) -> None:
    gone = [Script([DeviceUnavailableError("no such port /dev/ttyUSB0")]) for _ in range(9)]
    hub, store, supervisor, waits = supervised([*gone, Script([1.0, DeviceUnavailableError("unplugged")]),
                                                Script([1.0])])  # fmt: skip
    with caplog.at_level(logging.INFO, "daemon.live.supervisor"):
        await asyncio.wait_for(supervisor.run(), 5.0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING", "INFO"]
    assert "no such port /dev/ttyUSB0" in caplog.text
    np.testing.assert_allclose(waits[:7], [0.5, 1, 2, 4, 8, 16, LONGEST_WAIT_S])
    assert waits[9] == 0.5
    assert hub.status().link.reconnects == 2
    assert store.ended == [1], "a link that is back soon goes on with the drive"


async def test_a_recorded_log_that_was_paused_goes_on_and_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "car.toml"
    rows = [f"{20 * n},{n % 5 - 2},1.5,8,1.5{n % 10},4.{n % 10},900" for n in range(2000)]
    header = (
        "Time (msec),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL Fueling* (status),"
        "Mass Airflow Sensor Voltage (V),Mass Airflow (g/s),Engine Speed (rpm)"
    )
    (tmp_path / "drive.csv").write_text("\n".join([header, *rows, ""]))
    path.write_text("[source]\ndriver = 'replay'\nfile = 'drive.csv'\nspeed = 40\n")
    store = MemoryStore()
    hub = Hub(settings(), store)
    running = asyncio.create_task(Supervisor(plan_from(load_config(path, {})).make_driver, hub).run())
    async with asyncio.timeout(20.0):
        await until(hub, "running")
        await hub.command(Command("pause"))
        await until(hub, "paused")
        before = sum(store.samples.values())
        assert 0 < before < 2000
        await hub.command(Command("resume"))
        await running
    assert hub.status().link.state == "ended"
    assert store.samples == {1: before, 2: 2000 - before}


async def test_pause_closes_the_port_and_resume_opens_it_again() -> None:
    first, second = Script([1.0, None]), Script([1.0, None])
    hub, store, supervisor, _ = supervised([first, first, second])
    running = asyncio.create_task(supervisor.run())
    try:
        await until(hub, "running")
        assert first.open == 1
        await hub.command(Command("pause"))
        await until(hub, "paused")
        assert first.open == 0
        assert store.ended == [1]
        await hub.command(Command("resume"))
        await until(hub, "running")
        assert second.open == 1
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert second.open == 0


async def test_a_car_that_stays_away_is_asked_once_a_minute_and_at_once_again_later() -> None:
    gone = [Script([DeviceUnavailableError("ignition off")]) for _ in range(60)]
    hub, _, supervisor, waits = supervised([*gone, Script([1.0, DeviceUnavailableError("unplugged")]),
                                            Script([1.0])])  # fmt: skip
    words: list[str] = []
    set_link = hub.set_link
    hub.set_link = lambda state, said, driver, **more: (
        words.append(said),
        set_link(state, said, driver, **more),
    )
    await asyncio.wait_for(supervisor.run(), 5.0)
    away = np.cumsum(waits[:60])
    quick = int(np.searchsorted(away, PARKED_AFTER_S)) + 1
    assert max(waits[:quick]) == LONGEST_WAIT_S
    assert set(waits[quick:60]) == {PARKED_WAIT_S}
    assert "parked, looking for the car once a minute: ignition off" in words
    assert waits[60] == 0.5


async def test_another_tester_is_given_a_minute_of_silence() -> None:
    hub, _, supervisor, waits = supervised([Script([1.0, LinkInUseError("another tester is on bus can0")]),
                                            Script([1.0])])  # fmt: skip
    await asyncio.wait_for(supervisor.run(), 5.0)
    assert waits == [IN_USE_WAIT_S]
    (said,) = [event.words for event in hub.status().link.history if event.state == "waiting"]
    assert said == "silent for 60 s: another tester is on bus can0"


async def test_a_driver_that_keeps_bringing_samples_is_left_alone() -> None:
    """Its limit is moved on now and then, not with each batch."""

    class Slow(Script):
        async def batches(self) -> AsyncGenerator[SampleBatch, None]:
            async for batch in super().batches():
                yield batch
                await asyncio.sleep(0.05)

    hub = Hub(settings(), store := MemoryStore())
    supervisor = Supervisor(lambda: Slow([0.1] * 30), hub, silent_limit_s=0.6)
    await asyncio.wait_for(supervisor.run(), 20.0)
    assert hub.status().link.state == "ended"
    assert hub.status().link.reconnects == 0
    assert store.samples == {1: 30}


@pytest.mark.parametrize("stuck", [Script([None]), Script([1.0, None])], ids=["at once", "later"])
async def test_a_driver_that_brings_nothing_more_is_opened_anew(stuck: Script) -> None:
    store = MemoryStore()
    hub = Hub(settings(), store)
    drivers = iter([stuck, Script([1.0])])

    async def wait(_: float) -> None:
        await asyncio.sleep(0)

    supervisor = Supervisor(lambda: next(drivers), hub, wait=wait, find_limit_s=0.05, silent_limit_s=0.05)
    await asyncio.wait_for(supervisor.run(), 5.0)
    assert stuck.open == 0
    history = hub.status().link.history
    assert [event.state for event in history][-3:] == ["waiting", "running", "ended"]
    assert "a scripted source: no sample for 0.05 s, so it is opened anew" in history[-3].words
    assert all(earlier.age_s >= later.age_s for earlier, later in itertools.pairwise(history))


async def test_a_pause_is_heeded_while_waiting_for_the_car() -> None:
    store = MemoryStore()
    hub = Hub(settings(), store)
    asked = asyncio.Event()

    async def wait(_: float) -> None:
        asked.set()
        await asyncio.Event().wait()

    supervisor = Supervisor(lambda: Script([DeviceUnavailableError("ignition off")]), hub, wait=wait)
    running = asyncio.create_task(supervisor.run())
    try:
        await asyncio.wait_for(asked.wait(), 5.0)
        await hub.command(Command("pause"))
        await until(hub, "paused")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_pause_ends_the_drive_of_a_link_that_is_away() -> None:
    store = MemoryStore()
    hub = Hub(settings(), store)
    asked = asyncio.Event()

    async def wait(_: float) -> None:
        asked.set()
        await asyncio.Event().wait()

    lost = Script([1.0, DeviceUnavailableError("unplugged")])
    supervisor = Supervisor(lambda: lost, hub, wait=wait)
    running = asyncio.create_task(supervisor.run())
    try:
        await asyncio.wait_for(asked.wait(), 5.0)
        assert (hub.session(), store.ended) == (1, [])
        await hub.command(Command("pause"))
        await until(hub, "paused")
        assert (hub.session(), store.ended) == (None, [1])
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_bug_in_a_driver_is_not_swallowed() -> None:
    _, _, supervisor, _ = supervised([Script([1.0, ZeroDivisionError("a bug")])])
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(supervisor.run(), 5.0)

"""The ignition goes off and on again: how soon there are samples, and that a sleeping car is left alone."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import can
import pytest
from link_benches import idling_car, standing
from passive_links import DBC, SIGNALS, Broadcaster, car_frames
from test_daemon_live_hub import MemoryStore, settings

from daemon.live import supervisor
from daemon.live.hub import Hub
from drivers.base import Driver
from drivers.can_broadcast import CanBroadcast
from drivers.can_link import open_bus
from drivers.clock import WallClock
from drivers.simulator.ecu import SimulatedEcu
from drivers.simulator.ecu_answers import EcuAnswers
from drivers.simulator.kline_ecu import KlineEcu
from drivers.simulator.link_faults import NO_FAULTS, LinkFaults
from drivers.simulator.pty_port import PtyPort
from drivers.ssm_can import SsmCan
from drivers.ssm_kline import SsmKline

SOON_S = 2.0
"""From the ECU's first possible answer to the first sample; then what a busy machine adds."""
BUSY_S = 1.0


@asynccontextmanager
async def supervised(make_driver: Callable[[], Driver]) -> AsyncIterator[Hub]:
    hub = Hub(settings(), MemoryStore())
    running = asyncio.create_task(supervisor.Supervisor(make_driver, hub).run())
    try:
        yield hub
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(hub: Hub, state: str, limit_s: float = 20.0) -> float:
    """Time that it took, s."""
    started_s = time.monotonic()
    async with asyncio.timeout(limit_s):
        generation = -1
        while hub.status().link.state != state:
            generation = await hub.changed(generation)
    return time.monotonic() - started_s


def ecu_on(channel: str) -> SimulatedEcu:
    ecu = SimulatedEcu(open_bus("virtual", channel, 0), idling_car(), standing())
    ecu.start()
    return ecu


def over_can(channel: str) -> Callable[[], Driver]:
    return lambda: SsmCan({"interface": "virtual", "channel": channel, "silent_s": 0.5}, WallClock())


async def test_samples_come_soon_after_the_ignition_is_on_again_over_can() -> None:
    channel = f"ignition-{uuid.uuid4().hex}"
    ecu = ecu_on(channel)
    async with supervised(over_can(channel)) as hub:
        await until(hub, "running")
        ecu.stop()
        await until(hub, "waiting")
        await asyncio.sleep(3.0)  # tries in vain
        assert hub.status().link.state == "waiting"
        ecu = ecu_on(channel)
        assert await until(hub, "running") < SOON_S + BUSY_S
    ecu.stop()


async def test_what_is_broadcast_is_heard_as_soon_as_it_comes_also_by_a_parked_car(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "PARKED_AFTER_S", 0.2)
    channel = f"broadcast-{uuid.uuid4().hex}"
    options = {
        "interface": "virtual",
        "channel": channel,
        "silent_s": 0.3,
        "dbc": str(DBC),
        "signals": SIGNALS,
    }

    def sender() -> Broadcaster:
        return Broadcaster(open_bus("virtual", channel, 0), car_frames(idling_car(), standing()), NO_FAULTS)

    broadcaster = sender()
    async with supervised(lambda: CanBroadcast(options, WallClock())) as hub:
        await until(hub, "running")
        broadcaster.stop()
        await until(hub, "waiting")
        generation = -1
        while not hub.status().link.words.startswith("parked"):
            generation = await hub.changed(generation)
        broadcaster = sender()
        assert await until(hub, "running") < SOON_S + BUSY_S
    broadcaster.stop()


@pytest.mark.long
async def test_samples_come_soon_after_the_ignition_is_on_again_over_the_k_line() -> None:
    port = PtyPort()

    def ecu(faults: LinkFaults) -> KlineEcu:
        simulated = KlineEcu(port, EcuAnswers(idling_car(), standing()), faults=faults)
        simulated.start()
        return simulated

    def off(simulated: KlineEcu) -> None:
        """The ECU is gone, and the cable stays."""
        simulated._stopping.set()
        simulated._thread.join()

    running = ecu(NO_FAULTS)
    async with supervised(lambda: SsmKline({"port": port.path}, WallClock())) as hub:
        await until(hub, "running")
        off(running)
        silent = ecu(LinkFaults(drop=1.0))
        await until(hub, "waiting")
        await asyncio.sleep(5.0)
        off(silent)
        running = ecu(NO_FAULTS)
        assert await until(hub, "running") < SOON_S + BUSY_S
    running.stop()


async def test_a_parked_car_is_left_alone_and_heard_when_it_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PARKED_AFTER_S", 0.2)
    channel = f"parked-{uuid.uuid4().hex}"
    ecu = ecu_on(channel)
    witness = open_bus("virtual", channel, 0)
    async with supervised(over_can(channel)) as hub:
        await until(hub, "running")
        ecu.stop()
        await until(hub, "waiting")
        generation = -1
        while not hub.status().link.words.startswith("parked"):
            generation = await hub.changed(generation)
        while witness.recv(0.0) is not None:
            pass
        await asyncio.sleep(1.5)
        assert witness.recv(0.0) is None, "a parked car is asked nothing for a minute"
        ecu = ecu_on(channel)
        witness.send(can.Message(arbitration_id=0x140, data=bytes(8), is_extended_id=False))
        assert await until(hub, "running") < SOON_S + BUSY_S
    ecu.stop()
    witness.shutdown()


async def test_a_bus_that_never_sleeps_does_not_have_the_ecu_asked_all_the_time() -> None:
    """Traffic alone is no sign: only traffic that begins."""
    channel = f"awake-{uuid.uuid4().hex}"
    talker = open_bus("virtual", channel, 0)
    driver = SsmCan({"interface": "virtual", "channel": channel}, WallClock())
    talking = True

    async def talk() -> None:
        while talking:
            talker.send(can.Message(arbitration_id=0x140, data=bytes(8), is_extended_id=False))
            await asyncio.sleep(0.01)

    chatter = asyncio.create_task(talk())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await driver.traffic()
    heard = asyncio.create_task(driver.traffic())
    talking = False
    await chatter
    await asyncio.sleep(0.8)
    assert not heard.done()
    talker.send(can.Message(arbitration_id=0x140, data=bytes(8), is_extended_id=False))
    async with asyncio.timeout(20.0):
        await heard
    talker.shutdown()

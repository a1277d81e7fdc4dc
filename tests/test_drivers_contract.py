"""What holds for every driver in the registry, so that a new one is covered as soon as it is listed."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, aclosing, contextmanager

import numpy as np
import pytest

from drivers.base import DeviceUnavailableError, Driver, DriverOptionError
from drivers.can_link import open_bus
from drivers.clock import WallClock
from drivers.registry import DRIVERS, create
from drivers.simulator.car import Car
from drivers.simulator.ecu import SimulatedEcu
from drivers.simulator.settings import CarSettings
from lowmaf.samples import CHANNELS, SampleBatch

Options = Mapping[str, object]


@contextmanager
def ssm_can_bench() -> Iterator[Options]:
    """A bus with an ECU on it."""
    channel = f"contract-{uuid.uuid4().hex}"
    ecu = SimulatedEcu(open_bus("virtual", channel, 0), Car(CarSettings(ect_start_c=85.0)), WallClock())
    ecu.start()
    try:
        yield {"interface": "virtual", "channel": channel, "rate_hz": 100.0}
    finally:
        ecu.stop()


@contextmanager
def simulator_bench() -> Iterator[Options]:
    yield {"speed": 20.0, "ect_start_c": 85.0}


BENCHES: dict[str, Callable[[], AbstractContextManager[Options]]] = {
    "ssm-can": ssm_can_bench,
    "simulator": simulator_bench,
}
"""Options under which a driver delivers, with its other end running."""

SILENT: dict[str, Options] = {
    "ssm-can": {"interface": "virtual", "channel": "nobody", "timeout_s": 5.0, "silent_s": 10.0},
}
"""Options under which a driver waits for an answer that never comes."""

ABSENT: dict[str, Options] = {"ssm-can": {"interface": "socketcan", "channel": "nosuchcan7"}}
"""Options that name a device that is not there."""

NEEDS_NO_DEVICE = {"simulator"}


async def first(driver: Driver) -> SampleBatch:
    async with asyncio.timeout(10.0), aclosing(driver.batches()) as batches:  # type: ignore[type-var]
        return await anext(batches)


def test_every_driver_has_its_bench() -> None:
    assert set(BENCHES) == set(DRIVERS)
    assert set(SILENT) == set(ABSENT) == set(DRIVERS) - NEEDS_NO_DEVICE


@pytest.mark.parametrize("name", DRIVERS)
def test_options_are_checked_and_nothing_is_opened(name: str) -> None:
    with pytest.raises(DriverOptionError, match=f"driver {name} has no option 'chanel'.*; known: "):
        create(name, {"chanel": "can0"}, WallClock())
    threads = threading.active_count()
    driver = create(name, {}, WallClock())
    assert threading.active_count() == threads
    assert driver.name == name
    assert "\n" not in driver.describe()


@pytest.mark.parametrize("name", DRIVERS)
async def test_samples_are_plausible_and_in_order(name: str) -> None:
    with BENCHES[name]() as options:
        driver = create(name, options, WallClock())
        taken: list[SampleBatch] = []
        async with asyncio.timeout(10.0), aclosing(driver.batches()) as batches:  # type: ignore[type-var]
            async for batch in batches:
                taken.append(batch)
                if sum(map(len, taken)) >= 10:
                    break
    samples = SampleBatch.concatenate(taken)  # fails where batches differ in their channels
    assert np.all(np.diff(samples.t_s) > 0.0)
    assert samples.t_s[0] >= 0.0
    assert {"maf_v", "stft_pct", "fuel_loop"} <= samples.delivered
    for channel_name in samples.delivered:
        channel = CHANNELS[channel_name]
        values = samples[channel_name]
        assert np.all(np.isnan(values) | ((values >= channel.low) & (values <= channel.high))), channel_name


@pytest.mark.parametrize("name", DRIVERS)
async def test_fifty_times_opened_and_closed_leaves_no_thread(name: str) -> None:
    before = threading.active_count()
    with BENCHES[name]() as options:
        driver = create(name, options, WallClock())
        running = threading.active_count()
        for _ in range(50):
            async with asyncio.timeout(10.0), aclosing(driver.batches()) as batches:  # type: ignore[type-var]
                assert len(await anext(batches)) >= 1
            assert threading.active_count() == running
    assert threading.active_count() == before


@pytest.mark.parametrize("name", SILENT)
async def test_cancelling_while_nothing_comes_closes_the_link_within_a_second(name: str) -> None:
    before = threading.active_count()
    waiting = asyncio.create_task(first(create(name, SILENT[name], WallClock())))
    await asyncio.sleep(0)  # runs the task up to its first wait
    started_s = time.monotonic()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert time.monotonic() - started_s < 1.0
    assert threading.active_count() == before


@pytest.mark.parametrize("name", ABSENT)
async def test_a_device_that_is_not_there_is_named(name: str) -> None:
    driver = create(name, ABSENT[name], WallClock())
    with pytest.raises(DeviceUnavailableError, match="nosuchcan7"):
        await first(driver)

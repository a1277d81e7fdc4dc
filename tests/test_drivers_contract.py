"""What holds for every driver in the registry, so that a new one is covered as soon as it is listed."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from link_benches import ABSENT, BENCHES, ECT_C, NEEDS_NO_DEVICE, Bench
from timing import at_most

from drivers.base import DeviceUnavailableError, Driver, DriverOptionError
from drivers.clock import WallClock
from drivers.registry import DRIVERS, create
from drivers.simulator.link_faults import NO_FAULTS, LinkFaults
from lowmaf.samples import CHANNELS, SampleBatch

ON_A_LINK = sorted(set(DRIVERS) - NEEDS_NO_DEVICE)
BAD_LINKS = {
    "byte by byte": LinkFaults(split=1.0),
    "a fifth lost": LinkFaults(drop=0.2),
    "a fifth damaged": LinkFaults(corrupt=0.2),
    "late": LinkFaults(delay_ms=60.0),
    "garbage before each": LinkFaults(garbage=1.0),
    "everything at once": LinkFaults(drop=0.1, corrupt=0.1, garbage=0.1, delay_ms=5.0, split=3.0),
}


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def held() -> tuple[int, int, int]:
    """Open files, threads and tasks of this process."""
    return open_files(), threading.active_count(), len(asyncio.all_tasks())


async def first(driver: Driver) -> SampleBatch:
    async with asyncio.timeout(20.0), aclosing(driver.batches()) as batches:  # type: ignore[type-var]
        return await anext(batches)


async def take(driver: Driver, samples: int, limit_s: float = 30.0) -> SampleBatch:
    """At least so many samples; the link may be lost and opened again on the way."""
    taken: list[SampleBatch] = []
    async with asyncio.timeout(limit_s):
        while sum(map(len, taken)) < samples:
            part: list[SampleBatch] = []
            try:
                async with aclosing(driver.batches()) as batches:  # type: ignore[type-var]
                    async for batch in batches:
                        part.append(batch)
                        if sum(map(len, [*taken, *part])) >= samples:
                            break
            except DeviceUnavailableError:
                continue
            finally:
                check(SampleBatch.concatenate(part))
                taken += part
    return SampleBatch.concatenate(taken)  # fails where batches differ in their channels


def check(samples: SampleBatch) -> None:
    """Every value is in its channel's range, and time moves on."""
    assert np.all(np.diff(samples.t_s) > 0.0)
    for channel_name in samples.delivered:
        channel = CHANNELS[channel_name]
        values = samples[channel_name]
        assert np.all(np.isnan(values) | ((values >= channel.low) & (values <= channel.high))), channel_name


def test_every_driver_has_its_bench() -> None:
    assert set(BENCHES) == set(DRIVERS)
    assert set(ABSENT) == set(ON_A_LINK)


@pytest.mark.parametrize("name", DRIVERS)
def test_options_are_checked_and_nothing_is_opened(name: str) -> None:
    with pytest.raises(DriverOptionError, match=f"driver {name} has no option 'nosuch'.*; known: "):
        create(name, {"nosuch": "can0"}, WallClock())
    files, threads = open_files(), threading.active_count()
    driver = create(name, {}, WallClock())
    assert (open_files(), threading.active_count()) == (files, threads)
    assert driver.name == name
    assert "\n" not in driver.describe()


@pytest.mark.parametrize("name", DRIVERS)
async def test_samples_are_plausible_and_in_order(name: str) -> None:
    with BENCHES[name](NO_FAULTS) as bench:
        samples = await take(create(name, bench.options, WallClock()), 10)
    assert samples.t_s[0] >= 0.0
    assert {"stft_pct", "fuel_loop"} <= samples.delivered
    air = samples.delivered & {"maf_v", "maf_gs"}
    assert air
    assert all(np.all(np.isfinite(samples[channel])) for channel in air)
    coolant_c = samples["ect_c"]
    assert np.isfinite(coolant_c[-1])  # what an ECU broadcasts seldom is missing at first
    assert np.all(np.isnan(coolant_c) | (coolant_c == ECT_C)) or name == "simulator"


async def idle_over(name: str, link: str, count: int) -> None:
    """A value that was never sent would show: the car stands warm at idle for the whole test."""
    with BENCHES[name](BAD_LINKS[link]) as bench:
        samples = await take(create(name, bench.options, WallClock()), count, limit_s=120.0)
    known = {
        "ect_c": (ECT_C, ECT_C),
        "speed_kmh": (0.0, 0.0),
        "rpm": (500.0, 1100.0),
        "maf_v": (0.9, 1.6),
        "maf_gs": (1.0, 9.0),
    }
    for channel, (low, high) in known.items():
        values = samples[channel]
        assert np.all(np.isnan(values) | ((values >= low) & (values <= high))), (link, channel, values)


@pytest.mark.parametrize("name", ON_A_LINK)
async def test_a_bad_link_costs_samples_and_never_gives_a_wrong_one(name: str) -> None:
    """All kinds of bad links at once, because most of the time is spent waiting for what never comes."""
    async with asyncio.TaskGroup() as at_once:
        for link in BAD_LINKS:
            at_once.create_task(idle_over(name, link, 8), name=link)


@pytest.mark.long
@pytest.mark.parametrize("link", BAD_LINKS)
@pytest.mark.parametrize("name", ON_A_LINK)
async def test_a_link_that_stays_bad_never_gives_a_wrong_sample(name: str, link: str) -> None:
    await idle_over(name, link, 200)


@pytest.mark.parametrize("name", ON_A_LINK)
async def test_unplugged_while_reading_it_ends_in_words_and_leaves_nothing(name: str) -> None:
    with BENCHES[name](NO_FAULTS) as bench:
        driver = create(name, {**bench.options, "silent_s": 0.5}, WallClock())
        await first(driver)
        before = held()
        with pytest.raises(DeviceUnavailableError) as caught:
            await _until_lost(driver, bench)
        assert len(str(caught.value).splitlines()) == 1
        assert held()[2] == before[2]
        assert threading.active_count() <= before[1]


async def _until_lost(driver: Driver, bench: Bench) -> None:
    async with asyncio.timeout(10.0), aclosing(driver.batches()) as batches:  # type: ignore[type-var]
        await anext(batches)
        bench.unplug()
        async for _ in batches:
            pass


async def open_and_close(name: str, times: int) -> None:
    before = held()
    with BENCHES[name](NO_FAULTS) as bench:
        driver = create(name, bench.options, WallClock())
        await first(driver)
        running = held()
        for _ in range(times):
            assert len(await first(driver)) >= 1
            assert held() == running
    assert held() == before


@pytest.mark.parametrize("name", DRIVERS)
async def test_opened_and_closed_it_leaves_no_file_no_thread_and_no_task(name: str) -> None:
    await open_and_close(name, 8)


@pytest.mark.long
@pytest.mark.parametrize("name", DRIVERS)
async def test_a_thousand_times_opened_and_closed_it_leaves_nothing(name: str) -> None:
    await open_and_close(name, 1000)


@pytest.mark.parametrize("name", ON_A_LINK)
async def test_cancelling_while_nothing_comes_closes_the_link_within_a_second(name: str) -> None:
    with BENCHES[name](LinkFaults(drop=1.0)) as bench:
        before = held()
        patient = {"timeout_s": 5.0, "silent_s": 10.0}
        known = asdict(create(name, bench.options, WallClock()).options).keys()
        options = {**bench.options, **{key: patient[key] for key in patient.keys() & known}}
        driver = create(name, options, WallClock())
        waiting = asyncio.create_task(first(driver))
        await asyncio.sleep(0.2)  # into the wait for an answer that never comes
        assert not waiting.done()
        started_s = time.monotonic()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert time.monotonic() - started_s < at_most(1.0)
        assert held() == before


@pytest.mark.parametrize("name", ON_A_LINK)
async def test_cancelled_before_it_has_begun(name: str) -> None:
    with BENCHES[name](NO_FAULTS) as bench:
        before = held()
        waiting = asyncio.create_task(first(create(name, bench.options, WallClock())))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert held() == before


@pytest.mark.parametrize("name", ON_A_LINK)
async def test_a_device_that_is_not_there_is_named(name: str) -> None:
    before = held()
    with pytest.raises(DeviceUnavailableError, match="nosuchport7"):
        await first(create(name, ABSENT[name], WallClock()))
    assert held() == before

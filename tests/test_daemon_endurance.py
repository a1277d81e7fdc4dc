"""A long drive at high speed through ssm-can and the hub: memory stays, every sample is accounted for."""

from __future__ import annotations

import asyncio
import gc
import math
import resource
import uuid
from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path

import pytest
from link_benches import Once
from test_daemon_live_hub import MemoryStore, settings

from daemon.live.hub import Hub
from drivers.base import EcuSilentError
from drivers.can_link import open_bus
from drivers.clock import ScaledClock, WallClock
from drivers.simulator.ecu import SimulatedEcu
from drivers.ssm_can import SsmCan
from lowmaf.samples import FuelLoop

RATE_HZ = 50.0
SPEED = 40.0
"""Simulated time per wall time: about as fast as the in-process bus goes on a slow machine."""
GROWTH_BYTES = 1 << 20


class SweepingCar:
    """Drives slowly up and down the MAF axis for as long as one likes, and costs nothing."""

    shown = frozenset(("maf_v", "maf_gs", "stft_pct", "ltft_pct", "rpm", "ect_c", "fuel_loop"))

    def __init__(self) -> None:
        self.t_s = 0.0

    def advance_to(self, t_s: float) -> None:
        self.t_s = t_s

    def value(self, channel: str) -> float:
        maf_v = 2.2 - 1.1 * math.cos(self.t_s / 40.0)
        return {
            "maf_v": maf_v,
            "maf_gs": 1.13 * (maf_v / 0.94) ** 3.4,
            "stft_pct": 3.0 * math.sin(self.t_s / 7.0),
            "ltft_pct": 2.0,
            "rpm": 900.0 + 900.0 * (maf_v - 1.0),
            "ect_c": 88.0,
            "fuel_loop": float(FuelLoop.CLOSED),
        }[channel]


class CountingEcu(SimulatedEcu):
    """Counts what it was asked and answered."""

    def __init__(self, channel: str, clock: ScaledClock) -> None:
        super().__init__(open_bus("virtual", channel, 0), SweepingCar(), clock)
        self.answered = 0
        answer = self.answer

        def counted(request: bytes) -> bytes:
            self.answered += 1
            return answer(request)

        self.answer = counted
        self.ignition_off = Once(self.stop)


class ForgetfulStore(MemoryStore):
    """Takes everything and keeps nothing that grows."""

    def write_blocks(self, session: int, blocks: Mapping[int, bytes]) -> None:
        pass

    def write_minutes(self, session: int, minutes: Mapping[int, Mapping[str, int]]) -> None:
        pass


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def drive(hours: float, from_h: float, silent_s: float) -> tuple[list[int], Hub, SsmCan, int]:
    """Drives so long; returns memory at the end of each tenth after ``from_h``, and who knows the counts.

    ``silent_s`` is how long a busy machine may hold everything up.
    """
    channel = f"endurance-{uuid.uuid4().hex}"
    clock = ScaledClock(SPEED, WallClock())
    ecu = CountingEcu(channel, clock)
    ecu.start()
    hub = Hub(settings(), ForgetfulStore())
    options = {"interface": "virtual", "channel": channel, "rate_hz": RATE_HZ, "timeout_s": 1.0}
    driver = SsmCan({**options, "silent_s": silent_s}, clock)
    memory: list[int] = []
    hub.source_connected(driver.name)
    try:
        with pytest.raises(EcuSilentError):
            await followed(driver, hub, memory, (from_h, hours), ecu.ignition_off)
    finally:
        ecu.ignition_off()
    hub.source_ended()
    return memory, hub, driver, ecu.answered


async def followed(
    driver: SsmCan, hub: Hub, memory: list[int], span_h: tuple[float, float], end: Callable[[], None]
) -> None:
    from_h, hours = span_h
    saved_s = 0.0
    async with aclosing(driver.batches()) as batches:
        async for batch in batches:
            hub.take(batch)
            driven_s = float(batch.t_s[-1])
            if driven_s - saved_s >= 60.0:
                saved_s = driven_s
                hub.save()
            if driven_s / 3600.0 >= from_h + len(memory) * (hours - from_h) / 10.0:
                hub.snapshot()
                memory.append(resident_bytes())
            if driven_s / 3600.0 >= hours:
                end()


def accounted(hub: Hub, driver: SsmCan, answered: int) -> None:
    counts, link = hub.pipeline.counts(), driver.counts
    assert link.dropped_batches == 0
    assert counts.pending == 0
    assert link.samples == counts.seen
    assert link.bad_frames == link.refused == 0
    # identifying takes a few requests, and an answer may come too late
    assert 0 <= answered - link.samples <= 8 + link.unanswered


def grown(memory: list[int]) -> int:
    return max(memory) - memory[0]


async def test_minutes_at_high_speed() -> None:
    memory, hub, driver, answered = await drive(hours=0.025, from_h=0.015, silent_s=2.0)
    accounted(hub, driver, answered)
    assert hub.pipeline.counts().seen > 100
    assert grown(memory) <= 4 * GROWTH_BYTES


@pytest.mark.long
async def test_a_day_at_high_speed() -> None:
    """The newest four hours are kept block by block, so memory is level from then on."""
    async with asyncio.timeout(4 * 3600.0):
        memory, hub, driver, answered = await drive(hours=24.0, from_h=6.0, silent_s=10.0)
    accounted(hub, driver, answered)
    assert len(memory) >= 10, "it was driven to its end"
    assert grown(memory) <= GROWTH_BYTES, memory

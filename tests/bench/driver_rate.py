"""How often a driver gives a sample, and what that costs the process it runs in."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass

from drivers.base import Driver


@dataclass(frozen=True, slots=True)
class Rate:
    """Samples over ``elapsed_s`` of wall time, and the process's CPU time for them."""

    samples: int
    elapsed_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return self.samples / self.elapsed_s

    @property
    def core_pct(self) -> float:
        return 100.0 * self.cpu_s / self.elapsed_s


async def rate_of(driver: Driver, seconds: float) -> Rate:
    """Measured from the first sample on."""
    async with aclosing(driver.batches()) as batches:
        await anext(batches)
        started_s, cpu_s, samples = time.monotonic(), time.process_time(), 0
        async for batch in batches:
            samples += len(batch)
            if time.monotonic() - started_s > seconds:
                break
        return Rate(samples, time.monotonic() - started_s, time.process_time() - cpu_s)

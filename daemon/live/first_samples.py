"""The first samples of a source, taken once and let go: for a command that looks, not for the daemon."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from daemon.errors import WorkError
from drivers.base import Driver
from lowmaf.samples import SampleBatch


async def first_samples(driver: Driver, seconds: float, find_s: float) -> SampleBatch:
    """Samples from the first on for so many seconds; at least one batch. The link is closed afterwards.

    Raises:
        DriverError: the source cannot be reached or was lost.
        WorkError: it brings nothing within ``find_s``.
    """
    loop = asyncio.get_running_loop()
    async with aclosing(driver.batches()) as source:
        try:
            async with asyncio.timeout(find_s):
                batches = [await anext(source)]
        except TimeoutError:
            raise WorkError(f"{driver.describe()}: no sample within {find_s:g} s") from None
        until_s = loop.time() + seconds
        async for batch in source:
            batches.append(batch)
            if loop.time() >= until_s:
                break
    return SampleBatch.concatenate(batches)

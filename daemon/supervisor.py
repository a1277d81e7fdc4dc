"""Keeps the source running: connect, follow, wait and try again; pause when told to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable

from daemon.hub import Hub
from drivers.base import DeviceUnavailableError, Driver

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0

logger = logging.getLogger(__name__)


class Supervisor:
    """Runs one source for as long as the daemon lives. A failure is logged once, and so is the recovery."""

    def __init__(
        self,
        make_driver: Callable[[], Driver],
        hub: Hub,
        *,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """``draw`` gives numbers from 0 to 1 that spread retries, so that daemons do not march in step."""
        self._make_driver = make_driver
        self._hub = hub
        self._wait = wait
        self._draw = draw
        self._failures = 0
        self._failure = ""

    async def run(self) -> None:
        """Follows the source until cancelled, or until it has ended for good (a recorded log)."""
        while True:
            if self._hub.pause_wanted:
                await self._while_paused()
            driver = self._make_driver()
            if await self._connected(driver):
                if not self._hub.pause_wanted:
                    self._hub.set_link("ended", f"{driver.describe()}: the source has ended", driver.name)
                    return
            elif not self._hub.pause_wanted:
                await self._back_off(driver)

    async def _while_paused(self) -> None:
        self._hub.set_link(
            "paused", "paused: the port is closed and nothing is sent", self._make_driver().name
        )
        logger.info("paused by the user: the port is closed")
        while self._hub.pause_wanted:
            self._hub.pause_changed.clear()
            await self._hub.pause_changed.wait()
        logger.info("resumed by the user")

    async def _connected(self, driver: Driver) -> bool:
        """Follows the driver to its end; False where the device was not there or was lost."""
        if not self._failures:
            self._hub.set_link("connecting", f"connecting: {driver.describe()}", driver.name)
        following = asyncio.create_task(self._follow(driver), name="source")
        pausing = asyncio.create_task(self._pause_wanted(), name="pause")
        try:
            await asyncio.wait((following, pausing), return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
        except DeviceUnavailableError as error:
            self._note_failure(str(error))
            return False
        else:
            return True
        finally:
            for task in (following, pausing):
                task.cancel()
            await asyncio.gather(following, pausing, return_exceptions=True)
            await self._hub.end_session()

    async def _pause_wanted(self) -> None:
        while not self._hub.pause_wanted:
            self._hub.pause_changed.clear()
            await self._hub.pause_changed.wait()

    async def _follow(self, driver: Driver) -> None:
        async with contextlib.aclosing(driver.batches()) as batches:
            first = True
            async for batch in batches:
                if first:
                    first = False
                    await self._hub.begin_session(driver.name)
                    self._note_success(driver)
                self._hub.take(batch)

    async def _back_off(self, driver: Driver) -> None:
        longest = min(FIRST_WAIT_S * 2.0 ** (self._failures - 1), LONGEST_WAIT_S)
        self._hub.set_link("waiting", f"waiting for the car: {self._failure}", driver.name)
        await self._wait(longest * (0.5 + 0.5 * self._draw()))

    def _note_failure(self, why: str) -> None:
        if not self._failures:
            logger.warning("source lost: %s; trying again until it is back", why)
        self._failures = min(self._failures + 1, 16)
        self._failure = why

    def _note_success(self, driver: Driver) -> None:
        if self._failures:
            logger.info("source is back: %s", driver.describe())
        self._hub.set_link("running", driver.describe(), driver.name, reconnected=self._failures > 0)
        self._failures = 0

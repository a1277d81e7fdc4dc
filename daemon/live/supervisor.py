"""Keeps the source running: connect, follow, wait and try again; pause when told to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable

from daemon.live.hub import Hub
from drivers.base import DeviceUnavailableError, Driver, EcuSilentError, LinkInUseError, NamesItsEcu

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
SILENT_WAIT_S = 1.0
"""Wait between tries where the ECU alone is silent, so that it is found soon after the ignition is on."""
PARKED_AFTER_S = 600.0
"""A car that was away for so long is parked: it is asked once in :data:`PARKED_WAIT_S` from then on."""
PARKED_WAIT_S = 60.0
IN_USE_WAIT_S = 60.0
"""Silence that another tester on the bus is given."""
FIND_LIMIT_S = 60.0
"""A driver that has no first sample in this time is stuck, whatever it waits for."""
SILENT_LIMIT_S = 15.0
"""A driver that brought no sample for this long is stuck: longer than any driver waits by itself."""
_LIMIT_SLACK = 0.05  # by this share of it the limit may be exceeded

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
        find_limit_s: float = FIND_LIMIT_S,
        silent_limit_s: float = SILENT_LIMIT_S,
    ) -> None:
        """``draw`` gives numbers from 0 to 1 that spread retries, so that daemons do not march in step."""
        self._make_driver = make_driver
        self._hub = hub
        self._wait = wait
        self._draw = draw
        self._failures = 0
        self._failure: DeviceUnavailableError | None = None
        self._away_s = 0.0
        self._tried_s = 0.0
        self._find_limit_s = find_limit_s
        self._silent_limit_s = silent_limit_s

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
        self._hub.source_ended()
        logger.info("paused by the user: the port is closed")
        await self._hub.wait_for_pause(wanted=False)
        logger.info("resumed by the user")

    async def _connected(self, driver: Driver) -> bool:
        """Follows the driver to its end; False where the device was not there or was lost."""
        if not self._failures:
            self._hub.set_link("connecting", f"connecting: {driver.describe()}", driver.name)
        following = asyncio.create_task(self._follow(driver), name="source")
        pausing = asyncio.create_task(self._hub.wait_for_pause(wanted=True), name="pause")
        try:
            await asyncio.wait((following, pausing), return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
        except DeviceUnavailableError as error:
            self._note_failure(error)
            self._hub.source_lost()
            return False
        else:
            self._hub.source_ended()
            return True
        finally:
            for task in (following, pausing):
                task.cancel()
            await asyncio.gather(following, pausing, return_exceptions=True)

    async def _follow(self, driver: Driver) -> None:
        """Hands samples on; the one place that notices when none come any more.

        Raises:
            DeviceUnavailableError: the device is not there or was lost, or the driver is stuck.
        """
        limit_s, loop = self._find_limit_s, asyncio.get_running_loop()
        move_s: float | None = None  # when the limit is next moved on
        async with contextlib.aclosing(driver.batches()) as batches:
            try:
                async with asyncio.timeout(limit_s) as limit:
                    async for batch in batches:
                        now_s = loop.time()
                        if move_s is None:
                            limit_s = self._silent_limit_s
                            self._hub.source_connected(driver.name)
                            self._hub.ecu_seen(driver.ecu_id if isinstance(driver, NamesItsEcu) else None)
                            self._note_success(driver)
                        self._hub.take(batch)
                        if move_s is None or now_s >= move_s:  # a timer for each batch costs too much
                            move_s = now_s + _LIMIT_SLACK * limit_s
                            limit.reschedule(move_s + limit_s)
            except TimeoutError:
                if not limit.expired():
                    raise
                raise DeviceUnavailableError(
                    f"{driver.describe()}: no sample for {limit_s:g} s, so it is opened anew"
                ) from None

    async def _back_off(self, driver: Driver) -> None:
        """Waits before the next try, or until the user wants a pause."""
        failure, wait_s = self._failure, self._next_wait_s()
        parked = self._away_s >= PARKED_AFTER_S
        if isinstance(failure, LinkInUseError):
            words = f"silent for {wait_s:.0f} s: {failure}"
        elif parked:
            words = f"parked, looking for the car once a minute: {failure}"
        else:
            words = f"waiting for the car: {failure}"
        self._hub.set_link("waiting", words, driver.name)
        self._away_s += wait_s
        ends = [
            asyncio.ensure_future(self._wait(wait_s)),
            asyncio.create_task(self._hub.wait_for_pause(wanted=True), name="pause"),
        ]
        if isinstance(failure, EcuSilentError) and failure.traffic is not None:
            ends.append(asyncio.create_task(_heard(failure.traffic), name="listening"))
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
            self._tried_s = asyncio.get_running_loop().time()

    def _next_wait_s(self) -> float:
        if isinstance(self._failure, LinkInUseError):
            return IN_USE_WAIT_S
        if self._away_s >= PARKED_AFTER_S:
            return PARKED_WAIT_S
        limit_s = SILENT_WAIT_S if isinstance(self._failure, EcuSilentError) else LONGEST_WAIT_S
        longest_s = min(FIRST_WAIT_S * 2.0 ** (self._failures - 1), limit_s)
        return longest_s * (0.5 + 0.5 * self._draw())

    def _note_failure(self, why: DeviceUnavailableError) -> None:
        if not self._failures:
            logger.warning("source lost: %s; trying again until it is back", why)
        else:
            self._away_s += asyncio.get_running_loop().time() - self._tried_s
        self._failures = min(self._failures + 1, 16)
        self._failure = why

    def _note_success(self, driver: Driver) -> None:
        if self._failures:
            logger.info("source is back: %s", driver.describe())
        self._hub.set_link("running", driver.describe(), driver.name, reconnected=self._failures > 0)
        self._failures = 0
        self._away_s = 0.0


async def _heard(traffic: Callable[[], Awaitable[None]]) -> None:
    """Returns when there is traffic; never where nothing can be heard."""
    try:
        await traffic()
    except DeviceUnavailableError as error:
        logger.debug("nobody can be listened to: %s", error)
        await asyncio.Event().wait()

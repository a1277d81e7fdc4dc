"""Keeps the second source running beside the first: what it measures goes into the timeline."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from daemon.live.hub import Hub
from drivers.base import DeviceUnavailableError, EcuSilentError
from drivers.lambda_reading import LambdaReading
from drivers.second_lambda import LambdaTimeline

if TYPE_CHECKING:
    from drivers.wideband import Wideband

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
SILENT_WAIT_S = 1.0
"""Where the port is there and the controller has no power, as before the ignition is on."""

logger = logging.getLogger(__name__)


class SecondSource:
    """Opens a controller, follows it, and tries again when it is lost, for as long as the daemon lives.

    It needs no ECU, so it runs whether the first source does or not: a sensor that is warm when the
    engine starts is of use at once. A pause closes it too. A failure is logged once, and so is the
    recovery.
    """

    def __init__(
        self,
        controller: Wideband,
        timeline: LambdaTimeline,
        hub: Hub,
        *,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._controller = controller
        self._timeline = timeline
        self._hub = hub
        self._wait = wait
        self._failures = 0

    async def run(self) -> None:
        """Follows the controller until cancelled."""
        while True:
            if self._hub.pause_wanted:
                self._say("paused", "paused: the port is closed")
                await self._hub.wait_for_pause(wanted=False)
                continue
            following = asyncio.create_task(self._follow(), name="second source")
            pausing = asyncio.create_task(self._hub.wait_for_pause(wanted=True), name="pause")
            try:
                await asyncio.wait((following, pausing), return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()
            finally:
                for task in (following, pausing):
                    task.cancel()
                await asyncio.gather(following, pausing, return_exceptions=True)

    async def _follow(self) -> None:
        """Readings until the controller is lost; then waits a while."""
        words = self._controller.describe()
        if not self._failures:
            self._say("connecting", f"connecting: {words}")
        try:
            async with contextlib.aclosing(self._controller.readings()) as readings:
                told: LambdaReading | None = None
                async for at_s, reading in readings:
                    self._timeline.take(at_s, reading.lambda_)
                    if told is None or told.state is not reading.state:
                        told = reading
                        self._note_success(f"{words}: {reading.state}")
        except DeviceUnavailableError as error:
            if not self._failures:
                logger.warning("second source lost: %s; trying again until it is back", error)
            self._failures = min(self._failures + 1, 16)
            self._say("waiting", f"waiting: {error}")
            longest_s = SILENT_WAIT_S if isinstance(error, EcuSilentError) else LONGEST_WAIT_S
            await self._wait(min(FIRST_WAIT_S * 2.0 ** (self._failures - 1), longest_s))

    def _note_success(self, words: str) -> None:
        if self._failures:
            logger.info("second source is back: %s", words)
        self._say("running", words, reconnected=self._failures > 0)
        self._failures = 0

    def _say(self, state: str, words: str, *, reconnected: bool = False) -> None:
        self._hub.set_second_link(state, words, self._controller.name, reconnected=reconnected)

"""Finds out what time it was when this machine began: a Pi learns it while it drives, or never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from daemon.wall_clock import BootClock, ClockReading, ClockState, read_clock

LOOK_INTERVAL_S = 5.0
STEP_S = 2.0
"""The wall clock runs within parts per thousand of the monotonic one: a larger difference is a step."""


class ClockWatch:
    """Tells how far the wall clock is ahead of the monotonic one, once that is known.

    What the network says stays, whatever becomes of the clock later. Until then a step of the clock is
    somebody's correction, and better than what was before.
    """

    def __init__(self, found: Callable[[BootClock], None]) -> None:
        self._found = found
        self._ahead_s: float | None = None
        self._synced = False

    def look(self, reading: ClockReading) -> None:
        """Takes note of both clocks at one moment."""
        before_s, self._ahead_s = self._ahead_s, reading.wall_s - reading.monotonic_s
        if reading.boot_id is None or self._synced:
            return
        self._synced = reading.state is ClockState.SYNCED
        stepped = before_s is not None and abs(self._ahead_s - before_s) > STEP_S
        if self._synced or stepped:
            self._found(BootClock(reading.boot_id, self._ahead_s, reading.state))

    async def run(self) -> None:
        """Looks now and then until cancelled."""
        while True:
            self.look(read_clock())
            await asyncio.sleep(LOOK_INTERVAL_S)

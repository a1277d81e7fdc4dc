"""Clocks that stamp and pace samples: wall time, or simulated time that runs faster."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that never go back, and how long they last on the wall."""

    def now(self) -> float:
        """Time of this clock, s, from an arbitrary origin."""
        ...

    def wall_s(self, interval_s: float) -> float:
        """Wall time, s, that ``interval_s`` of this clock takes."""
        ...


class WallClock:
    """The machine's monotonic clock."""

    __slots__ = ()

    def now(self) -> float:
        return time.monotonic()

    def wall_s(self, interval_s: float) -> float:
        return interval_s


class ScaledClock:
    """Another clock run ``speed`` times as fast, from 0 at its making.

    Raises:
        ValueError: ``speed`` is not above 0.
    """

    __slots__ = ("_origin_s", "_source", "speed")

    def __init__(self, speed: float, source: Clock) -> None:
        if not speed > 0.0:
            raise ValueError(f"speed must be above 0, not {speed!r}")
        self.speed = speed
        self._source = source
        self._origin_s = source.now()

    def now(self) -> float:
        return (self._source.now() - self._origin_s) * self.speed

    def wall_s(self, interval_s: float) -> float:
        return self._source.wall_s(interval_s / self.speed)

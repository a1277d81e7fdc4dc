"""What this machine knows about the time. A Pi has no clock of its own: until the network or a phone
tells it, the wall clock may be months wrong, while the monotonic clock is right about durations."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")
"""Made by systemd-timesyncd once the clock is right; read as a file because a hardened unit may not ask
the kernel."""


class ClockState(StrEnum):
    """Whether the wall clock is known to be right."""

    SYNCED = "synced"
    UNSYNCED = "unsynced"


@dataclass(frozen=True, slots=True)
class ClockReading:
    """One moment on both clocks. ``boot_id`` says which boot ``monotonic_s`` counts from; None if unknown."""

    wall_s: float
    monotonic_s: float
    state: ClockState
    boot_id: str | None


@dataclass(frozen=True, slots=True)
class BootClock:
    """What was found out about the wall clock of one boot: how far it is ahead of the monotonic one.

    ``state`` is SYNCED where the network set it, UNSYNCED where somebody else did, who may be wrong.
    """

    boot_id: str
    wall_minus_monotonic_s: float
    state: ClockState


def read_clock() -> ClockReading:
    """This moment."""
    try:
        boot_id: str | None = _boot_id(BOOT_ID)
    except OSError:
        boot_id = None
    state = ClockState.SYNCED if SYNCHRONIZED.exists() else ClockState.UNSYNCED
    return ClockReading(time.time(), time.monotonic(), state, boot_id)


@lru_cache(maxsize=1)
def _boot_id(source: Path) -> str:
    """It stays what it is as long as this program runs."""
    return source.read_text(encoding="ascii").strip()

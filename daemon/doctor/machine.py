"""The machine as ``lowmaf doctor`` sees it: programs it stands on, clock, heat and supply."""

from __future__ import annotations

import datetime
import platform
import re
import sqlite3
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from daemon.doctor.findings import Finding, good, note, wrong
from daemon.machine import THERMAL, THROTTLED, temperature_c, throttle_flags
from daemon.store.opening import OLDEST_SQLITE
from daemon.wall_clock import ClockReading, ClockState

OLDEST_PYTHON = (3, 11)
HOT_C = 80.0
"""From here on a Raspberry Pi slows down."""
_BEFORE_LOWMAF_S = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp()
"""A clock that shows an earlier time was never set."""


def machine_findings(
    reading: ClockReading, *, thermal: Path = THERMAL, throttled: Path = THROTTLED
) -> Iterator[Finding]:
    """Everything about the machine itself."""
    yield _python()
    yield _packages()
    yield _sqlite()
    yield _clock(reading)
    yield from _heat(thermal, throttled)


def _python() -> Finding:
    words = f"Python {platform.python_version()} on {platform.system()} {platform.release()}"
    if sys.version_info < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        return wrong("python", words, f"lowmaf needs Python {needed} or newer")
    if sys.maxsize < 2**32:
        return wrong(
            "python", f"{words}, 32 bits", "install the 64-bit system: numpy has no package for this one"
        )
    return good("python", f"{words} ({platform.machine()})")


def _packages() -> Finding:
    """Whether everything that lowmaf needs is installed beside it."""
    try:
        needed = requires("lowmaf") or []
    except PackageNotFoundError:
        return note("packages", "lowmaf runs from a folder: what it needs cannot be looked up")
    found, missing = [f"lowmaf {version('lowmaf')}"], []
    for requirement in needed:
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return wrong("packages", f"not installed: {', '.join(missing)}", "install lowmaf anew")
    return good("packages", ", ".join(found))


def _sqlite() -> Finding:
    words = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        return wrong("sqlite", words, f"SQLite {needed} or newer is needed: use a newer system or Python")
    return good("sqlite", words)


def _clock(reading: ClockReading) -> Finding:
    if reading.state is ClockState.SYNCED:
        return good("clock", "set by the network")
    if reading.wall_s < _BEFORE_LOWMAF_S:
        shown = datetime.datetime.fromtimestamp(reading.wall_s, datetime.UTC).date()
        return note(
            "clock",
            f"never set: it shows {shown}",
            "drives are dated once the network tells the time; nothing of the table depends on it",
        )
    return note("clock", "not known to be right", "drives are dated once the network tells the time")


def _heat(thermal: Path, throttled: Path) -> Iterator[Finding]:
    degrees = temperature_c(thermal)
    if degrees is None:
        yield good("temperature", "this machine does not tell")
    elif degrees >= HOT_C:
        yield wrong("temperature", f"{degrees:.0f} °C", "the processor slows down: shade, air or a heat sink")
    else:
        yield good("temperature", f"{degrees:.0f} °C")
    for words, now in (throttle_flags(throttled) or {}).items():
        if now:
            yield wrong("supply", words, "a supply of 5.1 V and 3 A with a short cable, and air, mend it")
        else:
            yield note("supply", words, "a supply of 5.1 V and 3 A with a short cable, and air, mend it")

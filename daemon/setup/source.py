"""Which driver reads a port: those that fit are tried on that port, and on no other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import UsageError, WorkError
from daemon.live.first_samples import first_samples
from drivers.base import DriverError
from drivers.clock import WallClock
from drivers.ports import DriverHint, FoundPort, can_interfaces, serial_hint, serial_ports
from drivers.registry import create

CAR_BITRATE = 500_000
"""Of the diagnostic bus of every car that has OBD-II on CAN."""
SIMULATED = "simulator"
RECORDED = "replay"

_TRIED: Mapping[DriverHint, tuple[str, ...]] = {
    DriverHint.CABLE: ("ssm-kline", "elm327"),
    DriverHint.SLCAN: ("ssm-can", "obd-can"),
    DriverHint.ELM: ("elm327",),
    DriverHint.SOCKETCAN: ("ssm-can", "obd-can"),
}
"""The first that is answered wins: a Subaru's own protocol tells more than OBD-II."""
DRIVERS = ("ssm-kline", "ssm-can", "obd-can", "elm327", "can-broadcast", SIMULATED, RECORDED)
"""Those that somebody may choose."""
_ON_CAN = frozenset({"ssm-can", "obd-can", "can-broadcast"})

_FIND_S = 30.0
_SECONDS = 1.5
_BUILT_IN = ("/dev/ttyS", "/dev/ttyAMA")


@dataclass(frozen=True, slots=True)
class Source:
    """A driver and its options, as they stand in the configuration."""

    driver: str
    options: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Identified:
    """A source that gave samples: the link and the ECU in words, samples per second (None unknown), and
    the channels that it delivers."""

    source: Source
    words: str
    rate_hz: float | None
    delivered: frozenset[str]


def found_ports() -> list[FoundPort]:
    """Serial ports and CAN interfaces, what somebody plugged in before what was built in."""
    found = [*serial_ports(), *can_interfaces()]
    return sorted(found, key=lambda port: not plugged_in(port))


def plugged_in(port: FoundPort) -> bool:
    """Whether somebody plugged it in; a computer's own serial ports are always there."""
    return not port.path.startswith(_BUILT_IN)


def sources_for(port: str, found: list[FoundPort], driver: str | None = None) -> list[Source]:
    """What may read ``port``, in the order in which it is tried; ``driver`` is one that the owner chose.

    Raises:
        UsageError: the log that is to be replayed is no file.
    """
    if driver == SIMULATED:
        return [Source(SIMULATED, {})]
    log = log_named(port)
    if driver == RECORDED and log is None:
        raise UsageError(f"--port {port}: {RECORDED} needs a recorded log, and there is no such file")
    if driver in (None, RECORDED) and log is not None:
        return [Source(RECORDED, {"file": str(log)})]
    hint = _hint(port, found)
    if driver is not None and driver not in _TRIED[hint]:
        return [Source(driver, _options(driver, port, hint))]
    return [Source(name, _options(name, port, hint)) for name in _TRIED[hint] if driver in (None, name)]


def log_named(port: str) -> Path | None:
    """The recorded log that somebody names in place of a port, None where it is none."""
    path = Path(port.strip("'\"")).expanduser().absolute()
    return path if port and path.is_file() else None


def identify(source: Source) -> Identified:
    """Reads the source for a moment. Sends nothing but what the driver sends to read.

    Raises:
        WorkError: nobody answers, in the driver's words.
    """
    driver = create(source.driver, source.options, WallClock())
    try:
        batch = asyncio.run(first_samples(driver, _SECONDS, _FIND_S))
    except DriverError as error:
        raise WorkError(str(error)) from None
    span_s = float(batch.t_s[-1] - batch.t_s[0])
    rate_hz = (len(batch) - 1) / span_s if span_s > 0.0 else None
    return Identified(source, driver.describe(), rate_hz, frozenset(batch.delivered))


def missing(port: str) -> str | None:
    """Why a port cannot be one, None where it may be."""
    if "://" in port or port in {interface.path for interface in can_interfaces()}:
        return None
    if not Path(port).exists():
        return f"there is no {port} here: is the adapter plugged in?"
    if not Path(port).is_char_device():
        return f"{port} is neither a serial port nor a CAN interface"
    if not os.access(port, os.R_OK | os.W_OK):
        return (
            f"{port} may not be opened by you: sudo usermod -aG dialout $USER, then log in anew, or use sudo"
        )
    return None


def _hint(port: str, found: list[FoundPort]) -> DriverHint:
    if "://" in port:
        return DriverHint.ELM
    for known in found:
        if port == known.path or _same(port, known.path):
            return known.hint
    return serial_hint(None, None, port) if "/" in port else DriverHint.SOCKETCAN


def _same(port: str, other: str) -> bool:
    return "/" in port and "/" in other and Path(port).resolve() == Path(other).resolve()


def _options(driver: str, port: str, hint: DriverHint) -> Mapping[str, str | int]:
    if driver not in _ON_CAN:
        return {"port": port}
    if hint is DriverHint.SOCKETCAN:
        return {"interface": "socketcan", "channel": port}
    return {"interface": "slcan", "channel": port, "bitrate": CAR_BITRATE}

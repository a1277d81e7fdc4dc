"""The machine the daemon runs on: how warm it is, whether it was slowed down, and room on its disk."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

THERMAL = Path("/sys/class/thermal")
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")

_FLAGS = (
    (0, "the supply voltage is too low now: a better 5 V supply or cable is needed"),
    (1, "the processor is held back now"),
    (2, "the processor is throttled now"),
    (3, "the processor is at its soft temperature limit now"),
    (16, "the supply voltage was too low since the start"),
    (17, "the processor was held back since the start"),
    (18, "the processor was throttled since the start"),
    (19, "the soft temperature limit was reached since the start"),
)
"""Bits of the Raspberry Pi firmware's get_throttled, with what they mean."""
_SINCE_START = 16
"""Bits from here on tell of what was, those before of now."""


def machine_document(
    database: Path, *, thermal: Path = THERMAL, throttled: Path = THROTTLED
) -> Mapping[str, Any]:
    """Facts for the page; null where the machine does not tell.

    ``held_back`` lists in words what the firmware of a Raspberry Pi complains of, null on others.
    """
    return {
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "python": platform.python_version(),
        "temperature_c": temperature_c(thermal),
        "held_back": None if (flags := throttle_flags(throttled)) is None else list(flags),
        "free_bytes": _free_bytes(database),
        "load_1min": os.getloadavg()[0],
    }


def temperature_c(thermal: Path = THERMAL) -> float | None:
    """The hottest zone, °C; None where the machine does not tell."""
    found = []
    for zone in sorted(thermal.glob("thermal_zone*/temp")):
        try:
            found.append(int(zone.read_text(encoding="ascii")) / 1000.0)
        except (OSError, ValueError):
            continue  # a zone that is switched off, which others are not
    return max(found, default=None)


def throttle_flags(throttled: Path = THROTTLED) -> Mapping[str, bool] | None:
    """What the firmware complains of, in words, and whether it does so now; None where there is none."""
    try:
        flags = int(throttled.read_text(encoding="ascii"), 16)
    except (OSError, ValueError):
        return None
    return {words: bit < _SINCE_START for bit, words in _FLAGS if flags >> bit & 1}


def _free_bytes(database: Path) -> int | None:
    try:
        return shutil.disk_usage(database.parent).free
    except OSError:
        return None

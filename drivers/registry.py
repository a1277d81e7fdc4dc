"""Drivers by name. A driver's module is imported only when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from drivers.base import Driver, DriverOptionError
from drivers.clock import Clock
from drivers.options import nearest

if TYPE_CHECKING:
    from drivers.links import Links
    from drivers.wideband import Wideband

DRIVERS: Mapping[str, tuple[str, str]] = {
    "ssm-kline": ("drivers.ssm_kline", "SsmKline"),
    "ssm-can": ("drivers.ssm_can", "SsmCan"),
    "obd-can": ("drivers.obd_can", "ObdCan"),
    "elm327": ("drivers.elm327", "Elm327"),
    "can-broadcast": ("drivers.can_broadcast", "CanBroadcast"),
    "replay": ("drivers.replay", "Replay"),
    "simulator": ("drivers.simulator.source", "Simulator"),
}
"""Module and class of every driver; the class is called with the options and a clock."""

RECORDED = frozenset({"ssm-kline", "ssm-can", "obd-can", "elm327", "can-broadcast"})
"""Drivers whose link can be recorded; their class takes the links as well, as that of every second source
does."""

RECORDED_WITH: Mapping[str, str] = {
    "ssm-kline": "definition",
    "ssm-can": "definition",
    "can-broadcast": "dbc",
}
"""Options that name a file without which a recording cannot be replayed; ``none`` is no file."""

SECOND_SOURCES: Mapping[str, tuple[str, str]] = {
    "wideband": ("drivers.wideband", "Wideband"),
}
"""Module and class of what adds measured lambda to the samples of a driver."""

NEEDS_MAF_TABLE = frozenset({"obd-can", "elm327"})
"""Drivers that deliver the flow but not the voltage: it is had back from the table in the ECU."""

READS_DEFINITION = frozenset({"ssm-kline", "ssm-can"})
"""Drivers with an option ``definition``, which the configuration takes from its section on the car."""

FILE_OPTIONS: Mapping[str, tuple[str, ...]] = {"can-broadcast": ("dbc",), "replay": ("file", "dbc")}
"""Options that name files: relative to the configuration's folder where they are read from one."""

OWN_TIME = frozenset({"simulator", "replay"})
"""Drivers whose samples are not of now: nothing else that is measured now can be laid over them."""

KEEPS_PLACE = frozenset({"replay"})
"""Drivers of which one object is opened again and again, so that it goes on where it was closed."""


def create(name: str, options: Mapping[str, object], clock: Clock, links: Links | None = None) -> Driver:
    """A driver that has checked its options and opened nothing.

    ``links`` opens its link, for drivers in :data:`RECORDED`; without, it is one to a device.

    Raises:
        DriverOptionError: no driver of this name, or an option it does not have or allow.
    """
    if name in SECOND_SOURCES:
        raise DriverOptionError(f"{name} is a second source: write it below [[second_source]]")
    if name not in DRIVERS:
        raise DriverOptionError(f"no driver {name!r}{nearest(name, DRIVERS)}; known: {', '.join(DRIVERS)}")
    module, kind = DRIVERS[name]
    more = () if links is None else (links,)
    return cast(Driver, getattr(importlib.import_module(module), kind)(options, clock, *more))


def create_second(
    name: str, options: Mapping[str, object], clock: Clock, links: Links | None = None
) -> Wideband:
    """A second source that has checked its options and opened nothing; ``links`` as :func:`create` has it.

    Raises:
        DriverOptionError: no second source of this name, or an option it does not have or allow.
    """
    if name not in SECOND_SOURCES:
        first = f"; {name} is a source: write it below [source]" if name in DRIVERS else ""
        raise DriverOptionError(
            f"no second source {name!r}{nearest(name, SECOND_SOURCES)}; known: "
            f"{', '.join(SECOND_SOURCES)}{first}"
        )
    module, kind = SECOND_SOURCES[name]
    more = () if links is None else (links,)
    return cast("Wideband", getattr(importlib.import_module(module), kind)(options, clock, *more))

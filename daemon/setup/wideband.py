"""A wideband controller beside the car: asked about only where another serial port is plugged in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing

from daemon.errors import UsageError
from daemon.setup.questions import Interview
from daemon.setup.source import CAR_BITRATE, Source, missing, plugged_in
from drivers.base import DriverError
from drivers.clock import WallClock
from drivers.ports import DriverHint, FoundPort
from drivers.registry import OWN_TIME, create_second

CONTROLLERS: Mapping[str, str] = {
    "innovate": "Innovate, on its serial plug",
    "aem": "AEM X-series or UEGO, on its serial wire",
    "naw-7s": "14Point7 NAW_7S",
    "aem-can": "AEM X-series, on CAN",
}
_ON_CAN = "aem-can"
_FIND_S = 5.0


def asked_wideband(
    controller: str | None,
    port: str | None,
    interview: Interview,
    source: Source,
    found: Sequence[FoundPort],
) -> Source | None:
    """The second source, None where there is none. It is read for a moment, and kept even if it is silent.

    Raises:
        UsageError: a controller without a port or a port without one, or beside what is not live.
    """
    if source.driver in OWN_TIME:
        if controller or port:
            raise UsageError(f"--wideband: nothing that is measured now can be laid over {source.driver}")
        return None
    if controller is None and port is None:
        controller, port = _asked(interview, source, found)
        if controller is None:
            return None
    if controller is None or port is None:
        needed = "--wideband" if controller is None else "--wideband-port"
        raise UsageError(f"{needed} is needed too: --wideband and --wideband-port belong together")
    second = Source("wideband", _options(controller, port))
    _try(second, port, interview)
    return second


def _asked(interview: Interview, source: Source, found: Sequence[FoundPort]) -> tuple[str | None, str | None]:
    """Controller and port, in words of the owner; both None where no port is left, or it leads elsewhere."""
    taken = {source.options.get("port"), source.options.get("channel")}
    left = [
        port
        for port in found
        if port.hint is DriverHint.CABLE and plugged_in(port) and port.path not in taken
    ]
    if not left or not interview.asks:
        return None, None
    interview.say("Also plugged in, and perhaps a wideband controller:")
    for port in left:
        interview.say(f"  {port.path}: {port.words}")
    kinds = [kind for kind in CONTROLLERS if kind != _ON_CAN]
    answer = interview.choice(
        "Which controller?", "--wideband", ["none", *(CONTROLLERS[kind] for kind in kinds)], 0
    )
    if answer == 0:
        return None, None
    kind = kinds[answer - 1] if isinstance(answer, int) else answer
    if kind not in CONTROLLERS:
        raise UsageError(f"no wideband controller {kind!r}; allowed are {', '.join(CONTROLLERS)}")
    if len(left) == 1:
        return kind, left[0].path
    which = interview.choice(
        "On which port?", "--wideband-port", [f"{port.path}: {port.words}" for port in left], None
    )
    return kind, left[which].path if isinstance(which, int) else which


def _options(controller: str, port: str) -> Mapping[str, str | int]:
    if controller != _ON_CAN:
        return {"controller": controller, "port": port}
    if "/" in port:
        return {"controller": controller, "interface": "slcan", "channel": port, "bitrate": CAR_BITRATE}
    return {"controller": controller, "interface": "socketcan", "channel": port}


def _try(second: Source, port: str, interview: Interview) -> None:
    """Says what the controller shows now, or why it is silent; it may have no power yet."""
    if (complaint := missing(port)) is None:
        interview.say(f"Listening on {port} …")
        try:
            interview.say(f"  found: {asyncio.run(_first_reading(second))}")
        except (DriverError, TimeoutError) as error:
            complaint = str(error) or f"nothing was heard for {_FIND_S:g} s"
    if complaint is not None:
        interview.say(f"  {complaint}; it is configured all the same")


async def _first_reading(second: Source) -> str:
    wideband = create_second(second.driver, second.options, WallClock())
    async with asyncio.timeout(_FIND_S), aclosing(wideband.readings()) as readings:
        _, reading = await anext(readings)
    shown = "" if reading.lambda_ != reading.lambda_ else f", lambda {reading.lambda_:.3f}"
    return f"{wideband.describe()}, {reading.state}{shown}"

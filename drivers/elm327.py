"""``elm327``: OBD-II through ELM327 and STN adapters on a serial port, a pty or a TCP connection."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

from drivers.base import DeviceUnavailableError, DriverOptionError, EcuSilentError, LinkCounts
from drivers.batches import batch_of
from drivers.byte_link import BytePort
from drivers.clock import Clock
from drivers.elm_frames import PROTOCOLS
from drivers.elm_port import ElmPort
from drivers.elm_session import ElmSession
from drivers.links import LIVE, Links
from drivers.options import option, parse_options
from drivers.recording import Note
from lowmaf.samples import SampleBatch

_BAUDRATES = (38_400, 9600, 230_400, 115_200, 57_600, 19_200)
_PROBE_S = 0.5


@dataclass(frozen=True, slots=True)
class Elm327Options:
    """What the configuration may say for ``driver = "elm327"``."""

    port: str = option("/dev/ttyUSB0", "serial port, or tcp://host:port of an adapter with Wi-Fi")
    baudrate: int = option(
        0, "of the serial port; 0 tries the usual ones", unit="bit/s", low=0, high=2_000_000
    )
    protocol: str = option(
        "auto", "auto, or the adapter's number of the protocol: 6 is CAN at 500 kbit/s", choices=PROTOCOLS
    )
    timeout_s: float = option(2.0, "wait for the adapter's prompt", unit="s", low=0.05, high=10.0)
    silent_s: float = option(5.0, "give up when no sample came for so long", unit="s", low=0.1, high=10.0)


class Elm327:
    """Reads what the car offers, as fast as the adapter goes; see ``drivers.base.Driver``.

    Raises:
        DriverOptionError: an option is unknown or impossible.
    """

    name = "elm327"

    def __init__(self, options: Mapping[str, object], clock: Clock, links: Links = LIVE) -> None:
        self.options = parse_options(Elm327Options, self.name, options)
        self._network = _network(self.options.port)
        self.counts = LinkCounts()
        self._clock = clock
        self._links = links
        self._session: ElmSession | None = None

    def describe(self) -> str:
        where = f"OBD through ELM327 {self.options.port}"
        return where if self._session is None else f"{where}, {self._session.words}"

    async def batches(self) -> AsyncGenerator[SampleBatch, None]:
        options = self.options
        with closing(await self._open()) as link:
            session = ElmSession(ElmPort(link), self._clock, self.counts, options.timeout_s)
            await session.connect(options.protocol)
            self._session = session
            link.note(Note.IDENTIFIED, self.describe())
            last_good_s = link.now_s()
            while link.now_s() - last_good_s <= options.silent_s:
                found = await session.sample()
                if found is not None:
                    last_good_s = link.now_s()
                    at_s, values = found
                    yield batch_of([at_s], session.channels, [values])
        raise EcuSilentError(
            f"the car gave no sample through {options.port} for {options.silent_s:g} s: "
            f"ignition off or adapter unplugged?"
        )

    async def _open(self) -> BytePort:
        options, links, clock = self.options, self._links, self._clock
        if self._network is not None:
            return await links.tcp(*self._network, clock)
        if options.baudrate or options.port.startswith("/dev/pts/"):  # a pty has no baud rate to be found
            return links.serial(options.port, options.baudrate or _BAUDRATES[0], clock)
        for baudrate in _BAUDRATES:
            link = links.serial(options.port, baudrate, clock)
            try:
                if await ElmPort(link).wakes(_PROBE_S):
                    return link
            except BaseException:
                link.close()
                raise
            link.close()
        raise DeviceUnavailableError(
            f"no ELM327 answers on {options.port} at {', '.join(map(str, _BAUDRATES))} baud"
        )


def _network(port: str) -> tuple[str, int] | None:
    """Host and port of ``tcp://host:port``; None for a serial port."""
    if "://" not in port:
        return None
    try:
        parts = urlsplit(port)
        number = parts.port
    except ValueError:
        number = None
    if number is None or parts.scheme != "tcp" or not parts.hostname or parts.path not in {"", "/"}:
        raise DriverOptionError(
            f"driver elm327, option port: met {port!r}; allowed are a serial port and tcp://host:port"
        )
    return parts.hostname, number

"""``wideband``: measured lambda from a wideband controller, to be added to another source's samples."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Protocol

import can

from drivers.aem_frames import CAN_ID, AemScanner, reading_of_frame
from drivers.base import DriverOptionError, EcuSilentError, FrameError, LinkCounts
from drivers.byte_link import BytePort
from drivers.can_listening import CanListener
from drivers.clock import Clock
from drivers.innovate_frames import InnovateScanner
from drivers.lambda_reading import LambdaReading
from drivers.links import LIVE, CanPlace, Links
from drivers.naw_frames import REPLY_BYTES, REQUEST, reading_of_reply
from drivers.options import option, parse_options
from drivers.recording import Note
from drivers.slcan_bus import check_place

_READ_S = 0.5
_NAW_INTERVAL_S = 0.1
_NAW_WAIT_S = 0.3


@dataclass(frozen=True, slots=True)
class WidebandOptions:
    """What the configuration may say for a second source with ``driver = "wideband"``."""

    controller: str = option(
        "innovate",
        "innovate: ISP2 and LM-1 on a serial port; aem: X-series and UEGO on a serial port; aem-can: "
        "X-series on CAN; naw-7s: 14Point7's",
        choices=("innovate", "aem", "aem-can", "naw-7s"),
    )
    port: str = option("/dev/ttyUSB1", "serial port; the names in /dev/serial/by-id stay the same")
    baudrate: int = option(
        0, "of the serial port; 0 is the controller's usual one", unit="bit/s", low=0, high=1_000_000
    )
    sensor: int = option(
        1, "which sensor, in the order of the chain or of the CAN identifiers", low=1, high=16
    )
    stoich_afr: float = option(
        14.7,
        "air-fuel ratio that the controller shows for lambda 1, where it sends ratios",
        low=5.0,
        high=20.0,
    )
    interface: str = option(
        "socketcan", "python-can interface, for aem-can", choices=sorted(can.VALID_INTERFACES)
    )
    channel: str = option("can0", "channel of that interface, for aem-can")
    bitrate: int = option(0, "0 leaves what the interface is set to", unit="bit/s", low=0, high=1_000_000)
    silent_s: float = option(2.0, "give up when no reading came for so long", unit="s", low=0.1, high=10.0)


class _Scanner(Protocol):
    bad_frames: int

    def feed(self, data: bytes) -> list[LambdaReading]: ...


_USUAL_BAUDRATES = {"innovate": 19_200, "aem": 9_600, "naw-7s": 9_600}
"""AEM's older controllers have 9600, newer ones may be set to 19200."""

TimedReading = tuple[float, LambdaReading]
"""The clock's time at which a reading came, s, and the reading."""


class Wideband:
    """One controller. Nothing is opened before :meth:`readings`.

    Raises:
        DriverOptionError: an option is unknown or impossible.
    """

    name = "wideband"

    def __init__(self, options: Mapping[str, object], clock: Clock, links: Links = LIVE) -> None:
        self.options = parse_options(WidebandOptions, self.name, options)
        if self._on_can and self.options.interface == "slcan":
            check_place(self.options.channel, self.options.bitrate)
        if self.options.sensor > 1 and self.options.controller in {"aem", "naw-7s"}:
            raise DriverOptionError(
                f"driver wideband, option sensor: met {self.options.sensor}, a serial port of "
                f"{self.options.controller} carries one sensor"
            )
        self.counts = LinkCounts()
        self._clock = clock
        self._links = links

    @property
    def _on_can(self) -> bool:
        return self.options.controller == "aem-can"

    def describe(self) -> str:
        options = self.options
        where = f"CAN {options.channel} ({options.interface})" if self._on_can else options.port
        number = f", sensor {options.sensor}" if options.sensor > 1 else ""
        return f"wideband {options.controller} on {where}{number}"

    async def readings(self) -> AsyncGenerator[TimedReading, None]:
        """Opens the link and yields readings as they come, also those that are not valid.

        Raises:
            DeviceUnavailableError: the link could not be opened, was lost, or has fallen silent.
        """
        kind = self.options.controller
        source = (
            self._from_can() if self._on_can else self._asked() if kind == "naw-7s" else self._from_serial()
        )
        async with aclosing(source) as readings:
            async for timed in readings:
                self.counts.samples += 1
                yield timed

    async def _from_serial(self) -> AsyncGenerator[TimedReading, None]:
        options = self.options
        make: Mapping[str, Callable[[], _Scanner]] = {
            "innovate": lambda: InnovateScanner(options.sensor),
            "aem": lambda: AemScanner(options.stoich_afr),
        }
        scanner = make[options.controller]()
        with closing(self._links.serial(options.port, self._baudrate, self._clock)) as link:
            patience, trust = _Patience(self, link), _Trust()
            while True:
                found = scanner.feed(await link.read(1, min(_READ_S, options.silent_s)))
                is_trusted = trust.after(len(found), scanner.bad_frames - self.counts.bad_frames)
                self.counts.bad_frames = scanner.bad_frames
                patience.check(heard=is_trusted and bool(found))
                for reading in found if is_trusted else ():
                    yield link.opened_s + link.arrived_s, reading

    async def _asked(self) -> AsyncGenerator[TimedReading, None]:
        with closing(self._links.serial(self.options.port, self._baudrate, self._clock)) as link:
            patience, trust = _Patience(self, link), _Trust()
            while True:
                link.write(REQUEST)
                data = await link.read(REPLY_BYTES, _NAW_WAIT_S)
                try:
                    reading = reading_of_reply(data)
                except FrameError:
                    self.counts.bad_frames += 1
                    trust.after(0, 1)
                    patience.check(heard=False)
                    await link.settle(0.05, 0.2)
                    continue
                is_trusted = trust.after(1, 0)
                patience.check(heard=is_trusted)
                if is_trusted:
                    yield link.opened_s + link.arrived_s, reading
                await link.pause(_NAW_INTERVAL_S)

    async def _from_can(self) -> AsyncGenerator[TimedReading, None]:
        options = self.options
        number = CAN_ID + options.sensor - 1
        listener = CanListener(
            CanPlace(options.interface, options.channel, options.bitrate),
            ((number, False), (number, True)),  # AEM documents both kinds of identifier
            self._clock,
            self.counts,
            silent_s=options.silent_s,
            links=self._links,
        )
        async with aclosing(listener.frames()) as batches:
            async for frames in batches:
                for frame in frames:
                    try:
                        reading = reading_of_frame(frame.data)
                    except FrameError:
                        self.counts.bad_frames += 1
                        continue
                    yield listener.opened_s + frame.at_s, reading

    @property
    def _baudrate(self) -> int:
        return self.options.baudrate or _USUAL_BAUDRATES[self.options.controller]


class _Trust:
    """Whether what can be read is meant so: at a wrong baud rate some of the garbage looks like readings.

    Nothing is believed while less than half of the last ten or so packets could be read.
    """

    def __init__(self) -> None:
        self._share = 0.5

    def after(self, good: int, bad: int) -> bool:
        """Takes the next packets into account; whether those that could be read are to be believed."""
        self._share *= 0.9**bad
        self._share = 1.0 - (1.0 - self._share) * 0.9**good
        return self._share >= 0.5


class _Patience:
    """How long a serial controller may say nothing that can be read; the first that can be is noted."""

    def __init__(self, source: Wideband, link: BytePort) -> None:
        self._source = source
        self._link = link
        self._found = False
        self._heard_s = link.now_s()

    def check(self, *, heard: bool) -> None:
        """Raises EcuSilentError when nothing was heard for too long."""
        now_s, silent_s = self._link.now_s(), self._source.options.silent_s
        if heard:
            self._heard_s = now_s
            if not self._found:
                self._found = True
                self._link.note(Note.IDENTIFIED, self._source.describe())
        elif now_s - self._heard_s > silent_s:
            bad = self._source.counts.bad_frames
            why = (
                f"{bad} packets could not be read: is the controller or the baud rate another?"
                if bad
                else "is it switched on, is it this port?"
            )
            raise EcuSilentError(f"{self._source.describe()} gave no reading for {silent_s:g} s: {why}")

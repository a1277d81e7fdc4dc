"""What drivers open: real links, recorded on the way where that is wanted."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

from drivers.byte_link import BytePort, open_serial, open_tcp
from drivers.can_link import open_bus
from drivers.can_port import BusPort, CanPort
from drivers.clock import Clock
from drivers.listening_port import BusEar, ListeningPort, open_listening
from drivers.recorder import Recorders, RecordingSettings


@dataclass(frozen=True, slots=True)
class CanPlace:
    """Where a CAN bus is had: python-can's interface, its channel, and the bitrate (0: as it is set)."""

    interface: str
    channel: str
    bitrate: int


class Links(Protocol):
    """Opens the links of a driver; every method raises DeviceUnavailableError where there is none."""

    @property
    def can_wait(self) -> bool:
        """Whether nothing is lost when nobody reads for a while."""
        ...

    def serial(self, port: str, baudrate: int, clock: Clock, /) -> BytePort: ...

    async def tcp(self, host: str, port: int, clock: Clock, /) -> BytePort: ...

    def can(self, place: CanPlace, clock: Clock, stop: threading.Event, /) -> CanPort: ...

    def listening(self, place: CanPlace, clock: Clock, /) -> ListeningPort: ...


class LiveLinks:
    """Links to devices. Each is recorded where ``recording`` is given."""

    def __init__(self, recording: RecordingSettings | None = None) -> None:
        self._recorders = Recorders(recording)

    @property
    def can_wait(self) -> bool:
        return False

    def serial(self, port: str, baudrate: int, clock: Clock) -> BytePort:
        link = open_serial(port, baudrate, clock)
        link.recorder = self._recorders.started(port)
        return link

    async def tcp(self, host: str, port: int, clock: Clock) -> BytePort:
        link = await open_tcp(host, port, clock)
        link.recorder = self._recorders.started(f"{host}:{port}")
        return link

    def can(self, place: CanPlace, clock: Clock, stop: threading.Event) -> CanPort:
        bus = open_bus(place.interface, place.channel, place.bitrate)
        return BusPort(bus, clock, stop=stop, recorder=self._recorders.started(place.channel))

    def listening(self, place: CanPlace, clock: Clock) -> BusEar:
        bus = open_listening(place.interface, place.channel, place.bitrate)
        return BusEar(bus, clock, self._recorders.started(place.channel))


LIVE = LiveLinks()
"""Links to devices, unrecorded."""

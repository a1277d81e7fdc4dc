"""Where frames are heard on a CAN bus: nothing in here can send.

The interface is opened in the mode in which its controller does not even acknowledge, where python-can
can ask for that (slcan, pcan, kvaser). A socketcan interface has the mode it was brought up with:
``ip link set can0 type can bitrate 500000 listen-only on``.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import can

from drivers.base import DeviceUnavailableError, FrameError
from drivers.can_link import open_bus
from drivers.clock import Clock
from drivers.recorder import Recorder
from drivers.recording import Kind, Note

FrameId = tuple[int, bool]
"""A frame's identifier, and whether it is an extended one."""

_SILENT_MODE: Mapping[str, Mapping[str, Any]] = {
    "slcan": {"listen_only": True},
    "pcan": {"state": can.BusState.PASSIVE},
    "kvaser": {"driver_mode": False},
}
"""What asks python-can for a controller that does not acknowledge."""


@dataclass(frozen=True, slots=True)
class HeardFrame:
    """A data frame, and when it came: the source's clock, s since the port was opened, in whole µs."""

    identifier: int
    is_extended: bool
    data: bytes
    at_s: float


class ListeningPort(Protocol):
    """One bus that is listened to, or a recording of one. All methods block and belong to one thread.

    ``opened_s`` is the clock's time at which it was opened, 0 for a recording.
    """

    opened_s: float

    def listen_to(self, identifiers: Collection[FrameId]) -> None:
        """Lets these frames through and no others."""
        ...

    def receive(self, wait_s: float) -> HeardFrame | None:
        """The next wanted data frame; None where none came in time, or where another one did.

        Raises:
            DeviceUnavailableError: the bus is gone.
            FrameError: the adapter delivered something that is no frame.
        """
        ...

    def now_s(self) -> float:
        """The wall's time, s from an arbitrary origin."""
        ...

    def note(self, note: Note, value: str = "") -> None:
        """What the driver did that no frame shows, for a recording."""
        ...

    def close(self) -> None: ...


def open_listening(interface: str, channel: str, bitrate: int) -> can.BusABC:
    """Opens a bus that refuses to send.

    Raises:
        DeviceUnavailableError: it cannot be had.
    """
    bus = open_bus(interface, channel, bitrate, **_SILENT_MODE.get(interface, {}))
    bus.send = bus.send_periodic = _refuse  # type: ignore[method-assign]
    return bus


def _refuse(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("a passive source does not send")


class BusEar:
    """A python-can bus that is listened to; closing the ear closes the bus."""

    def __init__(self, bus: can.BusABC, clock: Clock, recorder: Recorder | None = None) -> None:
        self._bus = bus
        self._clock = clock
        self._recorder = recorder
        self._wanted: frozenset[FrameId] = frozenset()
        self.opened_s = clock.now()
        self.now_s = time.monotonic

    def listen_to(self, identifiers: Collection[FrameId]) -> None:
        self._wanted = frozenset(identifiers)
        self._bus.set_filters(
            [
                {"can_id": number, "can_mask": 0x1FFFFFFF if extended else 0x7FF, "extended": extended}
                for number, extended in sorted(self._wanted)
            ]
        )

    def receive(self, wait_s: float) -> HeardFrame | None:
        try:
            message = self._bus.recv(wait_s)
        except (can.CanError, OSError) as error:
            raise DeviceUnavailableError(f"CAN bus {self._bus.channel_info} is gone: {error}") from error
        except (ValueError, IndexError) as error:
            # serial adapters: python-can's parser meets bytes that are no frame
            raise FrameError(f"CAN bus {self._bus.channel_info} delivered no frame: {error}") from error
        if message is None or message.is_error_frame or message.is_remote_frame:
            return None
        identifier, extended = message.arbitration_id, message.is_extended_id
        if (identifier, extended) not in self._wanted:
            return None
        frame = HeardFrame(identifier, extended, bytes(message.data), self._stamp_s())
        if self._recorder is not None:
            self._recorder.frame(frame.at_s, identifier, frame.data, Kind.CAME, extended=extended)
        return frame

    def note(self, note: Note, value: str = "") -> None:
        if self._recorder is not None:
            self._recorder.note(self._stamp_s(), note, value)

    def close(self) -> None:
        try:
            self._bus.shutdown()
        finally:
            if self._recorder is not None:
                self._recorder.close()

    def _stamp_s(self) -> float:
        return round(self._clock.now() - self.opened_s, 6)

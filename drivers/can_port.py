"""Where frames leave for a CAN bus and come from it, with the times that samples are made of."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

import can

from drivers.base import DeviceUnavailableError, DriverError, FrameError
from drivers.clock import Clock
from drivers.recorder import Recorder
from drivers.recording import Kind, Note
from drivers.slcan_bus import SlcanBus

_LISTEN_S = 0.05  # longest wait on the bus between looks at the stop signal


class LinkStoppedError(DriverError):
    """The owner of the link asked it to stop."""


class CanPort(Protocol):
    """One open bus, or a recording of one. All methods block and belong to one thread.

    There are two times. Samples are stamped with seconds of the source's clock since the port was
    opened, in whole microseconds: :meth:`stamp_s` is that of the newest frame sent or received.
    Waiting is measured in :meth:`now_s`, seconds of the wall.
    """

    name: str

    def listen_to(self, identifiers: Iterable[int]) -> None:
        """Lets only frames with these 11-bit identifiers through."""
        ...

    def send(self, identifier: int, frames: Sequence[bytes]) -> None:
        """Sends classic frames at once. Raises DeviceUnavailableError where the bus takes none."""
        ...

    def receive(self, wait_s: float) -> tuple[int, bytes] | None:
        """Identifier and data of the next frame; None where none came, perhaps before ``wait_s``.

        Raises:
            DeviceUnavailableError: the bus is gone.
            FrameError: the adapter delivered something that is no frame.
            LinkStoppedError: asked to stop.
        """
        ...

    def stamp_s(self) -> float:
        """The source's time of the newest frame, s since the port was opened."""
        ...

    def clock_s(self) -> float:
        """The source's time now, s since the port was opened."""
        ...

    def now_s(self) -> float:
        """The wall's time, s from an arbitrary origin."""
        ...

    def pause(self, clock_s: float) -> None:
        """Lets so much of the source's time pass, or less where asked to stop."""
        ...

    def note(self, note: Note, value: str = "") -> None:
        """What the driver did that no frame shows, for a recording."""
        ...

    def close(self) -> None: ...


class _Frame(can.Message):
    """A frame that is sent once and never changed, so that a copy may share its data.

    The in-process bus copies each frame for each of its ends; a deep copy costs more than all the rest.
    """

    __slots__ = ()

    def __deepcopy__(self, _memo: dict[int, object] | None) -> _Frame:
        copy = frame_of(self.arbitration_id, b"")
        copy.data, copy.dlc = self.data, self.dlc
        return copy


def frame_of(identifier: int, data: bytes) -> _Frame:
    """A classic data frame with an 11-bit identifier."""
    frame = _Frame(arbitration_id=identifier, is_extended_id=False, dlc=len(data))
    frame.data = data  # type: ignore[assignment]  # every backend only reads it
    return frame


class BusPort:
    """A python-can bus as a port; closing the port closes the bus."""

    def __init__(
        self,
        bus: can.BusABC,
        clock: Clock,
        *,
        stop: threading.Event | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.name = f"CAN bus {bus.channel_info}"
        self._bus = bus
        self._clock = clock
        self._stop = stop if stop is not None else threading.Event()
        self._recorder = recorder
        self._opened_s = clock.now()
        self._stamp_s = 0.0
        self.now_s = time.monotonic

    def listen_to(self, identifiers: Iterable[int]) -> None:
        self._bus.set_filters(
            [{"can_id": identifier, "can_mask": 0x7FF, "extended": False} for identifier in identifiers]
        )

    def send(self, identifier: int, frames: Sequence[bytes]) -> None:
        try:
            if isinstance(self._bus, SlcanBus):
                self._bus.send_at_once(identifier, frames)
            else:
                for data in frames:
                    self._bus.send(frame_of(identifier, data))
        except (can.CanError, OSError) as error:
            raise DeviceUnavailableError(f"{self.name} cannot send: {error}") from error
        for data in frames:
            self._passed(identifier, data, Kind.SENT)

    def receive(self, wait_s: float) -> tuple[int, bytes] | None:
        if self._stop.is_set():
            raise LinkStoppedError("stopped")
        try:
            frame = self._next(min(max(wait_s, 0.0), _LISTEN_S))
        except (can.CanError, OSError) as error:
            raise DeviceUnavailableError(f"{self.name} is gone: {error}") from error
        except (ValueError, IndexError) as error:
            # serial adapters: python-can's parser meets bytes that are no frame
            raise FrameError(f"{self.name} delivered no frame: {error}") from error
        if frame is not None:
            self._passed(*frame, Kind.CAME)
        return frame

    def stamp_s(self) -> float:
        if self._recorder is None:  # nobody compares: looked at when it is asked for
            return self.clock_s()
        return self._stamp_s

    def clock_s(self) -> float:
        return round(self._clock.now() - self._opened_s, 6)

    def pause(self, clock_s: float) -> None:
        self._stop.wait(self._clock.wall_s(clock_s))

    def note(self, note: Note, value: str = "") -> None:
        if self._recorder is not None:
            self._recorder.note(self.clock_s(), note, value)

    def close(self) -> None:
        try:
            self._bus.shutdown()
        finally:
            if self._recorder is not None:
                self._recorder.close()

    def _next(self, wait_s: float) -> tuple[int, bytes] | None:
        """Identifier and data of the next classic data frame with an 11-bit identifier."""
        if isinstance(self._bus, SlcanBus):  # without a message of python-can on the way
            frame = self._bus.next_frame(wait_s)
            return None if frame is None or frame.is_extended else (frame.identifier, frame.data)
        message = self._bus.recv(wait_s)
        if message is None or message.is_extended_id or message.is_error_frame or message.is_remote_frame:
            return None
        return message.arbitration_id, bytes(message.data)

    def _passed(self, identifier: int, data: bytes, kind: Kind) -> None:
        if self._recorder is not None:
            self._stamp_s = self.clock_s()
            self._recorder.frame(self._stamp_s, identifier, data, kind)

"""Links that answer from a raw recording, with its times: the driver gives the samples that it gave live."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterable, Sequence

from drivers.base import DeviceUnavailableError
from drivers.byte_link import BytePort
from drivers.can_port import LinkStoppedError
from drivers.clock import Clock
from drivers.isotp import quoted
from drivers.links import CanPlace
from drivers.listening_port import FrameId, HeardFrame
from drivers.recording import Event, Kind, Note, Recording

_SOON_S = 1e-6  # a wait for what never came takes at least so long, so that every deadline comes


class RecordingEndedError(DeviceUnavailableError):
    """Everything in the recording was given."""


class RecordingDiffersError(DeviceUnavailableError):
    """The driver asks what it did not ask when the recording was made."""


class _Playback:
    """The place in a recording, and the time there. Time never goes back, and no real time passes."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.time_s = 0.0

    def came(self, wait_s: float) -> Event | None:
        """What came next; None where the wait was in vain.

        Raises:
            RecordingEndedError: nothing follows, or the driver was told to end here.
        """
        event = self._recording.peek()
        while event is not None and event.is_note(Note.IDENTIFIED):
            self._recording.take()
            event = self._recording.peek()
        if event is None or event.is_note(Note.LEAVING) or event.is_note(Note.FULL):
            raise RecordingEndedError(f"recording {self._recording.path}: it has ended")
        if event.kind is not Kind.CAME:
            self.time_s += max(wait_s, _SOON_S) if wait_s > 0.0 else 0.0
            return None
        self._recording.take()
        return self._reached(event)

    def sent(self, data: bytes) -> Event:
        """Finds the place where these bytes were sent; what came before it, nobody waited for.

        Raises:
            RecordingEndedError: nothing was sent any more.
            RecordingDiffersError: something else was sent.
        """
        while (event := self._recording.take()) is not None:
            if event.is_note(Note.LEAVING):
                break
            if event.kind is Kind.SENT:
                if event.data != data:
                    raise RecordingDiffersError(
                        f"recording {self._recording.path} at {event.at_s:.6f} s: the driver sends "
                        f"{quoted(data[:16])} where it sent {quoted(event.data[:16])}; it was recorded by "
                        f"another version or with other options"
                    )
                return self._reached(event)
        raise RecordingEndedError(f"recording {self._recording.path}: it has ended")

    def gave_up(self) -> None:
        """The driver gave a request up, as it did when it was recorded."""
        event = self._recording.peek()
        if event is not None and event.is_note(Note.GAVE_UP):
            self._recording.take()

    def _reached(self, event: Event) -> Event:
        self.time_s = max(self.time_s, event.at_s)
        return event


class RecordedBytes(BytePort):
    """A serial link out of a recording."""

    def __init__(self, recording: Recording) -> None:
        self.name = f"recording {recording.path}"
        self.arrived_s = self.sent_s = self.opened_s = 0.0
        self._playback = _Playback(recording)

    def write(self, data: bytes) -> None:
        self.sent_s = self._playback.sent(data).at_s

    async def read(self, least: int, wait_s: float) -> bytes:  # noqa: ARG002 - it comes as it came
        await asyncio.sleep(0)
        event = self._playback.came(wait_s)
        if event is None or not event.data:
            return b""
        self.arrived_s = event.at_s
        return event.data

    def now_s(self) -> float:
        return self._playback.time_s

    async def pause(self, wall_s: float) -> None:
        self._playback.time_s += wall_s

    def set_break(self, on: bool) -> None:
        """There is no line to be held."""

    def note(self, note: Note, value: str = "") -> None:
        """It is in the recording already."""

    def close(self) -> None:
        """Nothing is open here."""


class RecordedFrames:
    """A CAN bus out of a recording; see :class:`drivers.can_port.CanPort`."""

    def __init__(self, recording: Recording, stop: threading.Event) -> None:
        self.name = f"recording {recording.path}"
        self._playback = _Playback(recording)
        self._stop = stop
        self._stamp_s = 0.0

    def listen_to(self, identifiers: Iterable[int]) -> None:
        """Other frames were not recorded."""

    def send(self, identifier: int, frames: Sequence[bytes]) -> None:  # noqa: ARG002 - the data tell where
        for data in frames:
            self._stamp_s = self._playback.sent(data).at_s

    def receive(self, wait_s: float) -> tuple[int, bytes] | None:
        if self._stop.is_set():
            raise LinkStoppedError("stopped")
        event = self._playback.came(wait_s)
        if event is None or event.identifier is None:
            return None
        self._stamp_s = event.at_s
        return event.identifier, event.data

    def stamp_s(self) -> float:
        return self._stamp_s

    def clock_s(self) -> float:
        return self._playback.time_s

    def now_s(self) -> float:
        return self._playback.time_s

    def pause(self, clock_s: float) -> None:
        self._playback.time_s += clock_s

    def note(self, note: Note, value: str = "") -> None:  # noqa: ARG002 - it is in the recording already
        if note is Note.GAVE_UP:
            self._playback.gave_up()

    def close(self) -> None:
        """Nothing is open here."""


class RecordedEar:
    """A bus that was only listened to, out of a recording; see
    :class:`drivers.listening_port.ListeningPort`."""

    def __init__(self, recording: Recording) -> None:
        self.opened_s = 0.0
        self._playback = _Playback(recording)

    def listen_to(self, identifiers: Collection[FrameId]) -> None:
        """Other frames were not recorded."""

    def receive(self, wait_s: float) -> HeardFrame | None:
        event = self._playback.came(wait_s)
        if event is None or event.identifier is None:
            return None
        return HeardFrame(event.identifier, event.is_extended, event.data, event.at_s)

    def now_s(self) -> float:
        return self._playback.time_s

    def note(self, note: Note, value: str = "") -> None:
        """It is in the recording already."""

    def close(self) -> None:
        """Nothing is open here."""


class RecordedLinks:
    """Opens the link of one recording in place of every other."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    @property
    def can_wait(self) -> bool:
        return True

    def serial(self, _port: str, _baudrate: int, _clock: Clock) -> RecordedBytes:
        return RecordedBytes(self._recording)

    async def tcp(self, _host: str, _port: int, _clock: Clock) -> RecordedBytes:
        return RecordedBytes(self._recording)

    def can(self, _place: CanPlace, _clock: Clock, stop: threading.Event) -> RecordedFrames:
        return RecordedFrames(self._recording, stop)

    def listening(self, _place: CanPlace, _clock: Clock) -> RecordedEar:
        return RecordedEar(self._recording)

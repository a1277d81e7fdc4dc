"""Requests to an ECU and its answers over ISO-TP on any python-can bus, blocking, for a reader thread.

This is where bytes leave for the car, so this is where what may leave is checked: requests that
read, and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import can

from drivers.base import DeviceUnavailableError, DriverError, FrameError, LinkInUseError
from drivers.can_port import CanPort
from drivers.isotp import IsoTp, quoted
from drivers.port_errors import PORT_ERRORS, port_trouble
from drivers.recording import Note
from drivers.slcan_bus import SlcanBus

READ_SERVICES = frozenset({0x01, 0x09, 0xA8, 0xAA})
"""OBD current data and vehicle information; SSM read addresses and identification."""

_QUIET_S = 0.02  # a line that was silent for so long has nothing of the last answer left
_CHATTER_S = 0.2  # a line that never falls silent is waited for no longer than this
_NEGATIVE = 0x7F
_FUNCTIONAL_ID = 0x7DF  # requests to every ECU, which is how scan tools ask
_ECHOES = 24  # frames of ours that may still come back from a bus that echoes
_PENDING_S = 5.0  # an ECU that answers "still busy" gets so long


class NoAnswerError(DriverError):
    """The ECU did not answer a request in time."""


class RefusedError(DriverError):
    """The ECU refuses ``service``, with ``code`` for its reason."""

    def __init__(self, service: int, code: int) -> None:
        super().__init__(f"refused {service:02X} with code {code:02X}")
        self.service = service
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """A payload and the time it stands for: midway between the request's end and the answer's start."""

    payload: bytes
    at_s: float


def open_bus(interface: str, channel: str, bitrate: int, **mode: Any) -> can.BusABC:
    """Opens a python-can bus; ``bitrate`` 0 leaves the adapter's own. ``slcan`` is one of ours.

    ``mode`` holds further settings that the interface knows.

    Raises:
        DeviceUnavailableError: the interface, its Python backend or its channel is not there.
    """
    settings: dict[str, Any] = {"bitrate": bitrate, **mode} if bitrate else dict(mode)
    if interface == "udp_multicast":
        settings["hop_limit"] = 0  # between programs of this machine: it is no bus that others should hear
    try:
        if interface == "slcan":
            return _serial_adapter(channel, bitrate, mode)
        return can.Bus(channel=channel, interface=interface, ignore_config=True, **settings)
    except (can.CanError, OSError, ImportError, ValueError, TypeError, AttributeError) as error:
        # backends raise what their libraries raise; all of it means that the bus cannot be had now
        raise DeviceUnavailableError(f"CAN bus {channel} ({interface}) cannot be opened: {error}") from error


def _serial_adapter(channel: str, bitrate: int, mode: Mapping[str, Any]) -> SlcanBus:
    try:
        return SlcanBus(channel, bitrate, **mode)
    except PORT_ERRORS as error:
        raise DeviceUnavailableError(
            f"CAN bus {channel} (slcan) cannot be opened: {port_trouble(error)}"
        ) from error


def check_allowed(payload: bytes) -> None:
    """Lets requests pass that read once.

    Raises:
        ValueError: anything else. That is our mistake, and it must not reach a car.
    """
    if not payload or payload[0] not in READ_SERVICES:
        raise ValueError(f"request {quoted(payload)} is not one that reads; it was not sent")
    if payload[0] == 0xA8 and payload[1:2] != b"\0":
        raise ValueError(f"request {quoted(payload)} asks for continuous answers, which CAN does not have")


class CanLink:
    """One pair of 11-bit identifiers on a bus. All methods block and belong to one thread."""

    def __init__(self, port: CanPort, request_id: int, response_id: int, *, timeout_s: float = 0.5) -> None:
        self._port = port
        self._request_id = request_id
        self._response_id = response_id
        self._timeout_s = timeout_s
        self._transport = IsoTp(timeout_s=timeout_s)
        self._sent: deque[bytes] = deque(maxlen=_ECHOES)
        self._others = frozenset((request_id, _FUNCTIONAL_ID))
        self.newest_s = 0.0
        """Time of the newest answer, s since the port was opened."""
        port.listen_to((response_id, *sorted(self._others)))

    def ask(self, payload: bytes) -> Answer:
        """As :meth:`request`, for an answer that is no refusal.

        Raises:
            RefusedError: the ECU refuses the request.
        """
        answer = self.request(payload)
        if answer.payload[0] == _NEGATIVE:
            if len(answer.payload) != 3:
                raise FrameError(f"negative reply {quoted(answer.payload)}: expected 7F, service and code")
            raise RefusedError(answer.payload[1], answer.payload[2])
        return answer

    def request(self, payload: bytes) -> Answer:
        """Sends a request and waits for its answer.

        Raises:
            ValueError: the request is not on the allow-list.
            NoAnswerError: no complete answer within the time allowed.
            FrameError: the answer's frames are malformed; what is left of them was thrown away.
            DeviceUnavailableError: the bus is gone.
            LinkInUseError: somebody else asks an ECU on this bus.
            LinkStoppedError: asked to stop while waiting.
        """
        check_allowed(payload)
        self._discard_waiting()
        self._transport.reset()
        try:
            answer = self._exchange(payload)
        except FrameError:
            self._fall_silent(_QUIET_S)
            raise
        except NoAnswerError:
            # a late answer must not pass for the answer to the next request
            self._fall_silent(self._timeout_s)
            raise
        self.newest_s = answer.at_s
        return answer

    def _exchange(self, payload: bytes) -> Answer:
        transport, port = self._transport, self._port
        now_s = port.now_s()
        deadline_s, latest_s = now_s + self._timeout_s, now_s + _PENDING_S
        self._transmit(transport.send(payload, now_s))
        asked_s, answered_s = port.stamp_s(), None
        while now_s < deadline_s:
            if now_s >= transport.wake_s:
                self._transmit(transport.poll(now_s))
                asked_s = port.stamp_s()
            data = self._receive(min(deadline_s, transport.wake_s) - now_s)
            now_s = port.now_s()
            if data is None:
                continue
            came_s = port.stamp_s() if answered_s is None else answered_s
            was_sending = transport.sending
            answer, frames = transport.receive(data, now_s)
            self._transmit(frames)
            if was_sending and answer is None:
                asked_s = port.stamp_s()
            else:
                answered_s = came_s
            if answer is None:
                # every frame of a long answer has the time that the first one had
                deadline_s = min(now_s + self._timeout_s, latest_s)
                continue
            if len(answer) == 3 and answer[0] == _NEGATIVE and answer[2] == 0x78:  # still busy
                deadline_s, answered_s = latest_s, None
                continue
            return Answer(answer, (asked_s + (asked_s if answered_s is None else answered_s)) / 2.0)
        raise NoAnswerError(f"no answer to {quoted(payload[:8])} within {self._timeout_s:g} s")

    def _transmit(self, frames: list[bytes]) -> None:
        if frames:
            self._sent.extend(frames)
            self._port.send(self._request_id, frames)

    def _receive(self, wait_s: float) -> bytes | None:
        """Data of the next frame for us, or None after a short while."""
        frame = self._port.receive(wait_s)
        if frame is None:
            return None
        identifier, data = frame
        if identifier in self._others:
            if data in self._sent:  # our own, from a bus that echoes
                return None
            raise LinkInUseError(
                f"another tester is on {self._port.name}: it sent {quoted(data)} to {identifier:03X}"
            )
        return data if identifier == self._response_id else None

    def _discard_waiting(self) -> None:
        try:
            while self._receive(0.0) is not None:
                pass
        except FrameError:
            return

    def _fall_silent(self, quiet_s: float) -> None:
        """Listens for ``quiet_s``, or until what came in that time has ended."""
        port = self._port
        port.note(Note.GAVE_UP)
        now_s = port.now_s()
        silent_s, latest_s = now_s + quiet_s, now_s + quiet_s + _CHATTER_S
        while now_s < min(silent_s, latest_s):
            try:
                data = self._receive(silent_s - now_s)
            except FrameError:
                port.pause(_QUIET_S)
                data = None
            now_s = port.now_s()
            if data is not None:
                silent_s = now_s + min(quiet_s, _QUIET_S)

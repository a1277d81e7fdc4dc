"""From frames on a CAN bus to what a tester asked and an ECU answered, by listening alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from drivers.base import FrameError
from drivers.isotp import IsoTp

TESTER_IDS = range(0x7E0, 0x7E8)
ECU_IDS = range(0x7E8, 0x7F0)
EVERY_ECU = 0x7DF
_OFFSET = 8
"""An ECU answers on the identifier that is this much above the one it is asked on."""


class Frame(Protocol):
    """What is needed of a recorded frame; ``can.Message`` has it."""

    arbitration_id: int
    data: bytearray
    timestamp: float
    is_extended_id: bool
    is_error_frame: bool
    is_remote_frame: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, the answer of the ECU that answers on ``ecu_id``, and the time midway between them, s."""

    ecu_id: int
    request: bytes
    reply: bytes
    at_s: float


@dataclass(slots=True)
class _Asked:
    payload: bytes = b""
    at_s: float = 0.0


class DiagnosticTraffic:
    """Puts ISO-TP transfers together and pairs them; ``bad_frames`` counts frames that broke one."""

    def __init__(self) -> None:
        self.frames = 0
        self.bad_frames = 0
        self.identifiers: set[int] = set()
        self._ends: dict[int, IsoTp] = {}
        self._asked: dict[int, _Asked] = {}
        self._answered_s: dict[int, float] = {}

    def exchanges(self, frames: Iterable[Frame]) -> Iterator[Exchange]:
        """Answered requests in the order of their answers."""
        for frame in frames:
            self.frames += 1
            if frame.is_error_frame or frame.is_remote_frame:
                continue
            identifier = frame.arbitration_id
            self.identifiers.add(identifier)
            if frame.is_extended_id:
                continue
            if identifier in TESTER_IDS or identifier == EVERY_ECU:
                self._take_request(identifier, bytes(frame.data), frame.timestamp)
            elif identifier in ECU_IDS:
                exchange = self._take_answer(identifier, bytes(frame.data), frame.timestamp)
                if exchange is not None:
                    yield exchange

    def _take_request(self, identifier: int, data: bytes, at_s: float) -> None:
        if data[:1] and data[0] >> 4 == 3:
            return
        ecus = ECU_IDS if identifier == EVERY_ECU else (identifier + _OFFSET,)
        payload = self._payload(identifier, data, at_s)
        for ecu in ecus:
            asked = self._asked.setdefault(ecu, _Asked())
            asked.at_s = at_s
            if payload is not None:
                asked.payload = payload
                self._answered_s.pop(ecu, None)

    def _take_answer(self, identifier: int, data: bytes, at_s: float) -> Exchange | None:
        if data[:1] and data[0] >> 4 == 3:
            return None
        answered_s = self._answered_s.setdefault(identifier, at_s)
        payload = self._payload(identifier, data, at_s)
        asked = self._asked.get(identifier)
        if payload is None or asked is None or not asked.payload:
            return None
        if len(payload) == 3 and payload[0] == 0x7F:
            del self._answered_s[identifier]
            return None
        exchange = Exchange(identifier, asked.payload, payload, (asked.at_s + answered_s) / 2.0)
        asked.payload = b""
        del self._answered_s[identifier]
        return exchange

    def _payload(self, identifier: int, data: bytes, at_s: float) -> bytes | None:
        end = self._ends.setdefault(identifier, IsoTp())
        try:
            return end.receive(data, at_s)[0]
        except FrameError:
            self.bad_frames += 1
            return None

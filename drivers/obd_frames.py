"""OBD-II mode 01 payloads (SAE J1979): requests, replies and PIDs. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.base import FrameError
from drivers.isotp import quoted
from lowmaf.samples import FuelLoop

CURRENT_DATA, CURRENT_DATA_REPLY = 0x01, 0x41
MAX_PIDS = 6
"""PIDs per request on CAN."""

FUEL_STATUS = 0x03
SUPPORT_PIDS = (0x00, 0x20, 0x40, 0x60)
"""PIDs whose 32 bits say which of the 32 PIDs after them the ECU has; the last says whether it goes on."""

PID_BYTES: Mapping[int, int] = {
    0x00: 4, 0x03: 2, 0x04: 1, 0x05: 1, 0x06: 1, 0x07: 1, 0x0B: 1, 0x0C: 2, 0x0D: 1, 0x0E: 1, 0x0F: 1,
    0x10: 2, 0x11: 1, 0x20: 4, 0x24: 4, 0x34: 4, 0x40: 4, 0x42: 2, 0x44: 2, 0x60: 4, 0x66: 5,
}  # fmt: skip
"""Data bytes of every PID that is read or answered here."""

_LOOP_CODES = frozenset(FuelLoop)


def fuel_loop(raw: int) -> float:
    """A fuel status byte as a :class:`FuelLoop` code; NaN where it is none (0: engine not running)."""
    return float(raw) if raw in _LOOP_CODES else float("nan")


@dataclass(frozen=True, slots=True)
class CurrentDataRequest:
    """Asks for one to six PIDs.

    Raises:
        ValueError: another number of PIDs.
    """

    pids: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.pids) <= MAX_PIDS:
            raise ValueError(f"an OBD request names 1 to {MAX_PIDS} PIDs, not {len(self.pids)}")

    def to_bytes(self) -> bytes:
        return bytes((CURRENT_DATA, *self.pids))

    @classmethod
    def from_bytes(cls, payload: bytes) -> CurrentDataRequest:
        if not 2 <= len(payload) <= MAX_PIDS + 1 or payload[0] != CURRENT_DATA:
            raise FrameError(f"OBD request {quoted(payload)}: expected 01 and 1 to {MAX_PIDS} PIDs")
        return cls(tuple(payload[1:]))


@dataclass(frozen=True, slots=True)
class CurrentDataReply:
    """Data bytes by PID. An ECU leaves out what it does not support and chooses the order."""

    data: Mapping[int, bytes]

    def to_bytes(self) -> bytes:
        return bytes((CURRENT_DATA_REPLY,)) + b"".join(bytes((pid,)) + raw for pid, raw in self.data.items())

    @classmethod
    def from_bytes(cls, payload: bytes) -> CurrentDataReply:
        if len(payload) < 3 or payload[0] != CURRENT_DATA_REPLY:
            raise FrameError(f"OBD reply {quoted(payload)}: expected 41, PIDs and their data")
        data: dict[int, bytes] = {}
        at = 1
        while at < len(payload):
            pid = payload[at]
            size = PID_BYTES.get(pid)
            if size is None or at + size >= len(payload) or pid in data:
                raise FrameError(
                    f"OBD reply {quoted(payload)}: PID {pid:02X} at byte {at + 1} was not expected"
                )
            data[pid] = payload[at + 1 : at + 1 + size]
            at += 1 + size
        return cls(data)


def supported_pids(base: int, bits: bytes) -> frozenset[int]:
    """The PIDs ``base`` + 1 to ``base`` + 32 that the 4 bytes of a support PID name."""
    flags = int.from_bytes(bits, "big")
    return frozenset(base + 32 - shift for shift in range(32) if flags >> shift & 1)

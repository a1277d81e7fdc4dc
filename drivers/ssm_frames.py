"""SSM2 payloads: requests, replies and parameters. No I/O.

On CAN (ISO-TP) a payload has neither header nor checksum: ``AA`` is answered by ``EA`` with the
ECU's identification, ``A8 00 address ...`` (3 bytes each) by ``E8 value ...`` (1 byte each), and
anything the ECU refuses by ``7F service code``. On the K-line (:mod:`drivers.kline_frames`) the
identification is ``BF`` and ``FF``, and ``A8 01 ...`` is answered again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.base import FrameError
from drivers.isotp import quoted

INIT, INIT_REPLY = 0xAA, 0xEA
READ, READ_REPLY = 0xA8, 0xE8
NEGATIVE = 0x7F
MAX_ADDRESSES = 33
"""Addresses per request; more are left unanswered by some ECUs."""


@dataclass(frozen=True, slots=True)
class InitRequest:
    """Asks for the ECU's identification."""

    def to_bytes(self) -> bytes:
        return bytes((INIT,))

    @classmethod
    def from_bytes(cls, payload: bytes) -> InitRequest:
        if payload != bytes((INIT,)):
            raise FrameError(f"SSM init request {quoted(payload)}: expected AA")
        return cls()


@dataclass(frozen=True, slots=True)
class InitReply:
    """Identification: 3 bytes of system, 5 of ECU id, then capability bits (any number of bytes)."""

    data: bytes

    @property
    def ecu_id(self) -> str:
        """Ten hexadecimal digits."""
        return self.data[3:8].hex().upper()

    def supports(self, index: int, bit: int) -> bool:
        """Capability ``bit`` of byte ``index`` (0 is the first after EA); past the end means no."""
        return index < len(self.data) and bool(self.data[index] >> bit & 1)

    def to_bytes(self) -> bytes:
        return bytes((INIT_REPLY,)) + self.data

    @classmethod
    def from_bytes(cls, payload: bytes, head: int = INIT_REPLY) -> InitReply:
        """A reply that starts with ``head``: EA on CAN, FF on the K-line."""
        if len(payload) < 9 or payload[0] != head:
            raise FrameError(f"SSM init reply {quoted(payload)}: expected {head:02X} and at least 8 bytes")
        return cls(payload[1:])


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Asks for the byte at each of up to 33 addresses, once or continuously (K-line only).

    Raises:
        ValueError: no address, too many, or one beyond 24 bits.
    """

    addresses: tuple[int, ...]
    continuous: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.addresses) <= MAX_ADDRESSES:
            raise ValueError(
                f"an SSM request reads 1 to {MAX_ADDRESSES} addresses, not {len(self.addresses)}"
            )
        if not all(0 <= address <= 0xFFFFFF for address in self.addresses):
            raise ValueError("SSM addresses have 24 bits")

    def to_bytes(self) -> bytes:
        return bytes((READ, self.continuous)) + b"".join(
            address.to_bytes(3, "big") for address in self.addresses
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> ReadRequest:
        count, rest = divmod(len(payload) - 2, 3)
        if payload[:1] != bytes((READ,)) or rest or not 1 <= count <= MAX_ADDRESSES:
            raise FrameError(
                f"SSM read request {quoted(payload)}: expected A8, mode and 1 to {MAX_ADDRESSES} addresses "
                f"of 3 bytes"
            )
        if payload[1] > 1:
            raise FrameError(
                f"SSM read request {quoted(payload)}: expected mode 00 or 01, met {payload[1]:02X}"
            )
        addresses = tuple(int.from_bytes(payload[at : at + 3], "big") for at in range(2, len(payload), 3))
        return cls(addresses, payload[1] == 1)


@dataclass(frozen=True, slots=True)
class ReadReply:
    """The bytes asked for, in the order of the request."""

    values: bytes

    def to_bytes(self) -> bytes:
        return bytes((READ_REPLY,)) + self.values

    @classmethod
    def from_bytes(cls, payload: bytes, expected: int) -> ReadReply:
        """A reply to a request of ``expected`` addresses; any other length is an error."""
        if len(payload) != expected + 1 or payload[0] != READ_REPLY:
            raise FrameError(f"SSM read reply {quoted(payload)}: expected E8 and {expected} values")
        return cls(payload[1:])


@dataclass(frozen=True, slots=True)
class NegativeReply:
    """The ECU refuses ``service``: 13 bad format or length, 22 address not allowed, 78 still busy."""

    service: int
    code: int

    @property
    def is_pending(self) -> bool:
        """Not a refusal: the answer will follow."""
        return self.code == 0x78

    def to_bytes(self) -> bytes:
        return bytes((NEGATIVE, self.service, self.code))

    @classmethod
    def from_bytes(cls, payload: bytes) -> NegativeReply:
        if len(payload) != 3 or payload[0] != NEGATIVE:
            raise FrameError(f"negative reply {quoted(payload)}: expected 7F, service and code")
        return cls(payload[1], payload[2])


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value: first ``address`` and ``length`` in bytes.

    ``decode`` turns the raw integer (big-endian) into the unit of ``channel`` (see
    ``lowmaf.samples.CHANNELS``); it may be out of range, or NaN.
    """

    channel: str
    address: int
    length: int
    decode: Callable[[int], float]

    @property
    def addresses(self) -> tuple[int, ...]:
        return tuple(range(self.address, self.address + self.length))


@dataclass(frozen=True, slots=True)
class StandardParameter(Parameter):
    """A value that has the same address in every ECU; ``bit`` of byte ``index`` says whether it is there."""

    index: int
    bit: int


def _trim(raw: int) -> float:
    return (raw - 128) * 100.0 / 128.0


PARAMETERS: tuple[StandardParameter, ...] = (
    StandardParameter("maf_v", 0x1D, 1, lambda raw: raw / 50.0, 10, 6),
    StandardParameter("maf_gs", 0x13, 2, lambda raw: raw / 100.0, 9, 4),
    StandardParameter("stft_pct", 0x09, 1, _trim, 8, 5),
    StandardParameter("ltft_pct", 0x0A, 1, _trim, 8, 4),
    StandardParameter("rpm", 0x0E, 2, lambda raw: raw / 4.0, 8, 0),
    StandardParameter("throttle_pct", 0x15, 1, lambda raw: raw * 100.0 / 255.0, 9, 3),
    StandardParameter("speed_kmh", 0x10, 1, float, 9, 7),
    StandardParameter("map_kpa", 0x0D, 1, lambda raw: raw * 37.0 / 255.0 * 6.894757, 8, 1),
    StandardParameter("iat_c", 0x12, 1, lambda raw: raw - 40.0, 9, 5),
    StandardParameter("ect_c", 0x08, 1, lambda raw: raw - 40.0, 8, 6),
    StandardParameter("lambda_", 0x46, 1, lambda raw: raw / 128.0, 15, 5),
)
"""Standard parameters that are channels of ours; trims are those of the first bank."""

FUEL_LOOP_ADDRESSES: Mapping[str, int] = {
    "1B14400505": 0x021054,
    "3152584006": 0xFFBC39,
    "4D12044006": 0xFF9921,
    "2F12785206": 0xFF6F91,
}
"""RAM address of the closed/open loop state, by ECU id. Its bits are those of OBD PID 03."""

"""What the simulated ECU answers to SSM and OBD requests, whatever link they come over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from drivers.base import FrameError
from drivers.clock import Clock
from drivers.obd_frames import (
    CURRENT_DATA,
    FUEL_STATUS,
    PID_BYTES,
    SUPPORT_PIDS,
    CurrentDataReply,
    CurrentDataRequest,
)
from drivers.ssm_frames import (
    FUEL_LOOP_ADDRESSES,
    INIT,
    PARAMETERS,
    READ,
    InitReply,
    InitRequest,
    NegativeReply,
    ReadReply,
    ReadRequest,
)

ECU_ID = "4D12044006"
_SYSTEM = bytes.fromhex("A21011")
_CAPABILITY_BYTES = 48
_BAD_FORMAT, _NOT_ALLOWED, _UNKNOWN_SERVICE = 0x13, 0x22, 0x11
_RAM = 0x020000  # from here on addresses are memory, not standard parameters
_LONGEST_DRIVE_S = 30.0  # simulated time caught up with in one request, so that it is answered in time
_REMEMBERED = 64
_Place = tuple[str, int]
"""A byte in the ECU: a channel, and by how many bits its raw integer is shifted to get it."""
_EMPTY: _Place = ("", 0)
_SSM_CHANNELS = frozenset(
    ("maf_v", "maf_gs", "stft_pct", "ltft_pct", "rpm", "throttle_pct", "speed_kmh", "iat_c", "ect_c")
)


def _byte(value: float) -> int:
    return min(max(round(value), 0), 0xFF)


def _word(value: float) -> int:
    return min(max(round(value), 0), 0xFFFF)


_RAW: Mapping[str, Callable[[float], int]] = {
    "maf_v": lambda volts: _byte(volts * 50.0),
    "maf_gs": lambda flow: _word(flow * 100.0),
    "stft_pct": lambda trim: _byte(trim * 1.28 + 128.0),
    "ltft_pct": lambda trim: _byte(trim * 1.28 + 128.0),
    "rpm": lambda rpm: _word(rpm * 4.0),
    "throttle_pct": lambda share: _byte(share * 2.55),
    "speed_kmh": _byte,
    "iat_c": lambda celsius: _byte(celsius + 40.0),
    "ect_c": lambda celsius: _byte(celsius + 40.0),
    "map_kpa": _byte,
    "fuel_loop": int,
    "lambda_": lambda ratio: _word(ratio * 32768.0),
    "lambda_target": lambda ratio: _word(ratio * 32768.0),
}
"""Raw integers as SSM and OBD share them (absolute pressure in kPa is OBD's alone)."""

_OBD_CHANNELS: Mapping[int, str] = {
    0x03: "fuel_loop",
    0x05: "ect_c",
    0x06: "stft_pct",
    0x07: "ltft_pct",
    0x0B: "map_kpa",
    0x0C: "rpm",
    0x0D: "speed_kmh",
    0x0F: "iat_c",
    0x10: "maf_gs",
    0x11: "throttle_pct",
    0x34: "lambda_",
    0x44: "lambda_target",
}


class ShownCar(Protocol):
    """What an ECU needs of a car: what its sensors show, for a time that only goes on."""

    @property
    def shown(self) -> frozenset[str]:
        """Channels that there are."""
        ...

    @property
    def t_s(self) -> float:
        """Time since the start, s."""
        ...

    def advance_to(self, t_s: float) -> None:
        """Drives on until that time."""
        ...

    def value(self, channel: str) -> float:
        """What is shown now; see ``lowmaf.samples.CHANNELS``."""
        ...


class EcuAnswers:
    """The ECU of one car.

    The car sets off at the making of its ECU and is stepped up to the clock at each request, so
    nothing runs while nobody asks. ``reads_ram`` False is a stock ROM of a CAN Subaru: addresses in
    memory are refused and the loop state is to be had from OBD PID 03 only. ``refuses`` is one more address
    that is refused.
    """

    def __init__(self, car: ShownCar, clock: Clock, *, reads_ram: bool = True, refuses: int = -1) -> None:
        self._car = car
        self._clock = clock
        self._origin_s = clock.now()
        channels = _SSM_CHANNELS & car.shown
        self._supported = [parameter for parameter in PARAMETERS if parameter.channel in channels]
        self._pids = {pid: channel for pid, channel in _OBD_CHANNELS.items() if channel in car.shown}
        self._memory: dict[int, _Place] = {
            address: (parameter.channel, 8 * (parameter.length - 1 - offset))
            for parameter in self._supported
            for offset, address in enumerate(parameter.addresses)
        }
        if reads_ram and "fuel_loop" in car.shown:
            self._memory[FUEL_LOOP_ADDRESSES[ECU_ID]] = ("fuel_loop", 0)
        # a tester asks the same again and again
        self._asked = lru_cache(_REMEMBERED)(ReadRequest.from_bytes)
        self._refuses = refuses
        self._places = lru_cache(_REMEMBERED)(self._find)

    def answer(self, request: bytes) -> bytes:
        """The payload that answers this one, with the car as it is at the clock's time.

        After a long stand-still of the process the car catches up over several requests.
        """
        self._drive()
        service = request[0]
        try:
            if service == READ:
                return self._read(self._asked(request))
            if service == INIT:
                InitRequest.from_bytes(request)
                return self.identify().to_bytes()
            if service == CURRENT_DATA:
                return self._current_data(CurrentDataRequest.from_bytes(request))
        except FrameError:
            return NegativeReply(service, _BAD_FORMAT).to_bytes()
        return NegativeReply(service, _UNKNOWN_SERVICE).to_bytes()

    def values(self, addresses: Sequence[int]) -> bytes:
        """The byte at each address, 0 where there is none, with the car as it is now."""
        self._drive()
        return self._bytes_at(self._places(tuple(addresses)))

    def identify(self) -> InitReply:
        """The ECU's identification."""
        capabilities = bytearray(_CAPABILITY_BYTES)
        for parameter in self._supported:
            capabilities[parameter.index] |= 1 << parameter.bit
        head = _SYSTEM + bytes.fromhex(ECU_ID)
        return InitReply(head + bytes(capabilities[len(head) :]))

    def _drive(self) -> None:
        driven_s = self._clock.now() - self._origin_s
        self._car.advance_to(min(driven_s, self._car.t_s + _LONGEST_DRIVE_S))

    def _read(self, request: ReadRequest) -> bytes:
        if request.continuous:
            return NegativeReply(READ, _BAD_FORMAT).to_bytes()
        places = self._places(request.addresses)
        if None in places:
            return NegativeReply(READ, _NOT_ALLOWED).to_bytes()
        return ReadReply(self._bytes_at(places)).to_bytes()

    def _find(self, addresses: tuple[int, ...]) -> tuple[_Place | None, ...]:
        """Where each byte is; None for memory that may not be read."""
        return tuple(
            None
            if address == self._refuses
            else self._memory.get(address, _EMPTY if address < _RAM else None)
            for address in addresses
        )

    def _bytes_at(self, places: Sequence[_Place | None]) -> bytes:
        """The byte at each place, 0 where there is none, with the car as it is now."""
        value_of = self._car.value
        raw: dict[str, int] = {"": 0}
        for channel, _ in filter(None, places):
            if channel not in raw:
                raw[channel] = _RAW[channel](value_of(channel))
        return bytes([raw[place[0]] >> place[1] & 0xFF if place else 0 for place in places])

    def _current_data(self, request: CurrentDataRequest) -> bytes:
        data: dict[int, bytes] = {}
        for pid in request.pids:
            channel = self._pids.get(pid)
            if pid in SUPPORT_PIDS and pid <= max(self._pids, default=0):
                data[pid] = _support_bits(pid, self._pids)
            elif channel is not None:
                raw = _RAW[channel](self._car.value(channel))
                size = min(PID_BYTES[pid], 2)
                # the status has one byte per bank, the second of which does not exist; a wide-band
                # sensor adds its current, in which 80 00 is none
                rest = {FUEL_STATUS: b"\0", 0x34: b"\x80\0"}.get(pid, b"")
                data[pid] = raw.to_bytes(size - (pid == FUEL_STATUS), "big") + rest
        if not data:
            return NegativeReply(CURRENT_DATA, 0x12).to_bytes()
        return CurrentDataReply(data).to_bytes()


def _support_bits(base: int, pids: Collection[int]) -> bytes:
    """The 4 bytes that say which of the 32 PIDs after ``base`` there are, and whether any follow."""
    flags = sum(1 << base + 32 - pid for pid in pids if base < pid <= base + 32)
    return (flags | any(pid > base + 32 for pid in pids)).to_bytes(4, "big")

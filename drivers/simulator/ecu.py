"""The simulated ECU: answers SSM and OBD requests over ISO-TP on a CAN bus, from a simulated car."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import can

from drivers.base import FrameError
from drivers.can_link import frame_of
from drivers.clock import Clock
from drivers.isotp import IsoTp
from drivers.obd_frames import CURRENT_DATA, PID_BYTES, CurrentDataReply, CurrentDataRequest
from drivers.simulator.car import Car
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
_LISTEN_S = 0.05
_LONGEST_DRIVE_S = 30.0  # simulated time caught up with in one request, so that it is answered in time


def _byte(value: float) -> int:
    return min(max(round(value), 0), 0xFF)


def _word(value: float) -> int:
    return min(max(round(value), 0), 0xFFFF)


_RAW: Mapping[str, Callable[[Car], int]] = {
    "maf_v": lambda car: _byte(car.maf_v * 50.0),
    "maf_gs": lambda car: _word(car.maf_gs * 100.0),
    "stft_pct": lambda car: _byte(car.stft_pct * 1.28 + 128.0),
    "ltft_pct": lambda car: _byte(car.ltft_pct * 1.28 + 128.0),
    "rpm": lambda car: _word(car.rpm * 4.0),
    "throttle_pct": lambda car: _byte(car.throttle_pct * 2.55),
    "speed_kmh": lambda car: _byte(car.speed_kmh),
    "iat_c": lambda car: _byte(car.iat_c + 40.0),
    "ect_c": lambda car: _byte(car.ect_c + 40.0),
    "map_kpa": lambda car: _byte(car.map_kpa),
    "fuel_loop": lambda car: int(car.fuel_loop),
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
}


class SimulatedEcu:
    """Answers requests on ``bus`` in a thread of its own until :meth:`stop`, which closes the bus.

    The car sets off at the making of its ECU and is stepped up to the clock at each request, so
    nothing runs while nobody asks.
    ``reads_ram`` False is a stock ROM of a CAN Subaru: addresses in memory are refused and the
    loop state is to be had from OBD PID 03 only.
    """

    def __init__(
        self,
        bus: can.BusABC,
        car: Car,
        clock: Clock,
        *,
        request_id: int = 0x7E0,
        response_id: int = 0x7E8,
        reads_ram: bool = True,
    ) -> None:
        self._bus = bus
        self._car = car
        self._clock = clock
        self._origin_s = clock.now()
        self._request_id = request_id
        self._response_id = response_id
        self._transport = IsoTp(timeout_s=1.0)
        self._stopping = threading.Event()
        self._supported = [parameter for parameter in PARAMETERS if parameter.channel in _SSM_CHANNELS]
        self._memory: dict[int, tuple[str, int]] = {
            address: (parameter.channel, 8 * (parameter.length - 1 - offset))
            for parameter in self._supported
            for offset, address in enumerate(parameter.addresses)
        }
        if reads_ram:
            self._memory[FUEL_LOOP_ADDRESSES[ECU_ID]] = ("fuel_loop", 0)
        self._thread = threading.Thread(target=self._run, name="simulated ECU", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes the bus; returns when both are done."""
        self._stopping.set()
        self._thread.join()
        self._bus.shutdown()

    def answer(self, request: bytes) -> bytes:
        """The payload that answers this one, with the car as it is at the clock's time.

        After a long stand-still of the process the car catches up over several requests.
        """
        driven_s = self._clock.now() - self._origin_s
        self._car.advance_to(min(driven_s, self._car.t_s + _LONGEST_DRIVE_S))
        service = request[0]
        try:
            if service == READ:
                return self._read(ReadRequest.from_bytes(request))
            if service == INIT:
                InitRequest.from_bytes(request)
                return self._identify().to_bytes()
            if service == CURRENT_DATA:
                return self._current_data(CurrentDataRequest.from_bytes(request))
        except FrameError:
            return NegativeReply(service, _BAD_FORMAT).to_bytes()
        return NegativeReply(service, _UNKNOWN_SERVICE).to_bytes()

    def _identify(self) -> InitReply:
        capabilities = bytearray(_CAPABILITY_BYTES)
        for parameter in self._supported:
            capabilities[parameter.index] |= 1 << parameter.bit
        head = _SYSTEM + bytes.fromhex(ECU_ID)
        return InitReply(head + bytes(capabilities[len(head) :]))

    def _read(self, request: ReadRequest) -> bytes:
        values = bytearray()
        for address in request.addresses:
            found = self._memory.get(address)
            if found is not None:
                channel, shift = found
                values.append(_RAW[channel](self._car) >> shift & 0xFF)
            elif address >= _RAM:
                return NegativeReply(READ, _NOT_ALLOWED).to_bytes()
            else:
                values.append(0)
        return ReadReply(bytes(values)).to_bytes()

    def _current_data(self, request: CurrentDataRequest) -> bytes:
        data: dict[int, bytes] = {}
        for pid in request.pids:
            channel = _OBD_CHANNELS.get(pid)
            if channel is not None:
                raw = _RAW[channel](self._car)
                # the status has one byte per bank; the second bank does not exist
                data[pid] = bytes((raw, 0)) if pid == 0x03 else raw.to_bytes(PID_BYTES[pid], "big")
        if not data:
            return NegativeReply(CURRENT_DATA, 0x12).to_bytes()
        return CurrentDataReply(data).to_bytes()

    def _run(self) -> None:
        transport = self._transport
        while not self._stopping.is_set():
            now_s = time.monotonic()
            try:
                if now_s >= transport.wake_s:
                    self._transmit(transport.poll(now_s))
                message = self._bus.recv(min(max(transport.wake_s - now_s, 0.0), _LISTEN_S))
                if message is None or message.arbitration_id != self._request_id:
                    continue
                now_s = time.monotonic()
                request, frames = transport.receive(bytes(message.data), now_s)
                self._transmit(frames)
                if request is not None:
                    transport.reset()
                    self._transmit(transport.send(self.answer(request), now_s))
            except FrameError:
                continue

    def _transmit(self, frames: list[bytes]) -> None:
        for data in frames:
            self._bus.send(frame_of(self._response_id, data))


_SSM_CHANNELS = frozenset(
    ("maf_v", "maf_gs", "stft_pct", "ltft_pct", "rpm", "throttle_pct", "speed_kmh", "iat_c", "ect_c")
)

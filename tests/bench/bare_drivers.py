"""What reading an ECU costs at least: the same bytes over the same link, the libraries plainly used.

Nothing is checked, counted, kept or recovered here: what a driver takes beyond this is for that.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
from collections.abc import Iterable

import can
import serial
from driver_rate import Rate

REQUEST_ID, RESPONSE_ID = 0x7E0, 0x7E8
FLOW = bytes.fromhex("3000000000000000")


def frames_of(payload: bytes) -> list[bytes]:
    """A request of more than seven bytes as frames of ISO-TP."""
    first = bytes((0x10 | len(payload) >> 8, len(payload) & 0xFF)) + payload[:6]
    rest = [payload[at : at + 7] for at in range(6, len(payload), 7)]
    following = [
        (bytes((0x20 | number & 0xF,)) + part).ljust(8, b"\0") for number, part in enumerate(rest, 1)
    ]
    return [first, *following]


async def bare_kline(
    path: str, request: bytes, answer_bytes: int, seconds: float, *, continuous: bool
) -> Rate:
    """pyserial's port on an asyncio loop that counts bytes and asks again where an answer is complete.

    The line hands back what was sent.
    """
    port = serial.Serial(path, 4800, timeout=0, write_timeout=0)
    loop = asyncio.get_running_loop()
    came = samples = 0
    expected = answer_bytes if continuous else len(request) + answer_bytes

    def readable() -> None:
        nonlocal came, samples
        came += len(os.read(port.fileno(), 4096))
        if came >= expected:
            came -= expected
            samples += 1
            if not continuous:
                os.write(port.fileno(), request)

    loop.add_reader(port.fileno(), readable)
    os.write(port.fileno(), request)
    await asyncio.sleep(0.5)
    before, began_s, cpu_s = samples, time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    spent = Rate(samples - before, time.monotonic() - began_s, time.process_time() - cpu_s)
    loop.remove_reader(port.fileno())
    port.close()
    return spent


def bare_can_sample(bus: can.BusABC, frames: list[bytes]) -> bytes:
    """One request and its answer over ISO-TP on a python-can bus."""

    def send(parts: Iterable[bytes]) -> None:
        for data in parts:
            bus.send(can.Message(arbitration_id=REQUEST_ID, is_extended_id=False, data=data))

    def came() -> bytes:
        while True:
            message = bus.recv(1.0)
            assert message is not None
            if message.arbitration_id == RESPONSE_ID:
                return bytes(message.data)

    send(frames[:1])
    came()
    send(frames[1:])
    first = came()
    size, payload = (first[0] & 0xF) << 8 | first[1], first[2:]
    send([FLOW])
    while len(payload) < size:
        payload += came()[1:]
    return payload[:size]


class BareAdapter:
    """A serial CAN adapter in pyserial's hands, without python-can, which takes five times as long for it."""

    def __init__(self, path: str, frames: list[bytes]) -> None:
        self._port = serial.Serial(path, 115_200, timeout=0, write_timeout=0)
        self._fd = self._port.fileno()
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._rest = b""
        first, *following = [self._line(data) for data in frames]
        self._first, self._following, self._flow = first, b"".join(following), self._line(FLOW)
        os.write(self._fd, b"C\rS6\rO\r")

    @staticmethod
    def _line(data: bytes) -> bytes:
        return f"t{REQUEST_ID:03X}{len(data)}{data.hex().upper()}\r".encode()

    def _came(self) -> bytes:
        while True:
            line, end, rest = self._rest.partition(b"\r")
            if end:
                self._rest = rest
                if line.startswith(b"t7E8"):
                    return bytes.fromhex(line[5:].decode())
                continue
            assert self._poll.poll(1000.0)
            self._rest += os.read(self._fd, 65_536)

    def sample(self) -> bytes:
        """One request and its answer."""
        os.write(self._fd, self._first)
        self._came()
        os.write(self._fd, self._following)
        first = self._came()
        size, payload = (first[0] & 0xF) << 8 | first[1], first[2:]
        os.write(self._fd, self._flow)
        while len(payload) < size:
            payload += self._came()[1:]
        return payload[:size]

    def keep_sampling(self, rate_hz: float, samples: list[bytes], stop: threading.Event) -> None:
        """So many samples a second, for a thread."""
        due_s = time.monotonic()
        while not stop.wait(max(due_s - time.monotonic(), 0.0)):
            samples.append(self.sample())
            due_s += 1.0 / rate_hz

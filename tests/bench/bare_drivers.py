"""What reading an ECU costs at least: the same bytes over the same link, the libraries plainly used.

Nothing is checked, counted, kept or recovered here: what a driver takes beyond this is for that.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable

import can
import serial
from bare_adapter import FLOW, REQUEST_ID, RESPONSE_ID
from driver_rate import Rate


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

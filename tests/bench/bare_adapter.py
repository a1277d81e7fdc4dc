"""Polling over a serial CAN adapter in pyserial's hands: python-can's own reader takes five times as long."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Iterator

import serial

REQUEST_ID, RESPONSE_ID = 0x7E0, 0x7E8
FLOW = bytes.fromhex("3000000000000000")
ADDRESSES = "00001D 000013 000014 000009 00000A 00000E 00000F 000015 000010 00000D 000012 000008 000046"
REQUEST = bytes.fromhex("A800" + ADDRESSES)
"""What ``ssm-can`` asks the simulated ECU for every sample: as many addresses."""


def frames_of(payload: bytes) -> list[bytes]:
    """A request of more than seven bytes as frames of ISO-TP."""
    first = bytes((0x10 | len(payload) >> 8, len(payload) & 0xFF)) + payload[:6]
    rest = [payload[at : at + 7] for at in range(6, len(payload), 7)]
    following = [
        (bytes((0x20 | number & 0xF,)) + part).ljust(8, b"\0") for number, part in enumerate(rest, 1)
    ]
    return [first, *following]


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

    def samples(self, rate_hz: float, stop: threading.Event) -> Iterator[bytes]:
        """So many answers a second until told to stop; for a thread."""
        due_s = time.monotonic()
        while not stop.wait(max(due_s - time.monotonic(), 0.0)):
            yield self.sample()
            due_s += 1.0 / rate_hz

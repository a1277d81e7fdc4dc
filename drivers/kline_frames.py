"""SSM2 on the K-line: frames around the payloads of :mod:`drivers.ssm_frames`. No I/O.

A frame is ``80 destination source length payload checksum``; the checksum is the low byte of the
sum of everything before it. Both sides share one wire, so a cable hands back what it sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.base import FrameError
from drivers.isotp import quoted

HEADER = 0x80
ECU, TESTER = 0x10, 0xF0
INIT, INIT_REPLY = 0xBF, 0xFF
OVERHEAD = 5
"""Bytes of a frame besides its payload."""
LONGEST = 255


@dataclass(frozen=True, slots=True)
class KlineFrame:
    """A payload of 1 to 255 bytes with who sends it to whom."""

    destination: int
    source: int
    payload: bytes

    def to_bytes(self) -> bytes:
        body = bytes((HEADER, self.destination, self.source, len(self.payload))) + self.payload
        return body + bytes((sum(body) & 0xFF,))

    @classmethod
    def from_bytes(cls, data: bytes) -> KlineFrame:
        if len(data) < OVERHEAD + 1 or data[0] != HEADER or len(data) != data[3] + OVERHEAD:
            raise FrameError(
                f"K-line frame {quoted(data)}: expected 80, destination, source, length and so many bytes"
            )
        expected = sum(data[:-1]) & 0xFF
        if data[-1] != expected:
            raise FrameError(
                f"K-line frame {quoted(data)}: expected checksum {expected:02X}, met {data[-1]:02X}"
            )
        return cls(data[1], data[2], data[4:-1])


@dataclass(frozen=True, slots=True)
class FoundFrame:
    """A frame in a stream, and how many bytes of the stream had come after it when it was found."""

    frame: KlineFrame
    bytes_after: int


class KlineScanner:
    """Finds frames to or from the ECU in a stream of bytes that may be anything.

    What is no frame is skipped byte by byte until one begins. ``longest`` is the longest payload
    that can come now: a header that promises more is none. ``bad_frames`` counts whole frames with
    a wrong checksum and ``skipped`` bytes that belong to no frame.
    """

    __slots__ = ("_buffer", "_ecu", "bad_frames", "longest", "skipped")

    def __init__(self, ecu: int = ECU) -> None:
        self._ecu = ecu
        self._buffer = bytearray()
        self.longest = LONGEST
        self.bad_frames = 0
        self.skipped = 0

    def reset(self) -> None:
        """Forgets a frame that has begun."""
        self.skipped += len(self._buffer)
        self._buffer.clear()

    def missing(self, payload: int) -> int:
        """Bytes still to come until a frame can be complete, if it has ``payload`` bytes."""
        held = len(self._buffer)
        size = self._buffer[3] if held >= 4 else payload
        return max(size + OVERHEAD - held, 1)

    def feed(self, data: bytes) -> list[FoundFrame]:
        """The frames that ``data`` completes."""
        self._buffer += data
        buffer = self._buffer
        found: list[FoundFrame] = []
        while True:
            self._skip_to_header()
            size = buffer[3] + OVERHEAD if len(buffer) >= 4 else OVERHEAD + 1
            if len(buffer) < size:
                return found
            try:
                frame = KlineFrame.from_bytes(bytes(buffer[:size]))
            except FrameError:
                self.bad_frames += 1
                self._skip(1)
            else:
                del buffer[:size]
                found.append(FoundFrame(frame, len(buffer)))

    def _skip_to_header(self) -> None:
        """Throws away what cannot be the beginning of a frame."""
        buffer = self._buffer
        while buffer:
            at = buffer.find(HEADER)
            self._skip(len(buffer) if at < 0 else at)
            if len(buffer) < 3 or (self._ecu in (buffer[1], buffer[2]) and self._fits()):
                return
            self._skip(1)

    def _fits(self) -> bool:
        return len(self._buffer) < 4 or 1 <= self._buffer[3] <= self.longest

    def _skip(self, count: int) -> None:
        self.skipped += count
        del self._buffer[:count]

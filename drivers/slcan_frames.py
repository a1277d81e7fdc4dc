"""The text of serial CAN adapters (slcan): frames and commands, and finding frames in a stream. No I/O.

A data frame is ``t`` and 3 hexadecimal digits of identifier, or ``T`` and 8, then one digit of
length, two digits per byte, perhaps four digits of a time stamp, and CR. Adapters answer commands
with CR, or with BEL where they refuse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from drivers.base import FrameError

OPEN, LISTEN, CLOSE = b"O\r", b"L\r", b"C\r"
"""Commands; a channel opened with ``LISTEN`` neither sends nor acknowledges."""
BITRATES = {
    10_000: b"S0\r", 20_000: b"S1\r", 50_000: b"S2\r", 100_000: b"S3\r", 125_000: b"S4\r",
    250_000: b"S5\r", 500_000: b"S6\r", 800_000: b"S7\r", 1_000_000: b"S8\r",
}  # fmt: skip
"""Command that sets a bitrate, bit/s."""

_LONGEST_LINE = 64
# what an adapter may have sent before a frame, for want of a line end, is passed over
_FRAME = re.compile(rb"(?:t([0-7][0-9A-Fa-f]{2})|T([01][0-9A-Fa-f]{7}))([0-8])((?:[0-9A-Fa-f]{2})*)$")
_STAMP_BYTES = 2


@dataclass(frozen=True, slots=True)
class SlcanFrame:
    """A classic data frame."""

    identifier: int
    data: bytes
    is_extended: bool = False

    def to_bytes(self) -> bytes:
        if not self.is_extended:
            return short_line(self.identifier, self.data)
        return b"T%08X%d%b\r" % (self.identifier, len(self.data), _digits(self.data))

    @classmethod
    def from_bytes(cls, line: bytes) -> SlcanFrame:
        """A frame from a line without its CR; what stands before the frame is passed over.

        Raises:
            FrameError: it does not end in a whole frame.
        """
        found = _FRAME.search(line)
        if found is None:
            raise FrameError(
                f"slcan line {line[:_LONGEST_LINE]!r}: expected t or T, identifier, length, data"
            )
        short, long, size, digits = found.groups()
        data = bytes.fromhex(digits.decode("ascii"))
        if len(data) - int(size) not in {0, _STAMP_BYTES}:
            raise FrameError(f"slcan line {line[:_LONGEST_LINE]!r}: expected {int(size)} bytes of data")
        return cls(int(short or long, 16), data[: int(size)], short is None)


@lru_cache(maxsize=64)
def short_line(identifier: int, data: bytes) -> bytes:
    """A frame with an 11-bit identifier as it is written; the few that polling sends are always the same."""
    return b"t%03X%d%b\r" % (identifier, len(data), _digits(data))


def _digits(data: bytes) -> bytes:
    return data.hex().upper().encode("ascii")


class SlcanScanner:
    """Finds frames in a stream that may be anything; ``bad_lines`` counts lines that are neither a
    frame nor an adapter's answer, ``refused`` counts its refusals."""

    __slots__ = ("_rest", "bad_lines", "refused")

    def __init__(self) -> None:
        self._rest = b""
        self.bad_lines = 0
        self.refused = 0

    def feed(self, data: bytes) -> list[SlcanFrame]:
        """The frames that ``data`` completes."""
        if b"\a" in data:
            self.refused += data.count(b"\a")
            data = data.replace(b"\a", b"\r")
        *lines, rest = (self._rest + data).split(b"\r")
        if len(rest) > _LONGEST_LINE:  # no line end in so many bytes: this was never a line
            self.bad_lines += 1
            rest = rest[-_LONGEST_LINE:]
        self._rest = rest
        frames = []
        for line in lines:
            if line in {b"", b"z", b"Z"}:  # "done" and "frame was sent"
                continue
            try:
                frames.append(SlcanFrame.from_bytes(line))
            except FrameError:
                self.bad_lines += 1
        return frames

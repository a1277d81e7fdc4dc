"""From chunks of a body to whole lines, in memory that does not grow with a line that never ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.logs.limits import DEFAULT_LIMITS

OVERLONG = b"!overlong"
"""Stands in the place of a line that was longer; no record."""


class WholeLines:
    """Cuts a body at ends of lines, each of at most about ``longest`` bytes."""

    def __init__(self, longest: int = DEFAULT_LIMITS.line_bytes) -> None:
        self._longest = longest
        self._open: list[bytes] = []
        self._open_bytes = 0

    def feed(self, chunk: bytes) -> bytes | None:
        """Takes a chunk; whole lines, the last one with its end; None where no line has ended."""
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._leave_open(chunk)
            return None
        begin = 0
        if self._open_bytes > self._longest:
            self._open, begin = [OVERLONG], chunk.find(b"\n")
        lines = b"".join((*self._open, chunk[begin:end]))
        self._open, self._open_bytes = [], 0
        self._leave_open(chunk[end:])
        return lines

    def rest(self) -> bytes:
        """A last line without end; nothing where there is none."""
        return OVERLONG if self._open_bytes > self._longest else b"".join(self._open)

    def _leave_open(self, part: bytes) -> None:
        if part:
            self._open_bytes += len(part)
            self._open.append(part)
            if self._open_bytes > self._longest:
                self._open = []  # only that it is too long matters now


class BlockLines:
    """The lines of a block, and which of them cannot be an object on a line of its own, or are too long.

    What begins with ``{`` and ends with ``}`` may be one, and where each line does, no object goes on
    beyond its line: nothing in JSON has ``}`` followed by ``{``.
    """

    def __init__(self, block: bytes, longest: int) -> None:
        """``block`` is of whole lines; the last one may lack its end."""
        self._block = block
        codes = np.frombuffer(block, np.uint8)
        stops = (codes == _NEWLINE).nonzero()[0]
        if not block.endswith(b"\n"):
            stops = np.append(stops, codes.size)
        self._starts = np.concatenate((_ZERO, stops[:-1] + 1))
        last = stops - 1  # before an empty first line there is nothing, but that begins with its end
        if b"\r" in block:
            last -= codes[last] == _RETURN
        odd = (codes[last] != _CLOSES) | (codes[self._starts] != _OPENS)
        if len(block) > longest:
            odd |= stops - self._starts > longest
        self.odd: list[int] = odd.nonzero()[0].tolist()
        """Lines, from 0, that are no object."""

    def __len__(self) -> int:
        return int(self._starts.size)

    def without_odd(self) -> bytes:
        """The lines that may be objects."""
        if not self.odd:
            return self._block
        block = memoryview(self._block)
        stops = (*self._starts.tolist(), len(block))
        begins = (0, *(stops[odd + 1] for odd in self.odd))
        ends = (*(stops[odd] for odd in self.odd), len(block))
        return b"".join(block[begin:end] for begin, end in zip(begins, ends, strict=True))

    def text(self, begin: int, stop: int) -> bytes:
        """Lines from ``begin`` up to but not including ``stop``."""
        end = int(self._starts[stop]) if stop < len(self) else len(self._block)
        return self._block[self._starts[begin] : end]


_NEWLINE, _RETURN, _OPENS, _CLOSES = b"\n\r{}"
_ZERO: NDArray[np.intp] = np.zeros(1, dtype=np.intp)

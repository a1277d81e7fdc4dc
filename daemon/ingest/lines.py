"""From chunks of a body to whole lines, in memory that does not grow with a line that never ends."""

from __future__ import annotations

LONGEST_LINE = 1_000_000

OVERLONG = b"!overlong"
"""Stands in the place of a line that was longer; no record."""


class WholeLines:
    """Cuts a body at ends of lines."""

    def __init__(self) -> None:
        self._open: list[bytes] = []
        self._open_bytes = 0

    def feed(self, chunk: bytes) -> bytes | None:
        """Takes a chunk; whole lines, the last one with its end; None where no line has ended."""
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._leave_open(chunk)
            return None
        begin = 0
        if self._open_bytes > LONGEST_LINE:
            self._open, begin = [OVERLONG], chunk.find(b"\n")
        lines = b"".join((*self._open, chunk[begin:end]))
        self._open, self._open_bytes = [], 0
        self._leave_open(chunk[end:])
        return lines

    def rest(self) -> bytes:
        """A last line without end; nothing where there is none."""
        return OVERLONG if self._open_bytes > LONGEST_LINE else b"".join(self._open)

    def _leave_open(self, part: bytes) -> None:
        if part:
            self._open_bytes += len(part)
            self._open.append(part)
            if self._open_bytes > LONGEST_LINE:
                self._open = []  # only that it is too long matters now

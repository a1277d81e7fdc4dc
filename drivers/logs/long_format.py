"""Logs with one value per row (Car Scanner: seconds, name, value, unit) as rows with one column per name.

Such a log says when each channel was read. A row is made whenever the air flow was read; the other
channels hold their last value, for at most :data:`HELD_S`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from drivers.logs.aliases import header_of
from drivers.logs.columns import candidates
from drivers.logs.line_grid import FRONT, cells_of
from drivers.logs.rows import number_of

HELD_S = 2.0
"""A value older than this is not measured: the app had stopped asking for it, or got no answer."""
DAY_S = 86400.0
_FIELDS = 4
_SEPARATOR = "\t"
_PACE = ("maf_v", "maf_gs", "stft_pct")


class LongFormat:
    """Turns blocks of lines into blocks of lines with one column per name, the names first.

    Args:
        head: the beginning of the log, whole lines with their line of names; the channels are those met
            there, so one that appears for the first time after it is not read.
        separator: what separates the fields of a line.

    ``names`` are those of the channels.
    """

    def __init__(self, head: bytes, separator: str) -> None:
        self._separator = separator
        self._values: dict[str, tuple[float, str]] = {}
        self._midnights = 0
        self._last_s = 0.0
        units: dict[str, str] = {}
        for line in head.split(b"\n"):
            fields = self._fields(line)
            if fields is not None:
                units.setdefault(fields[1], fields[3])
        self.names = [name for name in units if name]
        texts = [f"{name} ({units[name]})" if units[name] else name for name in self.names]
        found = candidates([header_of(text) for text in texts], {})
        paced = [found[role][0].index for role in _PACE if role in found]
        self._pace = self.names[paced[0]] if paced else ""
        self._line_of_names = _SEPARATOR.join(("SECONDS", *(text.replace(_SEPARATOR, " ") for text in texts)))

    def blocks(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """The log as text with one column per name; ``blocks`` begin with :data:`FRONT`."""
        yield FRONT + self._line_of_names.encode() + b"\n"
        for block in blocks:
            rows = [row for line in block[len(FRONT) :].split(b"\n") for row in self._row(line)]
            if rows:
                yield FRONT + "".join(rows).encode()

    def _row(self, line: bytes) -> Iterator[str]:
        fields = self._fields(line)
        if fields is None:
            return
        seconds, name, value, _ = fields
        if seconds < self._last_s - DAY_S / 2.0:
            self._midnights += 1
        self._last_s = seconds
        at_s = seconds + DAY_S * self._midnights
        self._values[name] = (at_s, value)
        if name == self._pace:
            held = (self._values.get(other, (-DAY_S, "")) for other in self.names)
            cells = (value if at_s - then <= HELD_S else "" for then, value in held)
            yield _SEPARATOR.join((repr(at_s), *cells)) + "\n"

    def _fields(self, line: bytes) -> tuple[float, str, str, str] | None:
        """Seconds, name, value and unit; None for what is no such row."""
        cells = cells_of(line, self._separator)
        if len(cells) < _FIELDS - 1:
            return None
        seconds = number_of(cells[0])
        if math.isnan(seconds):
            return None
        unit = cells[3] if len(cells) >= _FIELDS else ""
        return seconds, cells[1], cells[2].replace(_SEPARATOR, " "), unit

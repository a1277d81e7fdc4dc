"""From a block of lines to fields: where each field of each line begins and ends."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.logs.number_parser import PADDING, Numbers, parse_numbers
from drivers.logs.separator_bits import Offsets, packed, positions, walk

_LF = ord("\n")
_SPACE = ord(" ")
_MAX_SPACES = 64
FRONT = b"0" * (PADDING - 1) + b"\n"
"""What precedes a block: room to load words backwards, and a line end so that the first line begins as
every other does."""


class LineGrid:
    """Lines of a block, cut at the separator.

    ``text`` (bytes with :data:`FRONT` before them); ``uniform`` how many fields every line has, 0 where
    they differ; ``quoted`` whether the block has quotes, so that a separator may be part of a field.
    """

    def __init__(self, block: bytes, separator: str, columns: Collection[int] = ()) -> None:
        """``block`` begins with :data:`FRONT` and ends with a line end.

        ``columns`` are those that will be asked for: they are found faster than others.
        """
        self.text = np.frombuffer(block, dtype=np.uint8)
        self.quoted = b'"' in block
        self._spaced = b" " in block
        self._separator = ord(separator)
        bits = packed(self.text == _LF)
        self._ends = positions(bits)
        bits |= packed(self.text == self._separator)
        fields = 1 + block.count(separator.encode(), 0, int(self._ends[1])) if len(self) else 0
        beside = {number for column in columns for number in (column, column + 1)}
        places = walk(bits, self._ends, fields, beside)
        self.uniform = 0 if places is None else fields
        self._places = {0: self._ends[:-1], **(places or {})}
        self._every: tuple[Offsets, Offsets] | None = None

    def __len__(self) -> int:
        return int(self._ends.size) - 1

    def line_lengths(self) -> Offsets:
        """Bytes of each line (n,) without its end."""
        return np.diff(self._ends) - 1

    def begins_with_letters(self) -> bool:
        """Whether any line may begin with a letter: what a line of column names does."""
        return self.quoted or self._spaced or bool((self.text[self._ends[:-1] + 1] > ord("9")).any())

    def quoted_lines(self) -> NDArray[np.bool_]:
        """Which lines (n,) have a quote."""
        quoted = np.zeros(len(self), dtype=np.bool_)
        if self.quoted:
            quotes = np.flatnonzero(self.text == ord('"'))
            quoted[np.unique(np.searchsorted(self._ends[1:], quotes))] = True
        return quoted

    def field_counts(self) -> Offsets:
        """How many fields each line (n,) has."""
        if self.uniform:
            return np.full(len(self), self.uniform, dtype=np.int64)
        return np.diff(self._separators()[1])

    def field(self, lines: Offsets | None, column: int) -> tuple[Offsets, Offsets]:
        """Begin and end of field ``column`` of the given lines, all for None, without spaces around it."""
        begin, end = self._place(lines, column) + 1, self._place(lines, column + 1)
        return self._trimmed(begin, end) if self._spaced else (begin, end)

    def numbers(self, lines: Offsets | None, column: int) -> Numbers:
        """Field ``column`` of the given lines, all for None, as numbers."""
        return parse_numbers(self.text, *self.field(lines, column))

    def line(self, line: int) -> bytes:
        """One line without its end."""
        return self.text[int(self._ends[line]) + 1 : int(self._ends[line + 1])].tobytes()

    def texts(self, lines: Offsets, column: int) -> list[bytes]:
        """Field ``column`` of the given lines as bytes."""
        begins, ends = self.field(lines, column)
        text = self.text
        return [text[begin:end].tobytes() for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]

    def _place(self, lines: Offsets | None, number: int) -> Offsets:
        """Offsets of a separator of the given lines, by its number in the line: 0 is before the line."""
        if self.uniform and number in self._places:
            place = self._places[number]
            return place if lines is None else place[lines]
        separators, first = self._separators()
        begins = first[:-1] if lines is None else first[lines]
        return separators[begins + number]

    def _separators(self) -> tuple[Offsets, Offsets]:
        """Offsets of all separators and line ends, and which of them (n+1,) are the line ends."""
        if self._every is None:
            separators = np.flatnonzero((self.text == _LF) | (self.text == self._separator))
            self._every = separators, np.searchsorted(separators, self._ends)
        return self._every

    def _trimmed(self, begin: Offsets, end: Offsets) -> tuple[Offsets, Offsets]:
        for _ in range(_MAX_SPACES):
            blank = (begin < end) & (self.text[begin] == _SPACE)
            if not blank.any():
                break
            begin = begin + blank
        for _ in range(_MAX_SPACES):
            blank = (begin < end) & (self.text[end - 1] == _SPACE)
            if not blank.any():
                break
            end = end - blank
        return begin, end


def cells_of(line: bytes, separator: str) -> list[str]:
    """The fields of one line, quotes removed; text that is not UTF-8 is taken as cp1252."""
    text = decoded(line)
    if '"' not in text:
        return [cell.strip() for cell in text.split(separator)]
    try:
        lines = csv.reader([text.replace("\0", "")], delimiter=separator, skipinitialspace=True)
        row: Sequence[str] = next(lines, [])
    except csv.Error:
        row = text.split(separator)
    return [cell.strip().strip('"').strip() for cell in row]


def decoded(text: bytes) -> str:
    """Text as UTF-8, or as cp1252 where it is not."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")

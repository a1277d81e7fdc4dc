"""From a block of lines to fields: where each field of each line begins and ends."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.logs.number_parser import PADDING, Numbers, Offsets, parse_numbers

_LF = ord("\n")
_SPACE = ord(" ")
_MAX_SPACES = 64
_FRONT = b" " * (PADDING - 1) + b"\n"
"""The line end here makes the first line begin as every other does."""


@dataclass(frozen=True, slots=True, eq=False)
class LineGrid:
    """Lines of a block, cut at the separator.

    ``text`` (bytes with :data:`PADDING` in front); ``separators`` offsets of all separators and line
    ends in it, with one line end before the first line; ``first`` (n,) index of each line's first
    separator among them; ``fields`` (n,) how many fields each line has; ``quoted`` (n,) whether a line
    has a quote, so that a separator in it may be part of a field; ``spaced`` whether the block has
    spaces at all; ``uniform`` how many fields every line has, 0 where they differ.
    """

    text: NDArray[np.uint8]
    separators: Offsets
    first: Offsets
    fields: Offsets
    quoted: NDArray[np.bool_]
    spaced: bool
    uniform: int

    @staticmethod
    def of(block: bytes, separator: str) -> LineGrid:
        """The grid of ``block``, which ends with a line end."""
        text = np.frombuffer(_FRONT + block, dtype=np.uint8)
        separators = np.flatnonzero((text == _LF) | (text == ord(separator)))
        lines = block.count(b"\n")
        per_line, rest = divmod(separators.size - 1, max(lines, 1))
        if lines and not rest and (text[separators[per_line::per_line]] == _LF).all():
            first = np.arange(1, separators.size, per_line, dtype=np.int64)
            fields = np.full(lines, per_line, dtype=np.int64)
        else:
            line_ends = np.flatnonzero(text[separators] == _LF)
            first, fields, per_line = line_ends[:-1] + 1, np.diff(line_ends), 0
        quoted = np.zeros(lines, dtype=np.bool_)
        if b'"' in block:
            quotes = np.flatnonzero(text == ord('"'))
            quoted[np.unique(np.searchsorted(separators[first + fields - 1], quotes))] = True
        return LineGrid(text, separators, first, fields, quoted, b" " in block, per_line)

    def __len__(self) -> int:
        return int(self.first.size)

    def field(self, lines: Offsets, column: int) -> tuple[Offsets, Offsets]:
        """Begin and end of field ``column`` of the given lines, without the spaces around it."""
        every = self.uniform
        if every and lines.size == len(self):
            begin = self.separators[column:-1:every] + 1
            end = self.separators[column + 1 :: every]
        else:
            at = self.first[lines] + column
            begin, end = self.separators[at - 1] + 1, self.separators[at]
        return self._trimmed(begin, end) if self.spaced else (begin, end)

    def numbers(self, lines: Offsets, column: int) -> Numbers:
        """Field ``column`` of the given lines as numbers."""
        return parse_numbers(self.text, *self.field(lines, column))

    def line(self, line: int) -> bytes:
        """One line without its end."""
        begin = int(self.separators[self.first[line] - 1]) + 1
        end = int(self.separators[self.first[line] + self.fields[line] - 1])
        return self.text[begin:end].tobytes()

    def texts(self, lines: Offsets, column: int) -> list[bytes]:
        """Field ``column`` of the given lines as bytes."""
        begins, ends = self.field(lines, column)
        text = self.text
        return [text[begin:end].tobytes() for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]

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

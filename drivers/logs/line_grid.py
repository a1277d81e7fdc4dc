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
_LOWEST = ord("-")
"""No character of a plain number is below it, but for '+' and, where it separates, ','."""
FRONT = b"0" * (PADDING - 1) + b"\n"
"""What precedes a block: room to load words backwards, and a line end so that the first line begins as
every other does."""


@dataclass(frozen=True, slots=True, eq=False)
class LineGrid:
    """Lines of a block, cut at the separator.

    ``text`` (bytes with :data:`FRONT` before them); ``separators`` offsets of all separators and line
    ends in it, with one line end before the first line; ``first`` (n,) index of each line's first
    separator among them; ``fields`` (n,) how many fields each line has; ``quoted`` whether the block has
    quotes, so that a separator may be part of a field; ``spaced`` whether it has spaces; ``uniform`` how
    many fields every line has, 0 where they differ (``first`` and ``fields`` are empty where it is not).
    """

    text: NDArray[np.uint8]
    separators: Offsets
    lines: int
    first: Offsets
    fields: Offsets
    quoted: bool
    spaced: bool
    uniform: int

    @staticmethod
    def of(block: bytes, separator: str) -> LineGrid:
        """The grid of ``block``, which begins with :data:`FRONT` and ends with a line end."""
        text = np.frombuffer(block, dtype=np.uint8)
        return _regular(text, ord(separator)) or _irregular(text, block, ord(separator))

    def begins_with_letters(self) -> bool:
        """Whether any line may begin with a letter: what a line of column names does."""
        if self.quoted or self.spaced:
            return True
        ends = self.separators[:: self.uniform][:-1] if self.uniform else self.separators[self.first - 1]
        return bool((self.text[ends + 1] > ord("9")).any())

    def quoted_lines(self) -> NDArray[np.bool_]:
        """Which lines (n,) have a quote."""
        quoted = np.zeros(self.lines, dtype=np.bool_)
        if self.quoted:
            first, fields = self._places()
            quotes = np.flatnonzero(self.text == ord('"'))
            quoted[np.unique(np.searchsorted(self.separators[first + fields - 1], quotes))] = True
        return quoted

    def field_counts(self) -> Offsets:
        """How many fields each line (n,) has."""
        return self._places()[1]

    def _places(self) -> tuple[Offsets, Offsets]:
        if not self.uniform:
            return self.first, self.fields
        first = np.arange(1, self.separators.size, self.uniform, dtype=np.int64)
        return first, np.full(self.lines, self.uniform, dtype=np.int64)

    def __len__(self) -> int:
        return self.lines

    def field(self, lines: Offsets | None, column: int) -> tuple[Offsets, Offsets]:
        """Begin and end of field ``column`` of the given lines, all for None, without spaces around it."""
        every = self.uniform
        if every and lines is None:
            begin = self.separators[column:-1:every] + 1
            end = self.separators[column + 1 :: every]
        else:
            first = self._places()[0]
            at = (first if lines is None else first[lines]) + column
            begin, end = self.separators[at - 1] + 1, self.separators[at]
        return self._trimmed(begin, end) if self.spaced else (begin, end)

    def numbers(self, lines: Offsets | None, column: int) -> Numbers:
        """Field ``column`` of the given lines, all for None, as numbers."""
        return parse_numbers(self.text, *self.field(lines, column))

    def line(self, line: int) -> bytes:
        """One line without its end."""
        if self.uniform:
            first, fields = 1 + line * self.uniform, self.uniform
        else:
            first, fields = int(self.first[line]), int(self.fields[line])
        begin = int(self.separators[first - 1]) + 1
        end = int(self.separators[first + fields - 1])
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


def _regular(text: NDArray[np.uint8], separator: int) -> LineGrid | None:
    """The grid of lines that all have as many fields, with nothing in them but characters from '-' on.

    That is the usual block, and one comparison finds its separators; None for any other block.
    """
    if separator >= _LOWEST:
        return None
    separators = np.flatnonzero(text < _LOWEST)
    between = int(np.count_nonzero(text == separator))
    lines = separators.size - 1 - between
    per_line, rest = divmod(between, max(lines, 1))
    every = per_line + 1
    if lines < 1 or rest or not (text[separators[::every]] == _LF).all():
        return None
    none = np.empty(0, dtype=np.int64)
    return LineGrid(text, separators, lines, none, none, quoted=False, spaced=False, uniform=every)


def _irregular(text: NDArray[np.uint8], block: bytes, separator: int) -> LineGrid:
    """The grid of any block."""
    is_end = text == _LF
    lines = int(np.count_nonzero(is_end)) - 1
    is_end |= text == separator
    separators = np.flatnonzero(is_end)
    quoted, spaced = b'"' in block, b" " in block
    per_line, rest = divmod(separators.size - 1, max(lines, 1))
    if lines and not rest and (text[separators[per_line::per_line]] == _LF).all():
        none = np.empty(0, dtype=np.int64)
        return LineGrid(text, separators, lines, none, none, quoted, spaced, per_line)
    line_ends = np.flatnonzero(text[separators] == _LF)
    return LineGrid(text, separators, lines, line_ends[:-1] + 1, np.diff(line_ends), quoted, spaced, 0)


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

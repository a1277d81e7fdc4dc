"""How a log is written: which line names the columns, what separates them, which comma is decimal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from drivers.logs.aliases import ROLES, Header, header_of, without_brackets
from drivers.logs.line_grid import cells_of
from drivers.logs.units import unit_of

SEPARATORS = (",", ";", "\t")
HEADER_WITHIN_LINES = 200
SURE_NAMES = 4
NAMES_LINES = 3
"""After a line with this many known names only so many more are looked at: some logs name columns twice."""

_DECIMAL_COMMA = re.compile(r'^\s*"?[+-]?\d+,\d+"?\s*[%A-Za-z]*\s*$')
_SECTION = re.compile(rb"\s*(\[[^\]]*\])?[\s,]*$")
"""Nothing, or the title of a section such as ``[Channel Data]``."""
_NUMBER = re.compile(r"[-+]?[0-9]*[.,]?[0-9]*$")
_KNOWN_NAMES = frozenset(alias.name for role in ROLES.values() for alias in role.aliases)


@dataclass(frozen=True, slots=True)
class Dialect:
    """``header_line`` is the index, from 0, of the line of names, ``known_names`` how many of them mean
    something to us; data begin at ``data_line``."""

    separator: str
    decimal_comma: bool
    header_line: int
    data_line: int
    headers: tuple[Header, ...]
    known_names: int

    def cells(self, line: bytes) -> list[str]:
        """The fields of one line."""
        return cells_of(line, self.separator)


def recognise(
    lines: Sequence[bytes], decimal_comma: bool | None, wanted: Sequence[str] = ()
) -> Dialect | None:
    """The dialect of a log from its first lines; None where no line names two or more columns.

    ``wanted`` are headers that the user named. ``decimal_comma`` None: found from the values.
    """
    blocks = _measuring_blocks(lines)
    if blocks is not None:
        return blocks
    names = _best_names(lines, {header_of(text).name for text in wanted})
    if names is None:
        return None
    if not names.known:
        names = _names_above_numbers(lines) or names
    separator, header_line = names.separator, names.line
    headers = [header_of(cell) for cell in names.cells]
    data_line = header_line + 1
    if data_line < len(lines) and (units := _unit_row(cells_of(lines[data_line], separator), headers)):
        headers = [
            Header(header.text, header.name, header.unit_text or unit)
            for header, unit in zip(headers, units, strict=True)
        ]
        data_line += 1
    while data_line < len(lines) and _SECTION.match(lines[data_line]):
        data_line += 1
    if decimal_comma is None:
        sample = lines[data_line : data_line + 50]
        decimal_comma = separator != "," and any(
            _DECIMAL_COMMA.match(cell) for line in sample for cell in cells_of(line, separator)
        )
    decimal_comma = decimal_comma and separator != ","
    return Dialect(separator, decimal_comma, header_line, data_line, tuple(headers), names.known)


def _measuring_blocks(lines: Sequence[bytes]) -> Dialect | None:
    """The dialect of VCDS: names in two lines, one above the other, above units; a time for each block."""
    for index, line in enumerate(lines[:HEADER_WITHIN_LINES]):
        if index < 2 or not line.lstrip(b'" ').startswith(b"Mark"):
            continue
        units = cells_of(line, ",")
        if not {"STAMP", "TIME"} & set(units):
            continue
        above = [cells_of(lines[at], ",") for at in (index - 2, index - 1)]
        headers = []
        for column, unit in enumerate(units):
            words = [cells[column] for cells in above if column < len(cells) and cells[column]]
            header = header_of(" ".join(words))
            stated = "s" if unit in ("STAMP", "TIME") else unit
            headers.append(Header(header.text, header.name, header.unit_text or stated))
        known = sum(header.name in _KNOWN_NAMES for header in headers)
        return Dialect(",", False, index, index + 1, tuple(headers), known)
    return None


@dataclass(frozen=True, slots=True)
class _Names:
    """A line that may name the columns, and how many of its names are known."""

    line: int
    separator: str
    cells: tuple[str, ...]
    known: int


def _best_names(lines: Sequence[bytes], asked: set[str]) -> _Names | None:
    """The first of the lines with most known names, of at least two fields."""
    best: _Names | None = None
    for index, line in enumerate(lines[:HEADER_WITHIN_LINES]):
        if best is not None and best.known >= SURE_NAMES and index > best.line + NAMES_LINES:
            break
        readings = [
            _names(index, separator, cells_of(line, separator), asked)
            for separator in SEPARATORS
            if separator.encode() in line
        ]
        named = [names for names in readings if sum(map(bool, names.cells)) >= 2]
        here = max(named, key=lambda names: (names.known, len(names.cells)), default=None)
        if here is not None and (best is None or here.known > best.known):
            best = here
    return best


def _names(line: int, separator: str, cells: list[str], asked: set[str]) -> _Names:
    while cells and not cells[-1]:
        cells.pop()
    names = {header_of(cell).name for cell in cells if cell and not _NUMBER.match(cell)}
    known = _KNOWN_NAMES | asked
    count = sum(name in known or without_brackets(name) in known for name in names)
    return _Names(line, separator, tuple(cells), count)


def _names_above_numbers(lines: Sequence[bytes]) -> _Names | None:
    """The first line of names that is followed by a line of as many fields that begins with a number."""
    for index, (line, following) in enumerate(pairwise(lines[:HEADER_WITHIN_LINES])):
        for separator in SEPARATORS:
            cells, below = cells_of(line, separator), cells_of(following, separator)
            if len(cells) >= 2 and len(cells) == len(below) and re.match(r"[-+.]?\d", below[0] or "x"):
                return _names(index, separator, cells, set())
    return None


def _unit_row(cells: Sequence[str], headers: Sequence[Header]) -> list[str] | None:
    """Units for each header, if the line below the names is a row of units."""
    filled = [cell for cell in cells if cell]
    known = sum(unit_of(cell.strip("()[] ")) is not None for cell in filled)
    if any(re.match(r"[-+.]?\d", cell) for cell in filled) or known < max(2, len(filled) // 3):
        return None
    units = [cell.strip("()[] ") for cell in cells][: len(headers)]
    return units + [""] * (len(headers) - len(units))

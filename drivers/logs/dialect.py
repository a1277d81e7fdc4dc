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
_KNOWN_NAMES = frozenset(alias.name for role in ROLES.values() for alias in role.aliases)


@dataclass(frozen=True, slots=True)
class Dialect:
    """``header_line`` is the index, from 0, of the line of names; data begin at ``data_line``."""

    separator: str
    decimal_comma: bool
    header_line: int
    data_line: int
    headers: tuple[Header, ...]

    @property
    def long_format(self) -> bool:
        """One value per row (``SECONDS;PID;VALUE;UNITS``) instead of one column per channel."""
        names = [header.name for header in self.headers]
        return "pid" in names and "value" in names

    def cells(self, line: bytes) -> list[str]:
        """The fields of one line."""
        return cells_of(line, self.separator)


def recognise(
    lines: Sequence[bytes], decimal_comma: bool | None, wanted: Sequence[str] = ()
) -> Dialect | None:
    """The dialect of a log from its first lines; None where no line names two or more columns.

    ``wanted`` are headers that the user named. ``decimal_comma`` None: found from the values.
    """
    asked = {header_of(text).name for text in wanted}
    best: tuple[int, int, int, str, list[str]] | None = None
    for index, line in enumerate(lines[:HEADER_WITHIN_LINES]):
        if best is not None and best[0] >= SURE_NAMES and index > NAMES_LINES - best[1]:
            break
        for separator in SEPARATORS:
            if separator.encode() not in line:
                continue
            cells = cells_of(line, separator)
            score = _score(cells, asked)
            rank = (score, -index, len(cells), separator, cells)
            if sum(bool(cell) for cell in cells) >= 2 and (best is None or rank[:3] > best[:3]):
                best = rank
    if best is None:
        return None
    score, at, _, separator, cells = best
    if score == 0:
        at, separator, cells = _widest_before_numbers(lines) or (-at, separator, cells)
        at = -at
    header_line = -at
    while cells and not cells[-1]:
        cells.pop()
    headers = [header_of(cell) for cell in cells]
    data_line = header_line + 1
    if data_line < len(lines) and (units := _unit_row(cells_of(lines[data_line], separator), headers)):
        headers = [
            Header(header.text, header.name, header.unit_text or unit)
            for header, unit in zip(headers, units, strict=True)
        ]
        data_line += 1
    if decimal_comma is None:
        sample = lines[data_line : data_line + 50]
        decimal_comma = separator != "," and any(
            _DECIMAL_COMMA.match(cell) for line in sample for cell in cells_of(line, separator)
        )
    return Dialect(separator, decimal_comma and separator != ",", header_line, data_line, tuple(headers))


def _score(cells: Sequence[str], asked: set[str]) -> int:
    names = {header_of(cell).name for cell in cells if cell}
    known = _KNOWN_NAMES | asked
    return sum(name in known or without_brackets(name) in known for name in names)


def _widest_before_numbers(lines: Sequence[bytes]) -> tuple[int, str, list[str]] | None:
    """The first line of names that is followed by a line of as many fields that begins with a number."""
    for index, (line, following) in enumerate(pairwise(lines[:HEADER_WITHIN_LINES])):
        for separator in SEPARATORS:
            cells, below = cells_of(line, separator), cells_of(following, separator)
            if len(cells) >= 2 and len(cells) == len(below) and re.match(r"[-+.]?\d", below[0] or "x"):
                return index, separator, cells
    return None


def _unit_row(cells: Sequence[str], headers: Sequence[Header]) -> list[str] | None:
    """Units for each header, if the line below the names is a row of units."""
    filled = [cell for cell in cells if cell]
    known = sum(unit_of(cell.strip("()[] ")) is not None for cell in filled)
    if any(re.match(r"[-+.]?\d", cell) for cell in filled) or known < max(2, len(filled) // 3):
        return None
    units = [cell.strip("()[] ") for cell in cells][: len(headers)]
    return units + [""] * (len(headers) - len(units))

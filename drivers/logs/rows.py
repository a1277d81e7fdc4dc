"""From a block of lines to columns of numbers: the fast way for regular lines, a tolerant one for others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from drivers.logs.dialect import Dialect
from drivers.logs.limits import DEFAULT_LIMITS
from drivers.logs.line_grid import LineGrid, decoded
from drivers.logs.number_parser import Mask, Numbers, Offsets
from drivers.logs.time_column import clock_stamp
from lowmaf.samples import Floats

_GLUED = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)"
    r"\s*(?:%|°\s*[CFcf]?|[A-Za-zµλ][A-Za-zµλ/%]{0,9})?"
)

_NOTHING = frozenset({b"", b"-", b"--", b"n/a", b"na", b"nan", b"null", b"none"})
"""What loggers write where nothing was measured."""

NAMED_ROWS = 10
"""So many of the rows that are left out are named by their line."""

ReadWord = Callable[[str], float]
"""What a text that is no number stands for, NaN where it stands for nothing."""


def number_of(text: str) -> float:
    """A number from a field that is not a plain one: ``1e2``, ``34km/h``, ``1,5``; NaN without one."""
    plain = text.strip().strip("\"'").strip()
    if plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    found = _GLUED.fullmatch(plain)
    value = float(found["number"]) if found else np.nan
    return value if np.isfinite(value) else np.nan


def no_word(_text: str) -> float:
    """For columns in which a word stands for nothing."""
    return float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """One column: ``values`` (n,), NaN where nothing was measured or read; ``from_word`` (n,) where a
    word gave the value, None for nowhere; ``lost`` how many fields are neither empty nor understood."""

    values: Floats
    from_word: Mask | None
    lost: int


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Data rows of a block in their order; ``lines`` (n,) is the number of each row's line in the block.

    ``lines`` is None where every line of the block is a row.
    ``irregular`` has the fields of lines that were cut by the tolerant way. ``unusable`` counts lines
    that are no data row, by reason; ``refused`` are the first of them, each with its reason. Empty lines are
    neither.
    """

    grid: LineGrid
    lines: Offsets | None
    irregular: dict[int, list[bytes]]
    unusable: Counter[str]
    refused: Sequence[tuple[int, str]] = ()

    def line(self, row: int) -> int:
        """Number of a row's line in the block, from 0."""
        return row if self.lines is None else int(self.lines[row])

    def __len__(self) -> int:
        return len(self.grid) if self.lines is None else int(self.lines.size)

    def column(self, index: int, read_word: ReadWord = no_word) -> Cells:
        """A column as numbers."""
        numbers = self.grid.numbers(self.lines, index)
        values = numbers.values
        if not (numbers.unread.size or self.irregular):
            return Cells(values, None, 0)
        from_word = np.zeros(len(self), dtype=np.bool_)
        known: dict[bytes, tuple[float, bool]] = {}
        lost = 0
        for row, field in self._unread(numbers, index):
            if field not in known:
                number = number_of(decoded(field))
                known[field] = (number, False) if np.isfinite(number) else (read_word(decoded(field)), True)
            values[row], from_word[row] = known[field]
            lost += not np.isfinite(values[row]) and field.strip().strip(b"\"'").lower() not in _NOTHING
        return Cells(values, from_word, lost)

    def stamps(self, index: int, seconds_per_unit: float) -> tuple[Floats, Floats | None]:
        """A time column as seconds, and the period after which each stamp wraps; None: none ever does."""
        numbers = self.grid.numbers(self.lines, index)
        stamps = numbers.values
        if seconds_per_unit != 1.0:
            stamps *= seconds_per_unit
        if not (numbers.unread.size or self.irregular):
            return stamps, None
        periods = np.full(len(self), np.inf)
        for row, field in self._unread(numbers, index):
            text = decoded(field).strip().strip("\"'")
            stamps[row], periods[row] = clock_stamp(text)
            if not np.isfinite(stamps[row]):
                stamps[row], periods[row] = number_of(text) * seconds_per_unit, np.inf
        return stamps, periods

    def _unread(self, numbers: Numbers, index: int) -> Iterator[tuple[int, bytes]]:
        """Rows whose field the fast way did not read, with that field."""
        chosen = numbers.unread
        lines = np.arange(len(self.grid), dtype=np.int64) if self.lines is None else self.lines
        if self.irregular:
            chosen = np.union1d(chosen, np.flatnonzero(np.isin(lines, list(self.irregular))))
        if not chosen.size:
            return
        fields = self.grid.texts(lines[chosen], index)
        for row, field in zip(chosen.tolist(), fields, strict=True):
            cells = self.irregular.get(int(lines[row]))
            yield row, field if cells is None else cells[index]


def rows_of(block: bytes, dialect: Dialect, longest_field: int = DEFAULT_LIMITS.field_bytes) -> Rows:
    """The data rows of a block that begins with :data:`drivers.logs.line_grid.FRONT`."""
    return rows_in(grid_of(block, dialect), dialect, longest_field)


def grid_of(block: bytes, dialect: Dialect, columns: Collection[int] = ()) -> LineGrid:
    """The lines of a block, with decimal points; ``columns`` are those that will be read."""
    text = block.replace(b",", b".") if dialect.decimal_comma else block
    return LineGrid(text, dialect.separator, columns)


def rows_in(grid: LineGrid, dialect: Dialect, longest_field: int = DEFAULT_LIMITS.field_bytes) -> Rows:
    """The data rows of a grid; a row has as many fields as there are names, beyond those only empty ones.

    A row that has a field of more than ``longest_field`` bytes is none.
    """
    expected = len(dialect.headers)
    lengths = grid.line_lengths()
    short = lengths <= longest_field
    if grid.uniform == expected and not grid.quoted and short.all():
        return Rows(grid, None, {}, Counter())
    kept = (grid.field_counts() == expected) & ~grid.quoted_lines() & short
    irregular: dict[int, list[bytes]] = {}
    unusable: Counter[str] = Counter()
    refused: list[tuple[int, str]] = []
    for line in np.flatnonzero(~kept & (lengths > 0)).tolist():
        content = grid.line(line)
        if not content.strip():
            continue
        cells = dialect.cells(content)
        if reason := _unusable(cells, expected, longest_field):
            unusable[reason] += 1
            if len(refused) < NAMED_ROWS:
                refused.append((line, reason))
            continue
        kept[line] = True
        irregular[line] = [cell.encode() for cell in cells]
    return Rows(grid, np.flatnonzero(kept).astype(np.int64), irregular, unusable, refused)


def _unusable(cells: Sequence[str], expected: int, longest_field: int) -> str | None:
    if len(cells) < expected:
        return "fewer fields than column names"
    if any(cells[expected:]):
        return "more fields than column names"
    if max(map(len, cells)) > longest_field:
        return f"a field longer than {longest_field} bytes ([limits] log_field_kb)"
    return None

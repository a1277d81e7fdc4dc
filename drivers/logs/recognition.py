"""What a log is, found from its first lines, and where within it the names of the columns change."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache

import numpy as np

from drivers.logs.aliases import ROLES, TIME
from drivers.logs.dialect import SEPARATORS, Dialect, recognise
from drivers.logs.formats import REFUSALS, format_name
from drivers.logs.layout import LayoutError, LogLayout, continued, layout_of
from drivers.logs.limits import DEFAULT_LIMITS, LogLimits
from drivers.logs.line_grid import FRONT, cells_of, decoded
from drivers.logs.rows import Rows, grid_of, rows_in, rows_of
from lowmaf.samples import Floats

HEAD_ROWS = 2000
_HEAD_LINES = 2 * HEAD_ROWS
"""What precedes the rows is far shorter than these."""
_NAMES_WITHIN = 200
MISFITS_PER_ROW = 4
"""With so many rows that do not fit the names to one that does, the names are not those of the rows."""
_TIMES = tuple(alias.name for alias in ROLES[TIME].aliases)


class RecognisedLog:
    """A log while it is read. ``dialect`` and ``layout`` hold for the rows that :meth:`rows` gave last, of
    which ``first_line`` is the number of the first line in the log, from 1.

    ``body`` is what of the head follows the names of the columns, a block as the text source gives them;
    ``is_utf8`` whether all of the head is UTF-8.
    """

    def __init__(
        self,
        name: str,
        dialect: Dialect,
        layout: LogLayout,
        body: bytes,
        *,
        is_utf8: bool,
        limits: LogLimits,
    ) -> None:
        self.is_utf8 = is_utf8
        self._limits = limits
        self.format = name
        self.dialect = dialect
        self.layout = layout
        self.body = body
        self.first_line = self._next_line = dialect.data_line + 1
        self._converted = dict.fromkeys(layout.converted)
        begin = re.match(r"[^\W\d_][^()\[\]]*", dialect.headers[0].text)
        self._again = _line_of_names([begin.group().strip(), *_TIMES] if begin else _TIMES)

    @property
    def converted(self) -> tuple[str, ...]:
        """Unit conversions so far, in words."""
        return tuple(self._converted)

    def rows(self, block: bytes, columns: Collection[int] = ()) -> Iterator[Rows]:
        """The rows of a block, in parts that share one line of names; those lines are no rows.

        ``columns`` are those that will be read, unless their names change.

        RomRaider writes the names again when a unit or a column changes, and files get stitched.
        """
        grid = grid_of(block, self.dialect, columns)
        self.first_line = begins = self._next_line
        self._next_line += len(grid)
        if not grid.begins_with_letters() or self._again.search(block, len(FRONT)) is None:
            yield rows_in(grid, self.dialect, self._limits.field_bytes)
            return
        for at, part in self._parts(block):
            self.first_line = begins + block.count(b"\n", len(FRONT), at)
            yield rows_of(FRONT + part, self.dialect, self._limits.field_bytes)

    def _parts(self, block: bytes) -> Iterator[tuple[int, bytes]]:
        """The block without what is before it, in parts that share one line of names; where each begins."""
        begin = len(FRONT)
        for found in self._again.finditer(block, len(FRONT)):
            line = found.group().strip()
            if line.count(self.dialect.separator.encode()) >= self._limits.columns:
                continue
            again = recognise([line], self.dialect.decimal_comma)
            if again is None or again.separator != self.dialect.separator or not again.known_names:
                continue
            if found.start() > begin:
                yield begin, block[begin : found.start()]
            self._rename(again)
            begin = found.end()
        if begin < len(block):
            yield begin, block[begin:]

    def _rename(self, again: Dialect) -> None:
        try:
            self.layout = continued(self.layout, again.headers)
        except LayoutError:
            return
        self.dialect = again
        self._converted.update(dict.fromkeys(self.layout.converted))


def _line_of_names(first: Sequence[str]) -> re.Pattern[bytes]:
    """A line that begins with one of these names: that of the first column, or one of a time."""
    names = b"|".join(re.escape(name.encode()) for name in first)
    return re.compile(rb'^[ "]*(?:' + names + rb")[^\n]*\n", re.MULTILINE | re.IGNORECASE)


def long_separator(head: bytes) -> str | None:
    """What separates the fields of a log with one value per row; None for any other log."""
    names = head[:_NAMES_WITHIN].partition(b"\n")[0]
    for separator in SEPARATORS:
        words = [cell.casefold() for cell in cells_of(names, separator)]
        if words[:3] == ["seconds", "pid", "value"]:
            return separator
    return None


def recognise_log(
    head: bytes,
    begin: bytes,
    asked: Mapping[str, str],
    decimal_comma: bool | None,
    *,
    long_name: str = "",
    limits: LogLimits = DEFAULT_LIMITS,
) -> RecognisedLog:
    """Recognises a log from its first lines.

    ``head`` is what is looked at of ``begin``, the block that the log begins with, from its first line on.
    ``long_name`` is the format where the log had one value per row and was turned into columns.

    Raises:
        LayoutError: it is no log, one that cannot give a table, or beyond the limits; says why.
        ColumnError: a column that the user named does not exist.
    """
    if not head or (head.isspace() and begin[len(FRONT) :].isspace()):
        raise LayoutError("the file is empty")
    lines = head.split(b"\n", _HEAD_LINES)[:_HEAD_LINES]
    dialect = recognise(lines, decimal_comma, tuple(asked.values()))
    if dialect is None:
        raise LayoutError(f"no line names columns: the file begins with {decoded(head[:60].strip())!r}")
    refuse_names([header.text for header in dialect.headers], limits)
    at = sum(len(line) + 1 for line in lines[: dialect.data_line])
    first_rows = b"\n".join(lines[dialect.data_line : dialect.data_line + HEAD_ROWS])
    rows = rows_of(FRONT + first_rows + b"\n", dialect, limits.field_bytes)

    @cache
    def values(index: int) -> Floats:
        return rows.column(index).values if len(rows) else np.empty(0)

    preamble = [decoded(line) for line in lines[: dialect.header_line]]
    name = long_name or format_name(preamble, dialect.headers, dialect.separator)
    try:
        layout = layout_of(dialect.headers, asked, values)
    except LayoutError as error:
        usual = REFUSALS.get(name, "") if str(error).startswith("no column for") else ""
        raise LayoutError(f"{usual}; {error}" if usual else str(error)) from error
    if sum(rows.unusable.values()) >= MISFITS_PER_ROW * len(rows):
        _refuse_rows(dialect, lines)
    body = b"".join((FRONT, memoryview(begin)[len(FRONT) + at :]))
    return RecognisedLog(name, dialect, layout, body, is_utf8=_is_utf8(head), limits=limits)


def refuse_names(names: Sequence[str], limits: LogLimits) -> None:
    """Raises :class:`LayoutError` where there are too many names of columns, or one is too long."""
    if len(names) > limits.columns:
        raise LayoutError(
            f"it has {len(names)} columns, and at most {limits.columns} are read ([limits] log_columns)"
        )
    longest = max(map(len, names), default=0)
    if longest > limits.field_bytes:
        raise LayoutError(
            f"the name of a column has {longest} characters, and a field may have {limits.field_bytes} "
            "([limits] log_field_kb)"
        )


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _refuse_rows(dialect: Dialect, lines: list[bytes]) -> None:
    """Most rows do not fit the names, or there is none."""
    counts = Counter(
        len(cells_of(line, dialect.separator))
        for line in lines[dialect.data_line : dialect.data_line + HEAD_ROWS]
        if line.strip()
    )
    if not counts:
        raise LayoutError("there are column names but no row of data")
    fields = max(
        (count for count in counts if count != len(dialect.headers)), key=lambda count: counts[count]
    )
    raise LayoutError(
        f"rows have {fields} fields but there are {len(dialect.headers)} column names: which value belongs "
        "to which name cannot be told"
    )

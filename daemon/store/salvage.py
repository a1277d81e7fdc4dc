"""Reading what can still be read of a database file that is damaged, and only that."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from daemon.analysis.records import ANALYSIS_COLUMNS, UPLOAD_COLUMNS
from daemon.serving.device_records import DEVICE_COLUMNS
from daemon.serving.result_records import RESULT_COLUMNS
from daemon.store.copying import columns, tables
from daemon.store.rows import SEALED_KEYS, SESSION_COLUMNS, checksum, unsealed

MAX_FAILURES = 1000
"""Queries of one table, or of one drive's samples, that may run into damage: a part of a second."""
_NEAR = 256
_DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)

_CHECKED: Mapping[str, tuple[str, ...]] = {
    "maf_tables": ("revision", "maf_v", "flow_gs"),
    "sessions": SESSION_COLUMNS,
    "sample_chunks": ("id", "n", "channels", "data"),
    "cell_blocks": ("session", "block", "state"),
    "verdict_counts": ("session", "counts"),
    "verdict_minutes": ("session", "minute", "counts"),
    "boots": ("boot_id", "wall_minus_monotonic_s", "clock"),
    "uploaded_logs": UPLOAD_COLUMNS,
    "analyses": ANALYSIS_COLUMNS,
    "analysis_tables": ("analysis", "document"),
    "analysis_pushes": ("analysis", "first_sequence", "final", "body"),
    "devices": DEVICE_COLUMNS,
    "published_results": RESULT_COLUMNS,
}
"""What the checksum of a row covers, for the tables that have one."""

Row = Mapping[str, Any]


class DamagedFile:
    """A database file that is read and not changed, its log included. Used in a ``with`` block.

    ``incomplete`` holds the tables of which something could not be read so far, or was left out because
    the checksum of its row did not fit.
    """

    def __init__(self, path: Path) -> None:
        self.incomplete: set[str] = set()
        self._failures = 0
        self._connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._connection.text_factory = lambda stored: stored.decode("utf-8", "replace")
        try:
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._connection.execute("PRAGMA cell_size_check = ON")
            self._tables = set(tables(self._connection))
        except _DAMAGE:
            self._tables = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def rows(
        self, table: str, wanted: Sequence[str], keys: Sequence[str], *, low: int | None = None, high: int = 0
    ) -> Iterator[Row]:
        """Rows whose checksum fits, of one of our tables, in no certain order and some perhaps twice.

        ``wanted`` are the columns and ``keys`` those of the primary key; with ``low`` and ``high`` only
        rows whose first key column, a number, is in that range.
        """
        names = self._names(table, wanted)
        if not set(keys) <= set(names):
            self.incomplete.add(table)
            return
        found = (
            self._from_both_ends(table, names, keys)
            if low is None
            else self._piecewise(table, names, keys, low, high)
        )
        for values in found:
            row = dict(zip(names, values, strict=True))
            if _is_whole(table, row):
                yield row
            else:
                self.incomplete.add(table)

    def _names(self, table: str, wanted: Sequence[str]) -> list[str]:
        if table not in self._tables:
            return []
        try:
            there = set(columns(self._connection, table))
        except _DAMAGE:
            return []
        return [name for name in wanted if name in there]

    def _piecewise(
        self, table: str, names: Sequence[str], keys: Sequence[str], low: int, high: int
    ) -> Iterator[Sequence[Any]]:
        """Rows with the first key column from low to high: from both ends up to the damage, and then what
        is between two damaged places, in ever smaller pieces. Numbers are dense, so near ones come first."""
        ranges = deque([(low, high)])
        last_try = self._failures + MAX_FAILURES
        first = names.index(keys[0])
        while ranges and self._failures < last_try:
            low, high = ranges.popleft()
            below, above = low - 1, high + 1
            try:
                for values in self._query(table, names, keys, low, high):
                    below = values[first]
                    yield values
                continue
            except _DAMAGE:
                self._failed(table)
            try:
                for values in self._query(table, names, keys, low, high, order="DESC"):
                    above = values[first]
                    yield values
            except _DAMAGE:
                self._failed(table)
            for edge in {below, above}:
                if len(keys) > 1 and low <= edge <= high:  # of whose rows only some were read
                    yield from self._from_both_ends(table, names, keys, edge, edge)
            if low < high:
                low, high = below + 1, above - 1
                middle = min((low + high) // 2, low + _NEAR - 1)
                ranges.extend(piece for piece in ((low, middle), (middle + 1, high)) if piece[0] <= piece[1])

    def _from_both_ends(
        self, table: str, names: Sequence[str], keys: Sequence[str], *bounds: int
    ) -> Iterator[Sequence[Any]]:
        """Rows before the first damaged page, and those after the last one."""
        for order in ("ASC", "DESC"):
            try:
                yield from self._query(table, names, keys, *bounds, order=order)
            except _DAMAGE:
                self._failed(table)
            else:
                return

    def _query(
        self, table: str, names: Sequence[str], keys: Sequence[str], *bounds: int, order: str = "ASC"
    ) -> sqlite3.Cursor:
        where = f"WHERE {keys[0]} BETWEEN ? AND ?" if bounds else ""
        ordered = ", ".join(f"{key} {order}" for key in keys)
        sql = f"SELECT {', '.join(names)} FROM {table} {where} ORDER BY {ordered}"  # noqa: S608 - our own names
        return self._connection.execute(sql, bounds)

    def _failed(self, table: str) -> None:
        self._failures += 1
        self.incomplete.add(table)


def _is_whole(table: str, row: Row) -> bool:
    """Whether a row is as it was written, as far as that can be told."""
    if table == "meta":
        return row["key"] not in SEALED_KEYS or unsealed(row["value"]) is not None
    covered = _CHECKED.get(table)
    return covered is None or checksum(*(row.get(name) for name in covered)) == row.get("crc32")

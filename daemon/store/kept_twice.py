"""What the table depends on most is in the database twice: in its row, and under a seal in ``meta``.

The seals say which MAF table is in the ECU and which of its cells are locked. A row that the disk has lost or
altered is made anew from them, so that no earlier table and no other cells take its place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from daemon.store.rows import SEALED_KEYS, checksum, unsealed


def altered_facts(connection: sqlite3.Connection) -> Iterator[str]:
    """Sealed facts of ``meta`` whose seal does not fit."""
    for key in SEALED_KEYS:
        kept = _value(connection, key)
        if kept is not None and unsealed(kept) is None:
            yield key


def read_sealed(connection: sqlite3.Connection, key: str) -> dict[str, Any] | None:
    """A sealed fact of ``meta``; None where there is none, or it was altered."""
    kept = _value(connection, key)
    return None if kept is None else unsealed(kept)


def restore(connection: sqlite3.Connection) -> None:
    """Makes the rows of the current MAF table and of its locks say what the seals say."""
    table = read_sealed(connection, "maf_table")
    if table is not None:
        revision, maf_v, flow_gs = table["revision"], table["maf_v"], table["flow_gs"]
        row = (
            revision,
            table["name"],
            maf_v,
            flow_gs,
            checksum(revision, maf_v, flow_gs),
            table["created_wall_s"],
        )
        kept = connection.execute("SELECT * FROM maf_tables WHERE revision = ?", (revision,)).fetchone()
        if kept != row:
            connection.execute("INSERT OR REPLACE INTO maf_tables VALUES (?, ?, ?, ?, ?, ?)", row)
    locks = read_sealed(connection, "locks")
    if locks is not None:
        revision, cells = locks["revision"], locks["cells"]
        there = connection.execute(
            "SELECT cell FROM cell_locks WHERE maf_table_revision = ? ORDER BY cell", (revision,)
        )
        if [cell for (cell,) in there] != cells:
            connection.execute("DELETE FROM cell_locks WHERE maf_table_revision = ?", (revision,))
            connection.executemany("INSERT INTO cell_locks VALUES (?, ?)", [(revision, c) for c in cells])


def _value(connection: sqlite3.Connection, key: str) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])

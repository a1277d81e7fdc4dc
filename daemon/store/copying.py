"""New database files that copies are made into, and how they come into their place whole."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from daemon.store.schema import upgrade

PAGE_BYTES = 1024
"""Small pages: a commit every 2 s writes a few of them, whole, first to the log and then to the file.
Measured on ext4 at 50 samples per second, 4096 bytes cost twice as much (43 MB/h for 21)."""


def new_copy(path: Path) -> sqlite3.Connection:
    """A new database with our tables, which is to be filled, closed and then given to :func:`put_in_place`.

    Nothing is undone or synced while it is filled: half a copy is thrown away.
    """
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path.as_uri(), uri=True, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA trusted_schema = OFF")
        upgrade(connection, 0)
    except BaseException:
        connection.close()
        raise
    return connection


def tables(connection: sqlite3.Connection) -> list[str]:
    """All tables, in the order in which they were made: those that others refer to come first."""
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid")
    return [name for (name,) in rows]


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """Columns of a table that can be written: generated ones are left out."""
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def key_columns(connection: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    """Name and type of the columns of a table's primary key, in the key's order."""
    keyed = [row for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
    return [(row[1], row[2]) for row in sorted(keyed, key=lambda row: int(row[5]))]


def put_in_place(copy: Path, place: Path) -> None:
    """Gives a finished copy its name: after a power cut it has it with all its content, or not at all."""
    _sync(copy, os.O_RDONLY)
    copy.replace(place)
    sync_folder(place.parent)


def sync_folder(folder: Path) -> None:
    """Returns once the names in a folder survive a power cut."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Connections to a database: one that writes and one that reads; only the latter where no writes are taken.

After a power cut Linux may leave the card read-only until it was checked. What was learned before can be read
all the same, and the daemon drives on with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiosqlite

from daemon.store.opening import error_words, prepare, stored_text, verify
from daemon.store.records import StoreError, StoreNotice
from daemon.store.reserve import keep_reserve
from daemon.store.schema import VERSION, upgrade

_BUSY_S = 5.0
_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 256",
    "PRAGMA cache_size = -512",  # KiB; the page cache of the system is as good
    "PRAGMA trusted_schema = OFF",
    "PRAGMA foreign_keys = ON",
)


@dataclass(frozen=True, slots=True)
class Database:
    """A database that is open and locked. ``path`` is whole, ``notices`` say what became of a damaged one."""

    path: Path
    reading: aiosqlite.Connection
    writing: aiosqlite.Connection
    notices: tuple[StoreNotice, ...]
    announce: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ReadDatabase:
    """A database on a disk that takes no writes. Where ``unread`` says why it cannot be read, ``reading``
    finds nothing in it."""

    path: Path
    reading: aiosqlite.Connection
    unread: str | None


async def open_to_write(path: Path, *, min_free_bytes: float, until: AsyncExitStack) -> Database:
    """Opens the database, or makes it; it is closed with ``until``.

    Raises:
        ReadOnlyError: the disk takes no writes.
        StoreError: as :func:`daemon.store.opening.prepare`.
    """
    lock, notices = await asyncio.to_thread(prepare, path)
    async with AsyncExitStack() as opened:
        opened.callback(lock.release)
        if min_free_bytes > 0.0:
            await asyncio.to_thread(keep_reserve, lock.database)
        try:
            reading, writing = [await _connect(str(lock.database), opened) for _ in range(2)]
            for pragma in _PRAGMAS:
                await reading.execute(pragma)
                await writing.execute(pragma)
            await reading.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise StoreError(f"{lock.database}: {error_words(error)}") from None
        until.push_async_exit(opened.pop_all())
    return Database(lock.database, reading, writing, notices, lock.announce)


async def open_to_read(path: Path, *, until: AsyncExitStack) -> ReadDatabase:
    """Opens what can be read of a database on a disk that takes no writes; it is closed with ``until``."""
    path = await asyncio.to_thread(path.resolve)
    unread = None
    if await asyncio.to_thread(path.exists):
        try:
            address = await asyncio.to_thread(_readable_address, path)
            return ReadDatabase(path, await _connect(address, until), None)
        except (StoreError, OSError) as error:
            unread = str(error)
        except sqlite3.Error as error:
            unread = f"{path}: cannot be read: {error_words(error)}"
    nothing = await _connect(":memory:", until)
    for statement in _whole_schema():
        await nothing.execute(statement)
    return ReadDatabase(path, nothing, unread)


def _readable_address(path: Path) -> str:
    """How SQLite opens a whole database of this version to be read where it can make no log beside it.

    Where a log is there, left by a power cut, it holds the newest commits and is read as well.

    Raises:
        StoreError: damaged, another program's, or of another version.
        OSError, sqlite3.Error: it cannot be read.
    """
    log = path.with_name(f"{path.name}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    address = f"{path.as_uri()}?{'mode=ro' if has_log else 'immutable=1'}"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=_BUSY_S)) as connection:
        connection.text_factory = stored_text
        version = verify(path, connection)
    if version < VERSION:
        raise StoreError(f"{path}: an older lowmaf made it (schema {version}, this one has {VERSION})")
    return address


def _whole_schema() -> list[str]:
    """What makes an empty database of this version."""
    with contextlib.closing(sqlite3.connect(":memory:")) as made:
        upgrade(made, 0)
        return [line for line in made.iterdump() if not line.startswith(("BEGIN", "COMMIT"))]


async def _connect(address: str, until: AsyncExitStack) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(
        address, timeout=_BUSY_S, isolation_level=None, uri=address.startswith("file:")
    )
    until.push_async_callback(connection.close)
    connection.row_factory = sqlite3.Row
    connection.text_factory = stored_text
    return connection

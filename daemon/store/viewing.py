"""Looking into a database that another program may be writing: a connection that cannot write."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite

from daemon.installed import is_there
from daemon.store.opening import error_words, lock_path, stored_text
from daemon.store.reader import StoreReader
from daemon.store.records import StoreError
from daemon.store.schema import APPLICATION_ID, VERSION

_BUSY_S = 5.0


def existing(path: Path) -> Path:
    """The whole path of a database.

    Raises:
        StoreError: there is no such file.
        UsageError: its folder is closed to this user.
    """
    if not (is_there(path) and path.is_file()):
        raise StoreError(f"{path}: there is no database")
    return path.resolve()


def in_use(path: Path) -> bool:
    """Whether a program has the database now."""
    try:
        with lock_path(path).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@asynccontextmanager
async def viewing(path: Path) -> AsyncIterator[StoreReader]:
    """What is committed in the database at a whole ``path``, whether or not a daemon has it.

    Raises:
        StoreError: not a database of lowmaf, of another version, or not readable.
    """
    try:
        async with aiosqlite.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_S) as connection:
            connection.row_factory = sqlite3.Row
            connection.text_factory = stored_text
            await _refuse_foreign(path, connection)
            yield StoreReader(path, connection)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be read: {error_words(error)}") from None


async def _refuse_foreign(path: Path, connection: aiosqlite.Connection) -> None:
    ((application,),) = await connection.execute_fetchall("PRAGMA application_id")
    ((version,),) = await connection.execute_fetchall("PRAGMA user_version")
    if application != APPLICATION_ID:
        raise StoreError(f"{path}: not a database of lowmaf")
    if version > VERSION:
        raise StoreError(f"{path}: made by a newer lowmaf (schema {version}, this one knows {VERSION})")
    if version < VERSION:
        raise StoreError(
            f"{path}: made by an older lowmaf (schema {version}, this one is {VERSION}); start lowmaf with "
            "it once: that brings it forward"
        )

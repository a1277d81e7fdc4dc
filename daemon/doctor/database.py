"""The database as ``lowmaf doctor`` sees it: readable, whole, with room, nothing set aside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from daemon.config.sections import StorageSettings
from daemon.doctor.findings import Finding, good, note, wrong
from daemon.store.records import StoreError
from daemon.store.viewing import in_use, viewing

_FEW_BYTES = 2e9
"""An analysis, an upload and an upgrade need room too."""


def database_findings(storage: StorageSettings) -> Iterator[Finding]:
    """Disk, database and what lies beside it."""
    database = storage.database.resolve()
    if not database.parent.is_dir():
        yield wrong("disk", f"there is no folder {database.parent}", "make it, or name another database")
        return
    yield from _disk(database.parent, storage.min_free_mb * 1e6)
    if not os.access(database.parent, os.X_OK):
        yield note("database", f"{database.parent} is closed to you", "sudo lowmaf doctor looks into it")
        return
    if not database.exists():
        yield good("database", f"{database} will be made at the first start")
        return
    yield from _content(database)
    size_mb, limit_mb = database.stat().st_size / 1e6, storage.max_database_mb
    if size_mb > 1.2 * limit_mb:
        yield note(
            "database", f"{size_mb:.0f} MB", f"above the {limit_mb:g} MB of max_database_mb: it will shrink"
        )
    else:
        yield good("database", f"{size_mb:.1f} MB")
    for aside in sorted(database.parent.glob(f"{database.name}.damaged-*")):
        yield note(
            "database",
            f"{aside} was damaged and set aside",
            "the page says what was recovered; a card that does this again is worn out. Yours to delete",
        )


def _disk(folder: Path, min_free_bytes: float) -> Iterator[Finding]:
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        yield wrong(
            "disk",
            f"{folder} is on a read-only file system",
            "nothing can be kept: name a database on another one, or look for errors of the card with dmesg",
        )
    free_bytes = shutil.disk_usage(folder).free
    words = f"{free_bytes / 1e9:.1f} GB free in {folder}"
    if free_bytes < min_free_bytes:
        yield wrong("disk", words, "samples are no longer kept: delete something, or name another disk")
    elif free_bytes < _FEW_BYTES:
        yield note("disk", words, "that will not last: an hour of driving takes 4 MB, an upload up to 500 MB")
    else:
        yield good("disk", words)


def _content(database: Path) -> Iterator[Finding]:
    used = ", in use by a running lowmaf" if in_use(database) else ""
    if not os.access(database, os.R_OK):
        yield note(
            "database", f"{database} is not readable for you{used}", "sudo lowmaf doctor looks into it"
        )
        return
    try:
        complaint = _complaint(database)
    except StoreError as error:
        yield wrong("database", str(error), "name another file, or the lowmaf that made it")
        return
    except sqlite3.Error as error:
        complaint = str(error)
    if complaint is None:
        yield good("database", f"{database} is whole{used}")
    else:
        yield wrong(
            "database",
            f"{database} is damaged: {complaint}",
            "restart lowmaf: it sets the file aside and recovers what can be read; then replace the card",
        )


def _complaint(database: Path) -> str | None:
    """What SQLite's check says against the file, None where nothing."""

    async def look() -> None:
        async with viewing(database):
            pass

    asyncio.run(look())
    with contextlib.closing(
        sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=5.0)
    ) as connection:
        (complaint,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return None if complaint == "ok" else " ".join(str(complaint).split())

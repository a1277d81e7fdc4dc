"""Snapshots: copies of what was learned beside the database, for the day its file is damaged.

A snapshot holds every table but the raw samples. Those are by far the most of the file: to copy them at the
end of each drive would wear the card more than the drive itself did (a full database is hundreds of MB, a
drive writes a few), and take longer than the power stays on after the ignition is off. What samples are for,
judging a drive anew, is lost with them; the table and its error bars are not.

It is what ``VACUUM INTO`` would make of those tables: each is read in the one transaction, so all are of one
moment while the database is written on, and goes row after row into a new file without a free page, which
is synced before it gets its name. A snapshot is a database itself: under the database's name lowmaf
starts with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from daemon.store.copying import columns, new_copy, put_in_place, tables
from daemon.store.records import StoreError, StoreNotice

KEPT_SNAPSHOTS = 3
SNAPSHOT_S = 20.0
"""A copy that takes longer is given up: the card is better left to the drive."""
CLOSING_S = 1.0
"""So long the end of the daemon waits for a snapshot."""
SMALL_BYTES = 10_000_000
DRIVES_BETWEEN_LARGE = 8
"""Snapshots above :data:`SMALL_BYTES`, some hundred hours of driving, are taken after so many drives."""
LEFT_OUT = "sample_chunks"
_MADE_AGAIN = frozenset({"analysis_tables", "analysis_pushes"})
"""What analyses gave: it may be large, nothing was learned from it, and it can be asked for again."""
_LEAST_ROOM_BYTES = 1_000_000
_STEPS_BETWEEN_LOOKS = 1000


class SnapshotTaker:
    """Takes a snapshot when a drive has ended, in the background. ``notice`` says why one was not made."""

    def __init__(
        self, database: Path, *, min_free_bytes: float, committed: Callable[[], Awaitable[None]]
    ) -> None:
        """``committed`` returns once what was written before is in the file."""
        self.notice: StoreNotice | None = None
        self._database = database
        self._min_free_bytes = min_free_bytes
        self._committed = committed
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._cancelled = threading.Event()
        self._task = asyncio.create_task(self._run(), name="snapshots")

    def want(self) -> None:
        """A drive has ended."""
        self._idle.clear()
        self._wanted.set()

    async def idle(self) -> None:
        """Returns once no snapshot is being made or waits to be."""
        await self._idle.wait()

    async def close(self) -> None:
        """Finishes a snapshot that can be finished soon, and takes no more."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.idle(), CLOSING_S)
        self._cancelled.set()
        self._wanted.set()
        await self._task

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._cancelled.is_set():
                return
            await self._take()
            if not self._wanted.is_set():
                self._idle.set()

    async def _take(self) -> None:
        try:
            await self._committed()
            await asyncio.to_thread(
                take_snapshot,
                self._database,
                min_free_bytes=self._min_free_bytes,
                cancelled=self._cancelled.is_set,
            )
        except StoreError as error:
            self.notice = StoreNotice("no_snapshot", str(error))
        else:
            self.notice = None


def snapshots(database: Path) -> list[Path]:
    """The snapshots beside the database, newest first. They are numbered: a Pi may not know the date."""
    name = re.compile(re.escape(database.name) + r"\.snapshot-([0-9]+)")
    numbered = {
        int(found[1]): path for path in database.parent.iterdir() if (found := name.fullmatch(path.name))
    }
    return [numbered[number] for number in sorted(numbered, reverse=True)]


def take_snapshot(database: Path, *, min_free_bytes: float, cancelled: Callable[[], bool]) -> None:
    """Writes a snapshot beside the database, whole or not at all, and removes those beyond the last three.

    Blocks; the database may be written meanwhile: the snapshot is of one moment. Does nothing where the
    newest one is large and holds all but the last drives.

    Raises:
        StoreError: no room, no right to write, took longer than :data:`SNAPSHOT_S`, or ``cancelled``.
            Earlier snapshots stay then.
    """
    try:
        before = snapshots(database)
        if before and _is_enough(before[0], database):
            return
        _refuse_without_room(database, before, min_free_bytes)
        number = 1 + (int(before[0].name.rpartition("-")[2]) if before else 0)
        place = database.with_name(f"{database.name}.snapshot-{number}")
        part = database.with_name(f"{database.name}.snapshot-part")
        try:
            _copy(database, part, cancelled)
            put_in_place(part, place)
        finally:
            part.unlink(missing_ok=True)
        for outdated in before[KEPT_SNAPSHOTS - 1 :]:
            outdated.unlink()
    except (OSError, sqlite3.Error) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreError(f"No snapshot of the database was made: {words}.") from None


def _is_enough(newest: Path, database: Path) -> bool:
    if newest.stat().st_size < SMALL_BYTES:
        return False
    return 0 <= _last_session(database) - _last_session(newest) < DRIVES_BETWEEN_LARGE


def _last_session(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'sessions'").fetchone()
    return int(row[0]) if row else 0


def _refuse_without_room(database: Path, before: list[Path], min_free_bytes: float) -> None:
    expected_bytes = max([_LEAST_ROOM_BYTES, *(2 * path.stat().st_size for path in before[:1])])
    free_bytes = shutil.disk_usage(database.parent).free
    if free_bytes < min_free_bytes + expected_bytes:
        needed_mb = (min_free_bytes + expected_bytes) / 1e6
        raise StoreError(
            f"No snapshot of the database was made: {free_bytes / 1e6:.0f} MB are free on the disk, "
            f"{needed_mb:.0f} MB are needed."
        )


def _copy(database: Path, part: Path, cancelled: Callable[[], bool]) -> None:
    until_s = time.monotonic() + SNAPSHOT_S
    with contextlib.closing(new_copy(part)) as copy:
        copy.set_progress_handler(lambda: cancelled() or time.monotonic() > until_s, _STEPS_BETWEEN_LOOKS)
        copy.execute("ATTACH ? AS kept", (f"{database.as_uri()}?mode=ro",))
        copy.execute("BEGIN")
        for table in tables(copy):
            if table != LEFT_OUT and table not in _MADE_AGAIN:
                names = ", ".join(columns(copy, table))
                copy.execute(f"DELETE FROM main.{table}")  # noqa: S608 - a name of our own schema
                copy.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM kept.{table}")  # noqa: S608
        copy.execute("COMMIT")

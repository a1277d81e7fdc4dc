"""The one writer of the database: commits what waits every two seconds, and keeps it when that fails."""

from __future__ import annotations

import asyncio
import math
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import aiosqlite

from daemon.store.buffer import PendingWrites
from daemon.store.opening import error_words, is_disk_full
from daemon.store.records import StoreError, StoreNotice
from daemon.store.retention import Retention, SampleDropper
from daemon.store.rows import Rows, rows_of

STUCK_S = 10.0
"""A commit that takes longer hangs: a card's worst pauses are shorter."""
SAMPLES_RETRY_S = 30.0
"""After a full disk refused samples, cells alone are written for this long before samples are tried again."""

OPEN_RETRY_S = 5.0
"""A disk that takes no writes is asked again this often."""

_IO_ACCOUNT = Path("/proc/self/io")

_INSERT_CHUNK = (
    "INSERT INTO sample_chunks (id, n, first_t_s, last_t_s, channels, data, crc32) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_PUT_BLOCK = (
    "INSERT INTO cell_blocks VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET state = excluded.state, crc32 = excluded.crc32"
)
_PUT_COUNTS = (
    "INSERT INTO verdict_counts VALUES (?, ?, ?) "
    "ON CONFLICT DO UPDATE SET counts = excluded.counts, crc32 = excluded.crc32 "
    "WHERE counts <> excluded.counts"
)


class StoreWriter:
    """Owns the writing connection. ``pending`` may be added to at any time, on the event loop.

    Only the writer's own task touches the connection, so that whoever waits for a commit can be
    cancelled without leaving half a transaction.
    """

    def __init__(
        self,
        connection: aiosqlite.Connection | None,
        path: Path,
        *,
        open_anew: Callable[[], Awaitable[aiosqlite.Connection]],
        commit_interval_s: float,
        min_free_bytes: float,
        retention: Retention,
    ) -> None:
        """Where the disk takes no writes yet there is no connection: ``open_anew`` is asked for one now and
        then, and raises StoreError until there is. What is written waits meanwhile."""
        self.pending = PendingWrites()
        self.before_commit: Callable[[], None] = _nothing
        self.commits = 0
        self.last_commit_s: float | None = None
        self.old_samples = SampleDropper(retention)
        self._notices: dict[str, StoreNotice] = {}
        self._connection = connection
        self._open_anew = open_anew
        self._opened_s = -math.inf
        self._path = path
        self._commit_interval_s = commit_interval_s
        self._min_free_bytes = min_free_bytes
        self.next_chunk: dict[int, int] = {}
        self._samples_retry_s = 0.0
        self._turn_began_s: float | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._drive_wanted = False
        self._drive_written_s = time.monotonic()
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._write_until_closed(), name="store writer")

    async def flush(self, *, with_drive: bool = True) -> None:
        """Returns once everything that was pending is on the disk; without ``with_drive`` the samples and
        cells of a drive wait for their own time, so that who asks often does not have them written in crumbs.

        Raises:
            StoreError: something is not; it stays pending and is tried again.
        """
        if self._task.done():
            self._task.result()
        if self._closing:
            raise StoreError(f"{self._path}: the store is closed")
        durable = asyncio.get_running_loop().create_future()
        self._waiting.append(durable)
        self._drive_wanted = self._drive_wanted or with_drive
        self._wake.set()
        await durable

    async def watch(self) -> None:
        """Returns when the writer was closed; raises what stopped it otherwise."""
        await asyncio.shield(self._task)

    async def close(self) -> None:
        """Writes what waits and ends the task.

        Raises:
            StoreError: cells or sessions could not be written. Samples that could not are only noted.
        """
        self._closing = True
        self._wake.set()
        await self._task
        if self.pending.statements or self.pending.blocks or self.pending.counts:
            why = "; ".join(notice.message for notice in self.notices)
            raise StoreError(f"{self._path}: closed without writing everything: {why}")

    @property
    def stuck_because(self) -> str | None:
        """Why nothing is written any more although nothing failed; None while the writer turns.

        A full or failing disk is no reason: the writer turns, says so, and tries again.
        """
        if self._task.done():
            return "the writer of the database has ended"
        if self._turn_began_s is None:
            return None
        since_s = time.monotonic() - self._turn_began_s
        return f"the disk has not answered for {since_s:.0f} s" if since_s > STUCK_S else None

    @property
    def written_bytes(self) -> int | None:
        """What this program had the disk write since its start, without the file system's journal; None
        where the kernel keeps no such account."""
        try:
            lines = _IO_ACCOUNT.read_text(encoding="ascii").splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), None)

    @property
    def notices(self) -> tuple[StoreNotice, ...]:
        """What keeps the store from writing now; empty while all is well."""
        return tuple(self._notices.values())

    async def _write_until_closed(self) -> None:
        while not self._closing:
            with suppress(TimeoutError):
                due_s = self._drive_written_s + self._commit_interval_s
                await asyncio.wait_for(self._wake.wait(), max(0.0, due_s - time.monotonic()))
            self._wake.clear()
            if not self._closing:
                await self._serve()
        await self._serve()

    async def _serve(self) -> None:
        """Writes, and tells whoever waits for it how that went."""
        waiting, self._waiting = self._waiting, []
        self._turn_began_s = now_s = time.monotonic()
        wanted, self._drive_wanted = self._drive_wanted or self._closing, False
        try:
            if wanted or not waiting or now_s - self._drive_written_s >= self._commit_interval_s:
                self._drive_written_s = now_s
                error = await self._write(everything=wanted)
            else:
                error = await self._write_statements()
        except BaseException as bug:
            _settle([*waiting, *self._waiting], bug)
            raise
        finally:
            self._turn_began_s = None
        _settle(waiting, None if error is None else StoreError(f"{self._path}: {error}"))

    async def _write(self, *, everything: bool) -> str | None:
        """Commits what waits; returns in words why something still waits, None if nothing does."""
        self.before_commit()
        now_s = time.monotonic()
        if self._connection is None and (words := await self._try_to_open(now_s)) is not None:
            return words
        with_samples = self._has_room() and (everything or now_s >= self._samples_retry_s)
        held_back = bool(self.pending.samples) and not with_samples
        error = await self._try_commit(with_samples=with_samples)
        if error is not None and with_samples and is_disk_full(error):
            self._samples_retry_s = now_s + SAMPLES_RETRY_S
            await self._try_commit(with_samples=False)  # cells can often be written over their earlier state
        if error is not None:
            return error_words(error)
        return "; ".join(notice.message for notice in self.notices) if held_back else None

    async def _write_statements(self) -> str | None:
        """The same for statements alone."""
        if self._connection is None and (words := await self._try_to_open(time.monotonic())) is not None:
            return words
        error = await self._try_commit(with_samples=False, with_cells=False)
        return None if error is None else error_words(error)

    async def _try_to_open(self, now_s: float) -> str | None:
        """Asks for a connection where it is time to; returns in words why there is none."""
        if now_s - self._opened_s >= OPEN_RETRY_S:
            self._opened_s = now_s
            try:
                self._connection = await self._open_anew()
            except StoreError as error:
                self._note(
                    "read_only",
                    f"Nothing is kept: {error}. The table goes on from what was learned before; it is tried "
                    "again, and what waits is kept then.",
                )
            else:
                self._notices.pop("read_only", None)
                return None
        return self._notices["read_only"].message

    async def _try_commit(
        self, *, with_samples: bool, with_cells: bool = True
    ) -> sqlite3.DatabaseError | None:
        """Commits, and keeps the notices true. Returns a failure of the disk; one of ours is raised."""
        try:
            await self._commit(with_samples=with_samples, with_cells=with_cells)
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError) and type(error) is not sqlite3.DatabaseError:
                raise
            words = error_words(error)
            if with_samples and is_disk_full(error):
                self._note("disk_full", f"Samples are not kept: {words}. The table goes on.")
            else:
                self._note(
                    "writing_failed",
                    f"Nothing can be written to {self._path}: {words}. The table goes on; it is tried again.",
                )
            return error
        self._notices.pop("writing_failed", None)
        if with_samples:
            self._notices.pop("disk_full", None)
        return None

    async def _commit(self, *, with_samples: bool, with_cells: bool) -> None:
        taken = self.pending.take(with_samples=with_samples, with_cells=with_cells)
        if not taken:
            return
        started_s = time.monotonic()
        next_chunk = dict(self.next_chunk)
        connection = self._connection
        assert connection is not None
        try:
            rows = await asyncio.to_thread(rows_of, taken, next_chunk)
            await self._transaction(connection, taken, rows)
        except BaseException:
            self.pending.put_back(taken)
            if connection.in_transaction:
                with suppress(sqlite3.DatabaseError):
                    await connection.execute("ROLLBACK")
            raise
        self.next_chunk = next_chunk
        self.commits += 1
        self.last_commit_s = time.monotonic() - started_s

    async def _transaction(self, connection: aiosqlite.Connection, taken: PendingWrites, rows: Rows) -> None:
        execute, executemany = connection.execute, connection.executemany
        await execute("BEGIN IMMEDIATE")
        for sql, statements in groupby(taken.statements, key=itemgetter(0)):
            several = [parameters for _, parameters in statements]
            await (executemany(sql, several) if len(several) > 1 else execute(sql, several[0]))
        for sql, several in (
            (_INSERT_CHUNK, rows.chunks),
            (_PUT_BLOCK, rows.blocks),
            (_PUT_COUNTS, rows.counts),
        ):
            if several:  # each way to the connection's thread and back costs as much as a row
                await executemany(sql, several)
        await self.old_samples.drop(connection)
        await execute("COMMIT")

    def _has_room(self) -> bool:
        """Whether samples may be kept, by the room on the disk; notes it where not."""
        try:
            free_bytes = shutil.disk_usage(self._path.parent).free
        except OSError:
            return True  # what is wrong with the folder is said by the commit that fails
        if free_bytes >= self._min_free_bytes:
            self._notices.pop("disk_low", None)
            return True
        free_mb, needed_mb = free_bytes / 1e6, self._min_free_bytes / 1e6
        self._note(
            "disk_low",
            f"Samples are not kept: {free_mb:.0f} MB are free on the disk, {needed_mb:.0f} MB are needed. "
            "The table goes on.",
        )
        return False

    def _note(self, code: str, message: str) -> None:
        self._notices[code] = StoreNotice(code, message)


def _settle(waiting: Iterable[asyncio.Future[None]], error: BaseException | None) -> None:
    for durable in waiting:
        if durable.done():  # whoever waited was cancelled
            continue
        if error is None:
            durable.set_result(None)
        else:
            durable.set_exception(error)


def _nothing() -> None:
    """Before a commit there is nothing to do unless somebody says so."""

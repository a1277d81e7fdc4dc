"""The store: drives, samples, learned cells and MAF tables in one SQLite file that survives power cuts.

Writes return at once and wait in a bounded buffer; one writer commits them every two seconds, so that a
power cut loses no more than that. Write-ahead log with ``synchronous=FULL``: measured, ``NORMAL``
loses up to 498 commits and ``OFF`` corrupts. Reads have a connection of their own and see what
was committed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import aiosqlite

from daemon.store.connections import Database, ReadDatabase, open_to_read, open_to_write
from daemon.store.opening import ReadOnlyError, check_writable
from daemon.store.records import RestartNeededError, SessionStart, StoreError, StoreNotice
from daemon.store.retention import KEEP_ALL, Retention
from daemon.store.rows import (
    CHUNKS_PER_SESSION,
    sealed_table,
    table_row,
    table_text,
    unsealed,
)
from daemon.store.snapshots import SnapshotTaker
from daemon.store.store_queue import PUT_FACT, StoreQueue
from daemon.store.writer import StoreWriter
from daemon.wall_clock import ClockReading, read_clock
from lowmaf.maf_table import MafTable

_TABLE_LOST = StoreNotice(
    "maf_table_lost",
    "Which MAF table is in the ECU was lost with what the disk has damaged: the one that the configuration "
    "names is taken for it. If another was flashed since, say so under Flash before you use a proposal.",
)


class Store(StoreQueue):
    """One database file. Made by :meth:`open`; all methods are called on the event loop."""

    def __init__(self, path: Path, reading: aiosqlite.Connection) -> None:
        """Use :meth:`open`."""
        super().__init__(path, reading)
        self._opening_notices: tuple[StoreNotice, ...] = ()
        self._announce: Callable[[str], None] = _nobody_asks
        self._address = ""
        self._reads = asyncio.Lock()
        self._closing = AsyncExitStack()
        self._last_table_revision = 0

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        commit_interval_s: float = 2.0,
        min_free_bytes: float = 0.0,
        retention: Retention = KEEP_ALL,
        reading_will_do: bool = False,
    ) -> Self:
        """Opens the database, or makes it.

        A damaged file is set aside, and a new one made of what can be recovered (see :attr:`notices`).
        Samples are kept only while ``min_free_bytes`` are free on the disk, and as long as ``retention``
        says. Where ``reading_will_do``, a disk that takes no writes is read, what is written waits until it
        takes them, and a notice says so.

        Raises:
            ReadOnlyError: the disk takes no writes.
            StoreError: not writable, no such folder, not ours, made by a newer lowmaf, or in use.
        """
        async with AsyncExitStack() as opened:
            kept = await opened.enter_async_context(AsyncExitStack())  # closed last, whenever it is opened
            read_only = await opened.enter_async_context(AsyncExitStack())
            open_to_write_now = partial(open_to_write, path, min_free_bytes=min_free_bytes, until=kept)
            database: Database | ReadDatabase
            try:
                database = await open_to_write_now()
            except ReadOnlyError:
                if not reading_will_do:
                    raise
                database = await open_to_read(path, until=read_only)
            store = cls(database.path, database.reading)
            writer = StoreWriter(
                database.writing if isinstance(database, Database) else None,
                database.path,
                open_anew=partial(store._write_at_last, database, read_only, open_to_write_now),
                commit_interval_s=commit_interval_s,
                min_free_bytes=min_free_bytes,
                retention=retention,
            )
            opened.push_async_callback(writer.close)
            snapshots = SnapshotTaker(database.path, min_free_bytes=min_free_bytes, committed=writer.flush)
            opened.push_async_callback(snapshots.close)
            store._writer, store.snapshots = writer, snapshots
            if isinstance(database, Database):
                store._opening_notices, store._announce = database.notices, database.announce
            else:
                await store._try_flush()  # so that it is said from the start why nothing is kept
                if database.unread is not None:
                    store._opening_notices = (_not_read(database.unread),)
            store._table = await store.newest_table()
            store._last_table_revision = await store.last_table_revision()
            store._last_session = await store.last_session()
            store._closing = opened.pop_all()
        return store

    async def close(self) -> None:
        """Writes what waits, and lets others have the database.

        Raises:
            StoreError: cells or sessions could not be written.
        """
        await self._closing.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- writing at once: where that fails a notice says so and it is tried again

    async def begin_session(self, start: SessionStart, clock: ClockReading | None = None) -> int:
        """Like :meth:`write_session_start`."""
        session = self.write_session_start(start, clock)
        await self._try_flush()
        return session

    async def continue_session(self, session: int) -> None:
        """Opens a session again: samples that follow belong to it."""
        if await self.session(session) is None:
            raise ValueError(f"there is no session {session}")
        first = session * CHUNKS_PER_SESSION
        ((last,),) = await self._read(
            "SELECT max(id) FROM sample_chunks WHERE id >= ? AND id < ?", first, first + CHUNKS_PER_SESSION
        )
        self._writer.next_chunk[session] = 0 if last is None else last - first + 1
        self._begun.add(session)
        self.write("UPDATE sessions SET closed_how = 'open', ended_monotonic_s = NULL WHERE id = ?", session)
        await self._try_flush()

    async def end_session(self, session: int, clock: ClockReading | None = None) -> None:
        """Like :meth:`write_session_end`."""
        self.write_session_end(session, clock)
        await self._try_flush()

    async def put_table(self, table: MafTable) -> MafTable:
        """Makes ``table`` the current one and returns it with its revision.

        A table with the volts and flow of the current one is the current one, whatever its name.
        """
        if self._table is not None and table_text(self._table) == table_text(table):
            return self._table
        self._last_table_revision += 1
        current = MafTable(table.name, table.maf_v, table.flow_gs, self._last_table_revision)
        self._table = current
        wall_s = read_clock().wall_s
        self.write("INSERT INTO maf_tables VALUES (?, ?, ?, ?, ?, ?)", *table_row(current, wall_s))
        volts_and_flow = table_text(current)
        self.write(
            PUT_FACT, "maf_table", sealed_table(current.revision, current.name, *volts_and_flow, wall_s)
        )
        await self._try_flush()
        return current

    async def put_configured_table(self, table: MafTable) -> MafTable:
        """Makes the table that the configuration names the current one, unless it named it before: then the
        newest one stays, which may be one that the user has flashed and told of since."""
        volts, flow = table_text(table)
        if self._table is not None and await self._was_configured(volts, flow):
            return self._table
        if self._table is None and self._last_table_revision:
            self._opening_notices += (_TABLE_LOST,)
        self._write_sealed("configured_table", {"maf_v": volts, "flow_gs": flow})
        current = await self.put_table(table)
        await self._try_flush()
        return current

    async def flush(self, *, with_drive: bool = True) -> None:
        """Returns once everything that was written before is on the disk and survives a power cut; without
        ``with_drive`` all but samples, cells and counts of drives, whose own time to be written comes.

        Raises:
            StoreError: something is not; it stays pending and is tried again.
        """
        await self._writer.flush(with_drive=with_drive)

    # ---- how it goes

    @property
    def before_commit(self) -> Callable[[], None]:
        """Called just before each commit, so that whoever learns can hand over what changed."""
        return self._writer.before_commit

    @before_commit.setter
    def before_commit(self, hand_over: Callable[[], None]) -> None:
        self._writer.before_commit = hand_over

    @property
    def newest_session(self) -> int:
        """Number of the newest session, whoever began it; 0 before the first."""
        return self._last_session

    def announce(self, address: str) -> None:
        """Says where the program that has the database answers, for those who find it in use."""
        self._address = address
        self._announce(address)

    async def watch(self) -> None:
        """Returns when the store was closed; raises what stopped its writer otherwise."""
        await self._writer.watch()

    def current_table(self) -> MafTable | None:
        """The MAF table that is in the ECU now; None before the first, and where it was damaged."""
        return self._table

    @property
    def notices(self) -> tuple[StoreNotice, ...]:
        """What the user must know: damage that was found, and what keeps the store from writing now."""
        no_snapshot = () if self.snapshots.notice is None else (self.snapshots.notice,)
        return (*self._opening_notices, *self.damage.values(), *self._writer.notices, *no_snapshot)

    @property
    def stuck_because(self) -> str | None:
        """Why nothing is written any more although nothing failed; None while all is well."""
        return self._writer.stuck_because

    def status(self) -> Mapping[str, Any]:
        """The store in figures, for the status page."""
        writer = self._writer
        return {
            "database": self.path.name,
            "written_bytes": writer.written_bytes,
            "database_bytes": sum(_size(self.path, suffix) for suffix in ("", "-wal")),
            "commits": writer.commits,
            "last_commit_ms": None if writer.last_commit_s is None else writer.last_commit_s * 1e3,
            "samples_pending": writer.pending.sample_count,
            "samples_dropped": writer.pending.dropped,
            "old_samples_dropped": writer.old_samples.dropped,
            "notices": [{"code": notice.code, "message": notice.message} for notice in self.notices],
        }

    # ---- inside

    async def _read(self, sql: str, *parameters: Any) -> list[sqlite3.Row]:
        async with self._reads:
            return await super()._read(sql, *parameters)

    async def _write_at_last(
        self,
        before: Database | ReadDatabase,
        read_only: AsyncExitStack,
        open_now: Callable[[], Awaitable[Database]],
    ) -> aiosqlite.Connection:
        """Opens a database that could only be read so far, to write to it.

        Raises:
            StoreError: not yet.
            RestartNeededError: it could not be read, and may hold what contradicts that which waits.
        """
        await asyncio.to_thread(check_writable, self.path)
        async with self._reads:
            await read_only.aclose()  # while SQLite has a file open to be read only, it cannot be written
            try:
                database = await open_now()
            except StoreError:
                self._connection = (await open_to_read(self.path, until=read_only)).reading
                raise
            self._connection = database.reading
        if isinstance(before, ReadDatabase) and before.unread is not None:
            raise RestartNeededError(f"{self.path}: can be written now, and is read by a restart")
        self._opening_notices += database.notices
        self._announce = database.announce
        self._announce(self._address)
        return database.writing

    async def _was_configured(self, volts: str, flow: str | None) -> bool:
        """Whether a table was the configured one last time; where that is not known, whether it is kept."""
        text = await self.remembered("configured_table")
        noted = None if text is None else unsealed(text)
        if noted is not None:
            return noted == {"maf_v": volts, "flow_gs": flow}
        return (volts, flow) in [table_text(kept) for kept in await self.tables()]

    async def _try_flush(self) -> None:
        with suppress(StoreError):
            await self._writer.flush()


def _size(path: Path, suffix: str) -> int:
    try:
        return path.with_name(path.name + suffix).stat().st_size
    except OSError:
        return 0


def _not_read(why: str) -> StoreNotice:
    return StoreNotice(
        "not_read",
        f"What was learned in earlier drives cannot be read now ({why}): the table begins with nothing. "
        "lowmaf starts anew with all of it once the disk takes writes.",
    )


def _nobody_asks(_: str) -> None:
    """Before the database is locked nobody can find it in use."""

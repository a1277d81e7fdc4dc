"""The store: drives, samples, learned cells and MAF tables in one SQLite file that survives power cuts.

Writes return at once and wait in a bounded buffer; one writer commits them every two seconds, so that a
power cut loses no more than that. Write-ahead log with ``synchronous=FULL``: measured, ``NORMAL``
loses up to 498 commits and ``OFF`` corrupts. Reads have a connection of their own and see what
was committed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Self

import aiosqlite

from daemon.store.opening import error_words, prepare, stored_text
from daemon.store.reader import StoreReader
from daemon.store.records import SessionStart, StoreError, StoreNotice
from daemon.store.reserve import keep_reserve
from daemon.store.retention import KEEP_ALL, Retention
from daemon.store.rows import (
    CHUNKS_PER_SESSION,
    SESSION_COLUMNS,
    boot_row,
    minute_row,
    sealed,
    sealed_table,
    session_row,
    table_row,
    table_text,
    unsealed,
)
from daemon.store.snapshots import SnapshotTaker
from daemon.store.writer import StoreWriter
from daemon.wall_clock import BootClock, ClockReading, read_clock
from lowmaf.cells import BlockKey
from lowmaf.maf_table import MafTable
from lowmaf.samples import SampleBatch

_BUSY_S = 5.0
_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 256",
    "PRAGMA cache_size = -512",  # KiB; the page cache of the system is as good
    "PRAGMA trusted_schema = OFF",
    "PRAGMA foreign_keys = ON",
)
_KEPT_LINK_EVENTS = 2000
_INSERT_LINK_EVENT = (
    "INSERT INTO link_events (boot_id, monotonic_s, driver, state, words) VALUES (?, ?, ?, ?, ?)"
)
_DROP_OLD_LINK_EVENTS = "DELETE FROM link_events WHERE id <= (SELECT max(id) FROM link_events) - ?"
_PUT_BOOT = """
INSERT INTO boots VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    wall_minus_monotonic_s = excluded.wall_minus_monotonic_s, clock = excluded.clock, crc32 = excluded.crc32
WHERE boots.clock = 'unsynced'
"""
_PUT_FACT = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
_TABLE_LOST = StoreNotice(
    "maf_table_lost",
    "Which MAF table is in the ECU was lost with what the disk has damaged: the one that the configuration "
    "names is taken for it. If another was flashed since, say so under Flash before you use a proposal.",
)
_INSERT_SESSION = (
    f"INSERT INTO sessions ({', '.join(SESSION_COLUMNS)}, crc32, closed_how) "  # noqa: S608 - our own names
    f"VALUES ({'?, ' * len(SESSION_COLUMNS)} ?, 'open')"
)


class Store(StoreReader):
    """One database file. Made by :meth:`open`; all methods are called on the event loop.

    The ``write_...`` methods never wait.
    """

    def __init__(
        self, path: Path, reading: aiosqlite.Connection, writer: StoreWriter, snapshots: SnapshotTaker
    ) -> None:
        """Use :meth:`open`."""
        super().__init__(path, reading)
        self.snapshots = snapshots
        self._writer = writer
        self._opening_notices: tuple[StoreNotice, ...] = ()
        self.announce: Callable[[str], None] = _nobody_asks
        """Says where the program that has the database answers, for those who find it in use."""
        self._closing = AsyncExitStack()
        self._table: MafTable | None = None
        self._last_table_revision = 0
        self._last_session = 0
        self._begun: set[int] = set()

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        commit_interval_s: float = 2.0,
        min_free_bytes: float = 0.0,
        retention: Retention = KEEP_ALL,
    ) -> Self:
        """Opens the database, or makes it.

        A damaged file is set aside, and a new one made of what can be recovered (see :attr:`notices`).
        Samples are kept only while ``min_free_bytes`` are free on the disk, and as long as ``retention``
        says.

        Raises:
            StoreError: not writable, no such folder, not ours, made by a newer lowmaf, or in use.
        """
        lock, notices = await asyncio.to_thread(prepare, path)
        path = lock.database
        async with AsyncExitStack() as opened:
            opened.callback(lock.release)
            if min_free_bytes > 0.0:
                await asyncio.to_thread(keep_reserve, path)
            try:
                reading, writing = [await _connect(path, opened) for _ in range(2)]
                await reading.execute("PRAGMA query_only = ON")
            except sqlite3.Error as error:
                raise StoreError(f"{path}: {error_words(error)}") from None
            writer = StoreWriter(
                writing,
                path,
                commit_interval_s=commit_interval_s,
                min_free_bytes=min_free_bytes,
                retention=retention,
            )
            opened.push_async_callback(writer.close)
            snapshots = SnapshotTaker(path, min_free_bytes=min_free_bytes, committed=writer.flush)
            opened.push_async_callback(snapshots.close)
            store = cls(path, reading, writer, snapshots)
            store._opening_notices = notices
            store.announce = lock.announce
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

    # ---- writing without waiting

    def write_samples(self, session: int, batch: SampleBatch) -> None:
        """Keeps samples of a session that was begun here.

        More than :data:`daemon.store.buffer.MAX_PENDING_SAMPLES` do not wait: the oldest are dropped and
        counted. Who is faster than the disk, such as a replayed log, awaits :meth:`flush` between batches.
        """
        self._refuse_not_begun(session)
        if len(batch):
            self._writer.pending.add_samples(session, batch)

    def write_blocks(self, session: int, blocks: Mapping[int, bytes]) -> None:
        """Keeps the state of blocks of cells; the newest of each block replaces what was kept."""
        self._refuse_unknown(session)
        self._writer.pending.blocks.update({(session, block): state for block, state in blocks.items()})

    def write_counts(self, session: int, counts: Mapping[str, int]) -> None:
        """Keeps how many samples of the session got each verdict (by label), ``accepted`` included."""
        self._refuse_unknown(session)
        self._writer.pending.counts[session] = dict(counts)

    def write_minutes(self, session: int, minutes: Mapping[int, Mapping[str, int]]) -> None:
        """Keeps what became of the samples of whole minutes of the session, by verdict label."""
        self._refuse_unknown(session)
        for minute, counts in minutes.items():
            self.write(
                "INSERT OR REPLACE INTO verdict_minutes VALUES (?, ?, ?, ?)",
                *minute_row(session, minute, counts),
            )

    def write_link(self, driver: str, state: str, words: str, clock: ClockReading | None = None) -> None:
        """Keeps a change of the connection's state, at ``clock`` or now; the oldest ones are dropped."""
        at = clock or read_clock()
        self.write(_INSERT_LINK_EVENT, at.boot_id, at.monotonic_s, driver, state, words)
        self.write(_DROP_OLD_LINK_EVENTS, _KEPT_LINK_EVENTS)

    def write_boot_clock(self, boot: BootClock) -> None:
        """Keeps what was found out about the wall clock of a boot; what the network said stays."""
        self.write(_PUT_BOOT, *boot_row(boot))

    def write_session_start(self, start: SessionStart, clock: ClockReading | None = None) -> int:
        """Begins a drive or log, at ``clock`` or now, and returns its number."""
        self._last_session += 1
        session = self._last_session
        self._begun.add(session)
        self.write(_INSERT_SESSION, *session_row(session, start, clock or read_clock()))
        return session

    def write_session_end(
        self, session: int, clock: ClockReading | None = None, *, quiet_s: float = 0.0, taught: bool = True
    ) -> None:
        """Ends a session that was begun here: ``quiet_s``, the time without a sample, before now.

        One that ``taught`` nothing yet is no reason for a snapshot.
        """
        self._refuse_not_begun(session)
        self._begun.remove(session)
        self.write(
            "UPDATE sessions SET closed_how = 'closed', ended_monotonic_s = ? WHERE id = ?",
            (clock or read_clock()).monotonic_s - quiet_s,
            session,
        )
        if taught:
            self.snapshots.want()

    def write_session_removal(self, session: int) -> None:
        """Deletes a session with its samples, cells and counts. What waits of it must have been flushed."""
        first = session * CHUNKS_PER_SESSION
        self.write("DELETE FROM sample_chunks WHERE id >= ? AND id < ?", first, first + CHUNKS_PER_SESSION)
        self.write("DELETE FROM sessions WHERE id = ?", session)
        self._begun.discard(session)

    def write(self, sql: str, *parameters: Any) -> None:
        """Adds a statement to the next commit, which is one transaction of all that waits."""
        self._writer.pending.statements.append((sql, parameters))

    def write_locks(self, cells: frozenset[int]) -> None:
        """Keeps which cells (indices) of the current MAF table are locked; replaces what was kept."""
        if self._table is None:
            raise ValueError("there is no MAF table yet")
        revision = self._table.revision
        self.write("DELETE FROM cell_locks WHERE maf_table_revision = ?", revision)
        for cell in sorted(cells):
            self.write("INSERT INTO cell_locks VALUES (?, ?)", revision, cell)
        self._write_sealed("locks", {"revision": revision, "cells": sorted(cells)})

    def write_epoch(self, epoch: int, start: BlockKey) -> None:
        """Keeps that a new epoch of learning began: of what was learned, blocks from ``start`` on count."""
        self._write_sealed("epoch", {"epoch": epoch, "session": start.drive, "block": start.block})

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
            _PUT_FACT, "maf_table", sealed_table(current.revision, current.name, *volts_and_flow, wall_s)
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

    async def flush(self) -> None:
        """Returns once everything that was written before is on the disk and survives a power cut.

        Raises:
            StoreError: something is not; it stays pending and is tried again.
        """
        await self._writer.flush()

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

    async def _was_configured(self, volts: str, flow: str | None) -> bool:
        """Whether a table was the configured one last time; where that is not known, whether it is kept."""
        text = await self.remembered("configured_table")
        noted = None if text is None else unsealed(text)
        if noted is not None:
            return noted == {"maf_v": volts, "flow_gs": flow}
        return (volts, flow) in [table_text(kept) for kept in await self.tables()]

    def _write_sealed(self, key: str, values: Mapping[str, Any]) -> None:
        self.write(_PUT_FACT, key, sealed(values))

    async def _try_flush(self) -> None:
        with suppress(StoreError):
            await self._writer.flush()

    def _refuse_not_begun(self, session: int) -> None:
        if session not in self._begun:
            raise ValueError(f"session {session} was not begun here, or has ended")

    def _refuse_unknown(self, session: int) -> None:
        if not 1 <= session <= self._last_session:
            raise ValueError(f"there is no session {session}")


async def _connect(path: Path, opened: AsyncExitStack) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(path, timeout=_BUSY_S, isolation_level=None)
    opened.push_async_callback(connection.close)
    connection.row_factory = sqlite3.Row
    connection.text_factory = stored_text
    for pragma in _PRAGMAS:
        await connection.execute(pragma)
    return connection


def _size(path: Path, suffix: str) -> int:
    try:
        return path.with_name(path.name + suffix).stat().st_size
    except OSError:
        return 0


def _nobody_asks(_: str) -> None:
    """Before the database is locked nobody can find it in use."""

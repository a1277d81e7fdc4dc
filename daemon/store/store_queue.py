"""What is written without waiting: it goes into the writer's next commit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiosqlite

from daemon.store.reader import StoreReader
from daemon.store.records import SessionStart
from daemon.store.rows import (
    CHUNKS_PER_SESSION,
    SESSION_COLUMNS,
    boot_row,
    json_text,
    minute_row,
    sealed,
    session_row,
)
from daemon.store.snapshots import SnapshotTaker
from daemon.store.writer import StoreWriter
from daemon.wall_clock import BootClock, ClockReading, read_clock
from lowmaf.cells import BlockKey
from lowmaf.maf_table import MafTable
from lowmaf.samples import SampleBatch

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
PUT_FACT = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
_INSERT_SESSION = (
    f"INSERT INTO sessions ({', '.join(SESSION_COLUMNS)}, crc32, closed_how, "  # noqa: S608 - our own names
    f"ended_monotonic_s, name, included) VALUES ({'?, ' * len(SESSION_COLUMNS)} ?, ?, ?, ?, ?)"
)


class StoreQueue(StoreReader):
    """The ``write_...`` methods of the store. They never wait."""

    snapshots: SnapshotTaker
    _writer: StoreWriter

    def __init__(self, path: Path, reading: aiosqlite.Connection) -> None:
        super().__init__(path, reading)
        self._table: MafTable | None = None
        self._last_session = 0
        self._begun: set[int] = set()
        self._settings: Mapping[str, Any] | None = None
        self._settings_text = ""

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

    def write_session_start(
        self,
        start: SessionStart,
        clock: ClockReading | None = None,
        *,
        name: str | None = None,
        included: bool = True,
    ) -> int:
        """Begins a drive or log, at ``clock`` or now, and returns its number."""
        row = self._new_session_row(start, clock or read_clock())
        session: int = row[0]
        self._begun.add(session)
        self.write(_INSERT_SESSION, *row, "open", None, name, included)
        return session

    def write_whole_session(
        self,
        start: SessionStart,
        clock: ClockReading,
        batch: SampleBatch,
        *,
        ended_s: float,
        name: str | None,
    ) -> int:
        """Keeps a session that is over, with all of its samples, and returns its number.

        It does not count yet. It began at ``clock`` and ended at ``ended_s``, by the same monotonic clock.
        """
        row = self._new_session_row(start, clock)
        session: int = row[0]
        self.write(_INSERT_SESSION, *row, "closed", ended_s, name, False)
        self._writer.pending.add_samples(session, batch)
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

    def write_ecu(self, ecu_id: str) -> None:
        """Keeps which ECU the table is learned from."""
        self._write_sealed("ecu", {"id": ecu_id})

    def write_epoch(self, epoch: int, start: BlockKey) -> None:
        """Keeps that a new epoch of learning began: of what was learned, blocks from ``start`` on count."""
        self._write_sealed("epoch", {"epoch": epoch, "session": start.drive, "block": start.block})

    def _new_session_row(self, start: SessionStart, clock: ClockReading) -> tuple[Any, ...]:
        if start.settings is not self._settings:  # others push sessions by the hundred, and all have the same
            self._settings, self._settings_text = start.settings, json_text(start.settings)
        self._last_session += 1
        return session_row(self._last_session, start, self._settings_text, clock)

    def _write_sealed(self, key: str, values: Mapping[str, Any]) -> None:
        self.write(PUT_FACT, key, sealed(values))

    def _refuse_not_begun(self, session: int) -> None:
        if session not in self._begun:
            raise ValueError(f"session {session} was not begun here, or has ended")

    def _refuse_unknown(self, session: int) -> None:
        if not 1 <= session <= self._last_session:
            raise ValueError(f"there is no session {session}")

"""Reading the store: what was committed, by a connection that cannot write."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from daemon.store.records import KeptSamples, LinkChange, Session, StoreError, StoreNotice
from daemon.store.rows import (
    CHUNKS_PER_SESSION,
    batch_of,
    boot_of,
    counts_of,
    minute_of,
    session_of,
    state_of,
    table_of,
    unsealed,
)
from lowmaf.cells import BlockKey
from lowmaf.maf_table import MafTable
from lowmaf.samples import CHANNELS, SampleBatch

Record = TypeVar("Record")

MAX_SESSION = (1 << 31) - 1
"""Highest number that a session may have: ids of its chunks are 64 bit integers."""

_SESSIONS = """
SELECT s.*, c.counts, c.crc32 AS counts_crc32,
    (SELECT first_t_s FROM sample_chunks WHERE id >= s.id << 32 AND id < (s.id + 1) << 32
        ORDER BY id LIMIT 1) AS first_t_s,
    (SELECT last_t_s FROM sample_chunks WHERE id >= s.id << 32 AND id < (s.id + 1) << 32
        ORDER BY id DESC LIMIT 1) AS last_t_s
FROM sessions AS s LEFT JOIN verdict_counts AS c ON c.session = s.id WHERE id >= ? AND id <= ? ORDER BY id
"""
_KEPT = """
SELECT count(*) AS chunks, coalesce(sum(n), 0) AS samples, max(id) AS last_id,
    min(first_t_s) AS first_t_s, max(last_t_s) AS last_t_s
FROM sample_chunks WHERE id >= ? AND id < ?
"""
_LINK_CHANGES = """
SELECT boot_id, monotonic_s, driver, state, words FROM link_events
WHERE boot_id IS ? AND monotonic_s <= ? AND monotonic_s >= coalesce(
    (SELECT max(monotonic_s) FROM link_events WHERE boot_id IS ? AND monotonic_s <= ?), ?)
ORDER BY id
"""
_NEXT_CHUNK = (
    "SELECT id, n, channels, data, crc32 FROM sample_chunks WHERE id >= ? AND id < ? ORDER BY id LIMIT 1"
)


class StoreReader:
    """What the database holds. What was damaged on the disk is left out and noted in ``damage``.

    Every method raises :class:`StoreError` where the file cannot be read.
    """

    def __init__(self, path: Path, connection: aiosqlite.Connection) -> None:
        self.path = path
        self.damage: dict[str, StoreNotice] = {}
        self._connection = connection

    async def tables(self) -> list[MafTable]:
        """Every MAF table that was in the ECU, by revision."""
        rows = await self._read(
            "SELECT revision, name, maf_v, flow_gs, crc32 FROM maf_tables ORDER BY revision"
        )
        return list(self._whole(rows, table_of, lambda row: f"MAF table {row['revision']}"))

    async def newest_table(self) -> MafTable | None:
        """The MAF table that is in the ECU now; None before the first, and where it was damaged."""
        text = await self.remembered("maf_table")
        noted = None if text is None else unsealed(text)
        newest = await self.last_table_revision() if noted is None else noted["revision"]
        return next((table for table in await self.tables() if table.revision == newest), None)

    async def last_table_revision(self) -> int:
        """The highest revision of a MAF table, 0 before the first."""
        ((last,),) = await self._read("SELECT coalesce(max(revision), 0) FROM maf_tables")
        return int(last)

    async def locks(self, table_revision: int) -> frozenset[int]:
        """Locked cells (indices) of a MAF table."""
        rows = await self._read("SELECT cell FROM cell_locks WHERE maf_table_revision = ?", table_revision)
        return frozenset(cell for (cell,) in rows)

    async def sessions(self) -> list[Session]:
        """All drives and logs, oldest first."""
        return await self._sessions(0, MAX_SESSION)

    async def session(self, session: int) -> Session | None:
        """One drive or log; None where there is none of that number, or it was damaged."""
        found = await self._sessions(session, session) if 0 < session <= MAX_SESSION else []
        return found[0] if found else None

    async def kept_samples(self, session: int) -> KeptSamples | None:
        """How many samples of the session are kept; None where there are none."""
        first = session * CHUNKS_PER_SESSION
        (row,) = await self._read(_KEPT, first, first + CHUNKS_PER_SESSION)
        if not row["chunks"]:
            return None
        unbroken = row["last_id"] - first + 1 == row["chunks"]
        return KeptSamples(row["samples"], unbroken, row["first_t_s"], row["last_t_s"])

    async def channels(self, session: int) -> tuple[str, ...]:
        """Channels that the kept samples of the session have, in the order in which they are shown."""
        first = session * CHUNKS_PER_SESSION
        rows = await self._read(
            "SELECT DISTINCT channels FROM sample_chunks WHERE id >= ? AND id < ?",
            first,
            first + CHUNKS_PER_SESSION,
        )
        kept = {name for (text,) in rows for name in _names(text)}
        return tuple(name for name in CHANNELS if name in kept)

    async def blocks(self, session: int) -> dict[int, bytes]:
        """State of each block of the session. Blocks that were damaged on the disk are left out and noted."""
        rows = await self._read("SELECT block, state, crc32 FROM cell_blocks WHERE session = ?", session)
        blocks = {row["block"]: state_of(session, row) for row in rows}
        for block, state in blocks.items():
            if state is None:
                self._leave_out(f"block {block} of session {session}")
        return {block: state for block, state in blocks.items() if state is not None}

    async def counts(self, session: int) -> dict[str, int]:
        """Samples of the session per verdict label."""
        rows = await self._read("SELECT counts, crc32 FROM verdict_counts WHERE session = ?", session)
        return self._counts(session, rows[0]) if rows else {}

    async def minutes(self, session: int) -> dict[int, dict[str, int]]:
        """Samples per verdict label, above 0, for each minute of the session's time that is over."""
        rows = await self._read(
            "SELECT minute, counts, crc32 FROM verdict_minutes WHERE session = ? ORDER BY minute", session
        )
        return dict(
            self._whole(
                rows,
                lambda row: minute_of(session, row),
                lambda row: f"minute {row['minute']} of session {session}",
            )
        )

    async def link_changes(self, boot_id: str | None, from_s: float, until_s: float) -> list[LinkChange]:
        """Changes of the connection in a span of the monotonic time of one boot, and the one before them."""
        rows = await self._read(_LINK_CHANGES, boot_id, until_s, boot_id, from_s, from_s)
        return [LinkChange(*row) for row in rows]

    async def remembered(self, key: str) -> str | None:
        """A fact about the file, by its key in ``meta``."""
        rows = await self._read("SELECT value FROM meta WHERE key = ?", key)
        return rows[0][0] if rows else None

    async def samples(self, session: int) -> AsyncIterator[SampleBatch]:
        """The session's samples in their order, chunk by chunk, as they came bit for bit.

        Chunks that were damaged on the disk are left out and noted.
        """
        position, end = session * CHUNKS_PER_SESSION, (session + 1) * CHUNKS_PER_SESSION
        while rows := await self._read(_NEXT_CHUNK, position, end):
            (row,) = rows
            position, batch = row["id"], batch_of(row)
            if batch is not None:
                yield batch
            else:
                self._leave_out(f"chunk {position % CHUNKS_PER_SESSION} of the samples of session {session}")
            position += 1

    async def query(self, sql: str, *parameters: Any) -> list[sqlite3.Row]:
        """Rows of the tables of those who keep their own here, such as analyses."""
        return await self._read(sql, *parameters)

    async def epoch(self) -> tuple[int, BlockKey]:
        """Number of the epoch of learning that was begun last, and its first block."""
        text = await self.remembered("epoch")
        if text is None:
            return 1, BlockKey(0, 0)
        kept = json.loads(text)
        return kept["epoch"], BlockKey(kept["session"], kept["block"])

    async def ecu(self) -> str | None:
        """Id of the ECU that the table is learned from; None where that is not known."""
        text = await self.remembered("ecu")
        kept = None if text is None else unsealed(text)
        return None if kept is None else str(kept["id"])

    async def last_session(self) -> int:
        """Number of the newest session ever begun, 0 before the first. Numbers are not used again."""
        ((last,),) = await self._read(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'sessions'"
        )
        return int(last)

    async def _sessions(self, first: int, last: int) -> list[Session]:
        boots = {}
        for row in await self._read("SELECT * FROM boots"):
            if (boot := boot_of(row)) is not None:
                boots[boot.boot_id] = boot
        rows = await self._read(_SESSIONS, first, last)
        counts = {row["id"]: self._counts(row["id"], (row["counts"], row["counts_crc32"])) for row in rows}
        return list(
            self._whole(
                rows,
                lambda row: session_of(row, boots, counts[row["id"]]),
                lambda row: f"session {row['id']}",
            )
        )

    def _counts(self, session: int, row: Sequence[Any]) -> dict[str, int]:
        counts = counts_of(session, row)
        if counts is None:
            self._leave_out(f"the count of verdicts of session {session}")
        return counts or {}

    async def _read(self, sql: str, *parameters: Any) -> list[sqlite3.Row]:
        try:
            return list(await self._connection.execute_fetchall(sql, parameters))
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self.path}: cannot be read: {error}") from None

    def _whole(
        self,
        rows: Iterable[sqlite3.Row],
        decode: Callable[[sqlite3.Row], Record | None],
        words: Callable[[sqlite3.Row], str],
    ) -> Iterator[Record]:
        for row in rows:
            record = decode(row)
            if record is None:
                self._leave_out(words(row))
            else:
                yield record

    def _leave_out(self, what: str) -> None:
        message = f"{what} was damaged on the disk and is left out."
        self.damage[what] = StoreNotice("data_damaged", message)


def _names(text: str) -> list[str]:
    """Channels of a chunk; none where the list was damaged, as the chunk's checksum will tell."""
    try:
        return [str(name) for name in json.loads(text)]
    except (json.JSONDecodeError, TypeError):
        return []

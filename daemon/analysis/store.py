"""Uploaded logs, analyses and pushes in the database: every statement that touches their tables."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from daemon.analysis.records import KeptRun, Run, UploadedLog, packed, unpacked
from daemon.store.records import StoreError
from daemon.store.rows import checksum
from daemon.store.store import Store
from lowmaf.maf_table import MafTable
from web.analysis_desk import AnalysisStatus, PushState

_INSERT_LOG = (
    "INSERT INTO uploaded_logs (id, name, bytes, recognised, uploaded_wall_s, crc32) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
_INSERT_RUNS = (
    "INSERT INTO analyses (id, logs, estimator, filters, maf_table_revision, webhook_url, asked_wall_s, "
    "crc32, status, push) VALUES "
)
_RUN_VALUES = "(?, ?, ?, ?, ?, ?, ?, ?, 'unstarted', ?)"
_RUNS_PER_STATEMENT = 500
_END_RUN = "UPDATE analyses SET status = ?, error = ? WHERE number = ?"
_PUT_PUSH = "INSERT INTO analysis_pushes VALUES (?, ?, ?, ?, ?)"
_NEXT_PUSH = "SELECT * FROM analysis_pushes WHERE analysis = ? ORDER BY first_sequence LIMIT 1"
_SENT = (
    "UPDATE analyses SET push = 'delivered', push_error = NULL, push_attempts = 0, "
    "status = CASE status WHEN 'completed' THEN 'completed_and_sent' ELSE status END WHERE number = ?"
)
_DROP_OLDEST = (
    "DELETE FROM analyses WHERE number IN (SELECT number FROM analyses "
    "WHERE status <> 'unstarted' AND push <> 'pending' ORDER BY number LIMIT ?)"
)


@dataclass(frozen=True, slots=True)
class KeptPush:
    """Output that is to be delivered in chunks, the first of which has ``first_sequence``.

    ``body`` is None where it was damaged on the disk.
    """

    first_sequence: int
    final: bool
    body: bytes | None


class AnalysisStore:
    """The tables of the analysis service in ``store``. Its ``write_...`` methods never wait: what they
    write is durable after the next :meth:`flush`.

    What reads or flushes raises :class:`daemon.store.records.StoreError` where the disk does not allow it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._new_runs: list[Run] = []
        self._keeping: asyncio.Task[None] | None = None
        self._one_commit = asyncio.Lock()
        self._table: MafTable | None = None

    async def flush(self) -> None:
        """Returns once everything that was written survives a power cut."""
        await self._store.flush(with_drive=False)

    def current_table(self) -> MafTable | None:
        """The MAF table that is in the ECU now."""
        return self._store.current_table()

    async def table(self, revision: int | None) -> MafTable | None:
        """The MAF table of a revision; None where there is none, or it was damaged."""
        if self._table is None or self._table.revision != revision:
            tables = await self._store.tables()
            self._table = next((table for table in tables if table.revision == revision), None)
        return self._table

    # ---- uploaded logs

    def write_log(self, log: UploadedLog) -> None:
        """Keeps a log."""
        self._store.write(_INSERT_LOG, *log.row())

    def delete_log(self, log_id: str) -> None:
        """Forgets a log."""
        self._store.write("DELETE FROM uploaded_logs WHERE id = ?", log_id)

    async def logs(self) -> list[UploadedLog]:
        """All logs, in the order of arrival; damaged rows are left out."""
        rows = await self._store.query("SELECT * FROM uploaded_logs ORDER BY number")
        return [log for log in map(UploadedLog.of, rows) if log is not None]

    async def log_needed_by(self, log_id: str) -> list[str]:
        """Ids of runs that have not ended and need the log."""
        rows = await self._store.query(
            "SELECT id FROM analyses WHERE status = 'unstarted' AND "
            "EXISTS (SELECT 1 FROM json_each(analyses.logs) WHERE value = ?)",
            log_id,
        )
        return [row["id"] for row in rows]

    # ---- runs

    async def keep_runs(self, runs: Sequence[Run]) -> None:
        """Returns once the runs survive a power cut; what many ask for at once is one commit.

        Where that fails the runs are not kept.
        """
        self._new_runs += runs
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep_new_runs())
        await asyncio.shield(self._keeping)

    async def _keep_new_runs(self) -> None:
        async with self._one_commit:  # those who ask before the last one is done come along
            self._keeping = None
            runs, self._new_runs = self._new_runs, []
            for begin in range(0, len(runs), _RUNS_PER_STATEMENT):
                self._write_runs(runs[begin : begin + _RUNS_PER_STATEMENT])
            try:
                await self.flush()
            except StoreError:
                for run in runs:  # what waits to be written is written one day, and must come to nothing
                    self._store.write("DELETE FROM analyses WHERE id = ?", run.id)
                raise

    def _write_runs(self, runs: Sequence[Run]) -> None:
        values = ", ".join([_RUN_VALUES] * len(runs))
        parameters: list[Any] = []
        for run in runs:
            push = PushState.NONE if run.webhook_url is None else PushState.PENDING
            parameters += [*run.row(), str(push)]
        self._store.write(_INSERT_RUNS + values, *parameters)

    def write_end(self, number: int, status: AnalysisStatus, error: str | None, result: bytes | None) -> None:
        """Keeps how a run ended, and what it gave."""
        self._store.write(_END_RUN, str(status), error, number)
        if result is not None:
            document = packed(result)
            self._store.write(
                "INSERT INTO analysis_tables VALUES (?, ?, ?)", number, document, checksum(number, document)
            )

    def drop_oldest(self, runs: int) -> None:
        """Forgets the oldest runs that have ended and have nothing to push."""
        self._store.write(_DROP_OLDEST, runs)

    async def run(self, run_id: str) -> KeptRun | None:
        """One run; None where there is none of that id, or it was damaged."""
        rows = await self._store.query("SELECT * FROM analyses WHERE id = ?", run_id)
        return KeptRun.of(rows[0]) if rows else None

    async def waiting(self) -> list[str]:
        """Ids of runs that have not ended, in the order of asking."""
        rows = await self._store.query("SELECT id FROM analyses WHERE status = 'unstarted' ORDER BY number")
        return [row["id"] for row in rows]

    async def ended(self) -> int:
        """How many runs that have ended are kept."""
        ((count,),) = await self._store.query("SELECT count(*) FROM analyses WHERE status <> 'unstarted'")
        return int(count)

    async def newest(
        self, *, webhook_url: str | None, statuses: Sequence[AnalysisStatus], limit: int
    ) -> list[KeptRun]:
        """The newest runs with one of these statuses, newest first; all of them where there are none."""
        conditions, parameters = ["1"], list[Any]()
        if webhook_url is not None:
            conditions.append("webhook_url = ?")
            parameters.append(webhook_url)
        if statuses:
            conditions.append(f"status IN ({', '.join('?' * len(statuses))})")
            parameters += [str(status) for status in statuses]
        rows = await self._store.query(
            f"SELECT * FROM analyses WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?",  # noqa: S608 - our own words
            *parameters,
            limit,
        )
        return [kept for kept in map(KeptRun.of, rows) if kept is not None]

    async def result(self, number: int) -> bytes | None:
        """What a run gave, as JSON; None where it gave nothing, or that was damaged."""
        rows = await self._store.query("SELECT * FROM analysis_tables WHERE analysis = ?", number)
        return unpacked(rows[0], "document", number) if rows else None

    # ---- pushes

    def write_push(self, number: int, first_sequence: int, chunks: int, body: bytes, *, final: bool) -> None:
        """Keeps output of a run that is to be delivered in ``chunks`` chunks."""
        kept = packed(body)
        crc32 = checksum(number, first_sequence, int(final), kept)
        self._store.write(_PUT_PUSH, number, first_sequence, int(final), kept, crc32)
        self._store.write(
            "UPDATE analyses SET next_sequence = ? WHERE number = ?", first_sequence + chunks, number
        )

    def write_delivered(self, number: int, first_sequence: int, *, final: bool) -> None:
        """Keeps that output has arrived."""
        self._store.write(
            "DELETE FROM analysis_pushes WHERE analysis = ? AND first_sequence = ?", number, first_sequence
        )
        if final:
            self._store.write(_SENT, number)

    def write_attempt(self, number: int, attempts: int, error: str | None) -> None:
        """Keeps how many attempts to deliver have failed, one after another, and what the last one met."""
        self._store.write(
            "UPDATE analyses SET push_attempts = ?, push_error = ? WHERE number = ?", attempts, error, number
        )

    def write_given_up(self, number: int, attempts: int, error: str) -> None:
        """Keeps that nothing more of a run will be delivered."""
        self.write_attempt(number, attempts, error)
        self._store.write("UPDATE analyses SET push = 'given_up' WHERE number = ?", number)
        self._store.write("DELETE FROM analysis_pushes WHERE analysis = ?", number)

    async def next_push(self, number: int) -> KeptPush | None:
        """The output of a run that is to be delivered next."""
        rows = await self._store.query(_NEXT_PUSH, number)
        if not rows:
            return None
        first, final = rows[0]["first_sequence"], rows[0]["final"]
        return KeptPush(first, bool(final), unpacked(rows[0], "body", number, first, final))

    async def to_be_pushed(self) -> list[KeptRun]:
        """Runs of which output waits to be delivered."""
        rows = await self._store.query(
            "SELECT * FROM analyses WHERE push = 'pending' "
            "AND number IN (SELECT analysis FROM analysis_pushes)"
        )
        return [kept for kept in map(KeptRun.of, rows) if kept is not None]

"""Recorded logs kept in the database as drives, as if they had been driven with the daemon running."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import Coroutine, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from daemon.errors import UsageError, WorkError
from daemon.live.verdict_minutes import VerdictMinutes
from daemon.log_replay import Log, with_digest
from daemon.store.opening import DatabaseLock, check_place
from daemon.store.records import ClosedHow, Session, SessionStart, StoreError
from daemon.store.rows import table_text
from daemon.store.store import Store
from daemon.wall_clock import ClockReading, read_clock
from drivers.logs.content import content_digest
from drivers.logs.summary import LogSummary
from lowmaf.cells import block_to_bytes
from lowmaf.judge import Judged
from lowmaf.maf_table import MafTable, default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch
from lowmaf.verdicts import Verdict

T = TypeVar("T")

DRIVER = "replay"
"""What the database names as the source of a drive that was a recorded log."""
_FLUSHED_SAMPLES = 20_000
"""The store drops samples where more than three times as many wait."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A log that is in the database now, left out of the table until all logs are read."""

    log: Log
    session: int
    began: ClockReading
    duration_s: float


class LogKeeper:
    """Keeps logs in one database; used in a ``with`` block.

    A log's drive is left out of the table until :meth:`confirm`; without it, nothing of it stays. A log
    that the database has already is not kept again, whatever its name.
    """

    keeps_samples = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._runner = asyncio.Runner()
        self._is_new = True
        self._is_open = False
        self._minutes = VerdictMinutes()
        self._log: Log | None = None
        self._session = 0
        self._began = read_clock()
        self._waiting = 0
        self._settings: Mapping[str, Any] = {}
        self._estimator = ""
        self._revision = 0
        self._epoch = 1
        self._there: dict[str, Session] = {}
        self._kept: list[_Kept] = []
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        """Raises :class:`StoreError`: not writable, not ours, made by a newer lowmaf, or in use."""
        self._is_new = not (check_place(self._path) or self._path.exists())
        try:
            self._do(self._open())
        except BaseException:
            self._close(failing=True)
            raise
        self.notes += [notice.message for notice in self._store.notices]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._close(failing=kind is not None)

    async def _open(self) -> None:
        self._store = await Store.open(self._path)
        self._is_open = True

    def _close(self, *, failing: bool) -> None:
        unfinished = [kept.session for kept in self._kept] + ([self._session] if self._log else [])
        try:
            # What cannot be deleted now stays left out of the table, and goes when the log is kept again.
            with contextlib.suppress(WorkError) if failing else contextlib.nullcontext():
                if self._is_open:
                    for session in unfinished:
                        self._delete(session)
                    self._do(self._store.close())
        finally:
            self._runner.close()
            if self._is_open:
                self._unmake()

    def table(self, given: MafTable | None) -> MafTable:
        """The table that the logs were recorded with, as the database knows it.

        Without one ``given`` it is the one that is in the ECU now.

        Raises:
            UsageError: the database has tables, and not this one.
        """
        tables = self._do(self._store.tables())
        current = self._store.current_table()
        if given is None:
            return current or self._do(self._store.put_table(default_axis()))
        for table in reversed(tables):
            if table_text(table) == table_text(given):
                return table
        if tables:
            raise UsageError(
                f"--maf-table: {given.name} is none of the MAF tables in {self._path} (there now is "
                f"{tables[-1].name}, revision {tables[-1].revision}): a table that was flashed is told to "
                "the daemon first; logs of another car need a database of their own"
            )
        return self._do(self._store.put_table(given))

    def prepare(self, pipeline: Pipeline) -> None:
        """Makes ready for logs that this pipeline judges."""
        self._settings = {"filters": asdict(pipeline.filters), "curve": asdict(pipeline.settings)}
        self._estimator, self._revision = pipeline.estimator, pipeline.table.revision
        self._epoch, _ = self._do(self._store.epoch())
        for session in self._do(self._store.sessions()):
            digest = session.settings.get("log", {}).get("sha256")
            if digest is None:
                continue
            if session.included or session.closed_how is ClosedHow.CLOSED:
                self._there[digest] = session
            else:
                self._delete(session.id)

    # ---- what the replay tells (daemon.log_replay.Keeper)

    def begin(self, log: Log) -> int:
        """The log's drive: a new one, or the one that is there."""
        there = self._there.get(log.digest or "")
        if there is not None:
            left_out = "" if there.included else ", left out of the table"
            self.notes.append(
                f"{log.name}: already in {self._path} as session {there.id}{left_out}: not kept again"
            )
            self._log = None
            return there.id
        start = SessionStart(
            driver=DRIVER,
            maf_table_revision=self._revision,
            epoch=self._epoch,
            estimator=self._estimator,
            settings={**self._settings, "log": {"name": log.name, "sha256": log.digest}},
        )
        self._log, self._began = log, read_clock()
        self._session = self._store.write_session_start(start, self._began)
        self._store.write(
            "UPDATE sessions SET included = 0, name = ? WHERE id = ?", Path(log.name).name, self._session
        )
        self._minutes.begin(self._session)
        return self._session

    def take(self, batch: SampleBatch, judged: Judged, pipeline: Pipeline) -> None:
        """Samples of the log, and the verdicts that became final."""
        if self._log is None:
            pipeline.take_changed_blocks()
            return
        self._store.write_samples(self._session, batch)
        self._minutes.add(judged)
        self._write_cells(pipeline, finished=False)
        self._waiting += len(batch)
        if self._waiting >= _FLUSHED_SAMPLES:
            self._flush()

    def end(self, judged: Judged, pipeline: Pipeline, summary: LogSummary) -> None:
        """The log was read to its end; one of which no sample counted is not kept."""
        if self._log is None:
            pipeline.take_changed_blocks()
            return
        self._minutes.add(judged)
        self._write_cells(pipeline, finished=True)
        counts = pipeline.drive_counts()
        if not counts[Verdict.ACCEPTED.label]:
            self.drop()
            return
        self._store.write_counts(self._session, counts)
        self._flush()
        self._kept.append(_Kept(self._log, self._session, self._began, summary.duration_s or 0.0))
        self._log = None

    def drop(self) -> None:
        """The log cannot be used after all."""
        if self._log is not None:
            self._minutes.take(finished=True)
            self._delete(self._session)
            self._log = None

    # ---- the end

    def confirm(self) -> None:
        """Lets the logs count in the table, all at once."""
        for kept in self._kept:
            ended = replace(kept.began, monotonic_s=kept.began.monotonic_s + kept.duration_s)
            self._store.write_session_end(kept.session, ended)
            self._store.write("UPDATE sessions SET included = 1 WHERE id = ?", kept.session)
        self._flush()
        if self._kept:
            self._is_new = False
            words = ", ".join(f"{kept.log.name} as session {kept.session}" for kept in self._kept)
            self.notes.append(f"kept in {self._path}: {words}")
        self._kept = []

    # ---- inside

    def _write_cells(self, pipeline: Pipeline, *, finished: bool) -> None:
        cells, changed = pipeline.table.cells, pipeline.take_changed_blocks()
        blocks = {key.block: block_to_bytes(cells, sums) for key, sums in changed.items()}
        self._store.write_blocks(self._session, blocks)
        self._store.write_minutes(self._session, self._minutes.take(finished=finished))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs work of the store to its end: an interrupt that comes meanwhile is felt after it."""
        interrupts: list[int] = []
        before = {
            number: signal.signal(number, lambda number, _: interrupts.append(number))
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            return self._runner.run(work)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if interrupts:
                raise KeyboardInterrupt

    def _unmake(self) -> None:
        """A database that was made for these logs goes where none of them is kept."""
        if not self._is_new:
            return
        with contextlib.suppress(StoreError):  # by now another lowmaf has it
            lock = DatabaseLock(self._path)
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            lock.release(remove=True)

    def _delete(self, session: int) -> None:
        """Deletes a session; what waits for it is written first, or it would come after."""
        self._flush()
        self._store.write_session_removal(session)
        self._flush()

    def _flush(self) -> None:
        self._waiting = 0
        try:
            self._do(self._store.flush())
        except StoreError as error:
            raise WorkError(f"the logs cannot be kept: {error}") from None


def spooled(log: Log, folder: Path, until: contextlib.ExitStack) -> Log:
    """The log with its digest; what can be read only once is copied to a file without a name in ``folder``,
    which is there ``until`` that stack is closed.

    Raises:
        WorkError: it cannot be read, or there is no room for the copy.
    """
    if isinstance(log.source, Path) and (log.source.is_file() or not log.source.exists()):
        return with_digest(log)
    try:
        pipe = until.enter_context(log.source.open("rb")) if isinstance(log.source, Path) else log.source
        copy = until.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 - so it is
        shutil.copyfileobj(pipe, copy)
        copy.seek(0)
        digest = content_digest(copy)
        copy.seek(0)
    except OSError as error:
        raise WorkError(f"{log.name}: cannot be read: {error.strerror or error}") from error
    return Log(log.name, copy, digest)

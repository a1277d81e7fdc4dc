"""Uploaded logs that are to count in the table: their samples kept as a session, once however often sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from typing import Any

from daemon.analysis.log_samples import unpacked_samples
from daemon.analysis.records import UploadedLog, table_values
from daemon.analysis.uploads import Uploads
from daemon.drives.kept_sessions import KeptSessions
from daemon.ingest.session_writer import SessionWriter, WrittenSession
from daemon.store.records import Session, SessionStart, StoreError
from daemon.store.store import Store
from lowmaf.maf_table import MafTable
from lowmaf.samples import SampleBatch
from web.log_shelf import AddedLog
from web.service_errors import LogUnusableError, ServiceUnavailableError
from web.session_shelf import SessionChange


class LogSessions:
    """Implements :class:`web.log_shelf.LogSessionDesk`. One log is added at a time.

    The process that looks into uploads reads the log; what it finds goes the way of samples that another
    logger pushes.
    """

    def __init__(
        self,
        uploads: Uploads,
        store: Store,
        writer: SessionWriter,
        sessions: KeptSessions,
        start: Callable[[], SessionStart],
        *,
        limit_s: float,
    ) -> None:
        """``start`` says by what samples would be judged now; a log must be read within ``limit_s``."""
        self._uploads = uploads
        self._store = store
        self._writer = writer
        self._sessions = sessions
        self._start = start
        self._limit_s = limit_s
        self._one_at_a_time = asyncio.Lock()

    async def add(self, log_id: str) -> AddedLog:
        """See :class:`web.log_shelf.LogSessionDesk`."""
        await self._uploads.log(log_id)
        async with self._one_at_a_time:
            log = self._uploads.known(log_id)
            digest = log.recognised.get("sha256")
            if digest is None:
                raise LogUnusableError(f"{log.name}: an older lowmaf took it: delete it and send it again")
            try:
                there = await self._with_digest(digest)
                number = await self._kept(log, digest) if there is None else there.id
                document = await self._sessions.change(number, SessionChange(included=True))
            except StoreError as error:
                raise ServiceUnavailableError(f"the log cannot be kept now: {error}") from None
            if not document["accepted"]:
                await self._sessions.delete(number)
                raise LogUnusableError(f"{log.name}: {_nothing_counted(document['verdicts'])}")
            return AddedLog(document, is_new=there is None)

    async def _with_digest(self, digest: str) -> Session | None:
        """The session that holds the same log, whoever kept it."""
        for session in await self._store.sessions():
            if session.settings.get("log", {}).get("sha256") == digest:
                return session
        return None

    async def _kept(self, log: UploadedLog, digest: str) -> int:
        """Number of a new session with all samples of the log."""
        table = self._store.current_table()
        if table is None:
            raise ServiceUnavailableError(
                "the MAF table in the database is damaged: tell which one was flashed"
            )
        self._writer.refuse_full_disk()

        def start() -> SessionStart:
            began = self._start()
            return replace(began, settings={**began.settings, "log": {"name": log.name, "sha256": digest}})

        kept = WrittenSession(self._writer, start, log.name)
        try:
            async with contextlib.aclosing(self._samples(log, table)) as batches:
                async for batch in batches:
                    await kept.take(batch)
            await kept.end()
        except BaseException:
            await kept.drop()
            raise
        return kept.session

    async def _samples(self, log: UploadedLog, table: MafTable) -> AsyncGenerator[SampleBatch]:
        job = {
            "work": "read_samples",
            "log": {"path": str(self._uploads.path(log.id)), "name": log.name},
            "table": table_values(table),
        }
        async with contextlib.aclosing(self._uploads.look_into(log.name, job, self._limit_s)) as frames:
            async for frame in frames:
                if frame.kind == "samples":
                    yield unpacked_samples(frame.payload)


def _nothing_counted(verdicts: list[Mapping[str, Any]]) -> str:
    """Why no sample of a log counts."""
    seen = sum(verdict["count"] for verdict in verdicts)
    if not seen:
        return "it has no samples"
    most = max(verdicts, key=lambda verdict: verdict["count"])
    return f"none of its {seen} samples counts, {most['count']} of them because: {most['words']}"

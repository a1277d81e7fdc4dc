"""Sessions of samples that come from elsewhere than the car: kept as they are, left out of the table."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from daemon.store.records import ClosedHow, SessionStart, StoreError
from daemon.store.store import Store
from daemon.wall_clock import ClockReading, read_clock
from lowmaf.maf_table import MafTable
from lowmaf.samples import SampleBatch
from web.ingest_desk import SamplesUnusableError
from web.service_errors import NoRoomError

WAITING_SAMPLES = 20_000
"""So many samples of all senders wait to be written; the store drops samples at three times that."""


INGEST, UPLOAD = "ingest", "upload"
"""What the database names as the source of such a session: another logger, an uploaded log."""


class SessionWriter:
    """Writes such sessions to one store, for all senders together no faster than the disk takes them.

    They are judged when they are included, by what they were begun with, as kept samples are that are gone
    through again.
    """

    def __init__(self, store: Store, *, min_free_bytes: float = 0.0) -> None:
        """With less than ``min_free_bytes`` on the disk nothing is taken."""
        self._store = store
        self._min_free_bytes = min_free_bytes
        self._waiting = 0
        self._one_writes = asyncio.Lock()

    async def restore(self) -> None:
        """Removes sessions that were never answered: whoever sent them sends them again."""
        for session in await self._store.sessions():
            if session.driver in (INGEST, UPLOAD) and session.closed_how is not ClosedHow.CLOSED:
                self._store.write_session_removal(session.id)
        await self._store.flush()

    def refuse_full_disk(self) -> None:
        """Raises :class:`NoRoomError` where the disk is to be left alone."""
        free_bytes = shutil.disk_usage(self._store.path.parent).free
        if free_bytes < self._min_free_bytes:
            raise NoRoomError(
                f"the disk has {free_bytes / 1e6:.0f} MB free, and "
                f"{self._min_free_bytes / 1e6:.0f} MB are to stay free"
            )

    def table(self) -> MafTable | None:
        """The table that is in the ECU now."""
        return self._store.current_table()

    def begin(self, start: SessionStart, name: str, began: ClockReading) -> int:
        """Begins a session, left out of the table."""
        session = self._store.write_session_start(start, began)
        self._store.write("UPDATE sessions SET included = 0, name = ? WHERE id = ?", name or None, session)
        return session

    async def write(self, session: int, batch: SampleBatch) -> None:
        """Keeps samples. Returns when so few wait that more may come."""
        async with self._one_writes:
            self._store.write_samples(session, batch)
            self._waiting += len(batch)
            if self._waiting >= WAITING_SAMPLES:
                await self._flush()

    async def end(self, session: int, at: ClockReading) -> None:
        """Ends a session; returns when it survives a power cut."""
        self._store.write_session_end(session, at, taught=False)
        await self._flush()

    async def remove(self, session: int) -> None:
        """Takes a session away again."""
        with suppress(StoreError):  # what waits of it is written one day, and then not included
            await self._flush()
            self._store.write_session_removal(session)

    async def _flush(self) -> None:
        waiting = self._waiting
        await self._store.flush()
        self._waiting = max(0, self._waiting - waiting)


class WrittenSession:
    """One of them, begun with its first samples. ``session`` is its number, 0 before."""

    def __init__(self, writer: SessionWriter, start: Callable[[], SessionStart], name: str) -> None:
        self.session = 0
        self._writer = writer
        self._start = start
        self._name = name
        self._began = read_clock()
        self._first_s = self._last_s = 0.0

    async def take(self, batch: SampleBatch) -> None:
        """Keeps samples.

        Raises:
            SamplesUnusableError: there is no way to find their cells.
        """
        if not self.session:
            table = self._writer.table()
            if "maf_v" not in batch.channels and (table is None or table.flow_gs is None):
                raise SamplesUnusableError(
                    "they have g/s but no MAF voltage: a MAF table with flow is needed to find their cells"
                )
            self.session = self._writer.begin(self._start(), self._name, self._began)
            self._first_s = float(batch.t_s[0])
        self._last_s = float(batch.t_s[-1])
        await self._writer.write(self.session, batch)

    async def end(self) -> None:
        """All of its samples are there."""
        drive_s = max(0.0, self._last_s - self._first_s)
        await self._writer.end(
            self.session, replace(self._began, monotonic_s=self._began.monotonic_s + drive_s)
        )

    async def drop(self) -> None:
        """It cannot be used after all."""
        if self.session:
            await asyncio.shield(self._writer.remove(self.session))

"""Sessions of samples that come from elsewhere than the car: kept as they are, left out of the table."""

from __future__ import annotations

import asyncio
import math
import shutil
import time
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

WAITING_SAMPLES = 28_000
"""So many samples of all senders wait to be written, and no more come at once: the store drops samples above
:data:`daemon.store.buffer.MAX_PENDING_SAMPLES`, and those of the drive that goes on must have room too."""

ROOM_LASTS_S = 1.0
"""For so long room on the disk is taken to be still there."""

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
        self._room_seen_s = -math.inf
        self._waiting = 0
        self._one_writes = asyncio.Lock()

    async def restore(self) -> None:
        """Removes sessions that were never answered: whoever sent them sends them again."""
        for session in await self._store.sessions():
            if session.driver in (INGEST, UPLOAD) and session.closed_how is not ClosedHow.CLOSED:
                self._store.write_session_removal(session.id)
        with suppress(StoreError):  # on a disk that takes no writes it is done once it does
            await self._store.flush()

    def refuse_full_disk(self) -> None:
        """Raises :class:`NoRoomError` where the disk is to be left alone."""
        now_s = time.monotonic()
        if now_s - self._room_seen_s < ROOM_LASTS_S:
            return
        free_bytes = shutil.disk_usage(self._store.path.parent).free
        if free_bytes < self._min_free_bytes:
            raise NoRoomError(
                f"the disk has {free_bytes / 1e6:.0f} MB free, and "
                f"{self._min_free_bytes / 1e6:.0f} MB are to stay free"
            )
        self._room_seen_s = now_s

    def table(self) -> MafTable | None:
        """The table that is in the ECU now."""
        return self._store.current_table()

    def begin(self, start: SessionStart, name: str, began: ClockReading) -> int:
        """Begins a session, left out of the table."""
        return self._store.write_session_start(start, began, name=name or None, included=False)

    async def write(self, session: int, batch: SampleBatch) -> None:
        """Keeps samples. Returns when so few wait that more may come."""
        for begin in range(0, len(batch), WAITING_SAMPLES):
            piece = batch.slice(begin, min(begin + WAITING_SAMPLES, len(batch)))
            async with self._one_writes:
                self._store.write_samples(session, piece)
                await self._wait_for_room(piece)

    async def write_whole(self, kept: WrittenSession, batch: SampleBatch) -> None:
        """Keeps a session that is over, of at most :data:`WAITING_SAMPLES`; returns when it survives a power
        cut.

        One row beside its samples is a fifth of what it costs to begin one, to name it and to end it.
        """
        async with self._one_writes:
            kept.session = self._store.write_whole_session(
                kept.start(), kept.began, batch, ended_s=kept.ended.monotonic_s, name=kept.name or None
            )
            full = await self._wait_for_room(batch)
        if not full:
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

    async def _wait_for_room(self, batch: SampleBatch) -> bool:
        """Counts samples that wait now; True when they were so many that they have been written since."""
        self._waiting += len(batch)
        if self._waiting < WAITING_SAMPLES:
            return False
        await self._flush()
        return True

    async def _flush(self) -> None:
        waiting = self._waiting
        await self._store.flush()
        self._waiting = max(0, self._waiting - waiting)


class WrittenSession:
    """One of them. It is begun when there is more than one batch, else written whole at its end; ``session``
    is its number from then on, 0 before."""

    def __init__(self, writer: SessionWriter, start: Callable[[], SessionStart], name: str) -> None:
        self.session = 0
        self.start = start
        self.name = name
        self.began = read_clock()
        self._writer = writer
        self._only: SampleBatch | None = None
        self._first_s = self._last_s = 0.0

    @property
    def ended(self) -> ClockReading:
        """When it would have ended, had it been driven from now on."""
        drive_s = max(0.0, self._last_s - self._first_s)
        return replace(self.began, monotonic_s=self.began.monotonic_s + drive_s)

    async def take(self, batch: SampleBatch) -> None:
        """Keeps samples.

        Raises:
            SamplesUnusableError: there is no way to find their cells.
        """
        first, self._only = self._only, None
        self._last_s = float(batch.t_s[-1])
        if first is None and not self.session:
            self._refuse_without_cells(batch)
            self._first_s = float(batch.t_s[0])
            if len(batch) <= WAITING_SAMPLES:
                self._only = batch
                return
        if not self.session:
            self.session = self._writer.begin(self.start(), self.name, self.began)
        if first is not None:
            await self._writer.write(self.session, first)
        await self._writer.write(self.session, batch)

    async def end(self) -> None:
        """All of its samples are there; returns when they survive a power cut."""
        if self._only is None:
            await self._writer.end(self.session, self.ended)
        else:
            await self._writer.write_whole(self, self._only)

    async def drop(self) -> None:
        """It cannot be used after all."""
        if self.session:
            await asyncio.shield(self._writer.remove(self.session))

    def _refuse_without_cells(self, batch: SampleBatch) -> None:
        table = self._writer.table()
        if "maf_v" not in batch.channels and (table is None or table.flow_gs is None):
            raise SamplesUnusableError(
                "they have g/s but no MAF voltage: a MAF table with flow is needed to find their cells"
            )

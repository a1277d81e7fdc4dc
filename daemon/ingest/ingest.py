"""Samples that another logger pushes: each body a session of its own, durable before it is answered."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from daemon.ingest.csv_records import read_csv
from daemon.ingest.fields import RecordLayouts
from daemon.ingest.records import RecordReader
from daemon.store.records import ClosedHow, SessionStart, StoreError
from daemon.store.store import Store
from daemon.wall_clock import ClockReading, read_clock
from lowmaf.maf_table import MafTable
from lowmaf.samples import SampleBatch
from web.ingest_desk import (
    Ingested,
    IngestFormat,
    IngestIncompleteError,
    SamplesUnusableError,
    TooManyIngestsError,
)
from web.service_errors import NoRoomError, ServiceUnavailableError

DRIVER = "ingest"
"""What the database names as the source of samples that were pushed."""

AT_ONCE = 64
"""Bodies that may arrive at the same time."""

CSV_AT_ONCE = 16
"""Of those, so many CSV bodies are read; others wait for their turn."""

QUIET_S = 30.0
"""A body of which nothing came for so long is given up."""

WAITING_SAMPLES = 20_000
"""So many samples of all bodies wait to be written; the store drops samples at three times that."""


class Ingestion:
    """Implements :class:`web.ingest_desk.IngestDesk`.

    The samples are kept as they are, left out of the table. They are judged when they are included, by what
    the session was begun with, as kept samples are that are gone through again.
    """

    def __init__(
        self, store: Store, start: Callable[[], SessionStart], *, min_free_bytes: float = 0.0
    ) -> None:
        """``start`` says by what samples would be judged now. With less than ``min_free_bytes`` on the disk
        nothing is taken."""
        self._store = store
        self._start = start
        self._min_free_bytes = min_free_bytes
        self._layouts = RecordLayouts()
        self._arriving = 0
        self._waiting = 0
        self._one_writes = asyncio.Lock()
        self._threads = ThreadPoolExecutor(CSV_AT_ONCE, "ingest")

    async def restore(self) -> None:
        """Removes sessions of bodies that were never answered: whoever sent them sends them again."""
        for session in await self._store.sessions():
            if session.driver == DRIVER and session.closed_how is not ClosedHow.CLOSED:
                self._store.write_session_removal(session.id)
        await self._store.flush()

    async def take(self, body_format: IngestFormat, chunks: AsyncIterator[bytes], name: str) -> Ingested:
        """See :class:`web.ingest_desk.IngestDesk`."""
        if self._arriving >= AT_ONCE:
            raise TooManyIngestsError(f"{AT_ONCE} bodies arrive already", retry_after_s=1.0)
        self._refuse_full_disk()
        self._arriving += 1
        kept = _KeptBody(self, name)
        try:
            read = self._read_csv if body_format is IngestFormat.CSV else self._read_records
            ingested = await read(_not_too_quiet(chunks), kept)
            await kept.end()
        except StoreError as error:
            await kept.drop()
            raise ServiceUnavailableError(f"the samples cannot be kept now: {error}") from None
        except BaseException:
            await kept.drop()
            raise
        finally:
            self._arriving -= 1
        return replace(ingested, session=kept.session)

    async def _read_records(self, chunks: AsyncIterator[bytes], kept: _KeptBody) -> Ingested:
        reader = RecordReader(self._layouts)
        async for chunk in chunks:
            batch = reader.feed(chunk)
            if batch is not None:
                await kept.take(batch)
        for batch in reader.finish():
            await kept.take(batch)
        return Ingested(
            session=0,
            bytes=reader.bytes,
            valid=reader.valid,
            invalid=reader.invalid,
            first_invalid=reader.first_invalid,
            inferred=reader.inferred,
            warnings=reader.warnings,
        )

    async def _read_csv(self, chunks: AsyncIterator[bytes], kept: _KeptBody) -> Ingested:
        return await read_csv(chunks, kept.take, self._threads)

    def _refuse_full_disk(self) -> None:
        free_bytes = shutil.disk_usage(self._store.path.parent).free
        if free_bytes < self._min_free_bytes:
            raise NoRoomError(
                f"the disk has {free_bytes / 1e6:.0f} MB free, and "
                f"{self._min_free_bytes / 1e6:.0f} MB are to stay free"
            )

    # ---- what a body that is being kept asks for

    def begin(self, name: str, began: ClockReading) -> int:
        """Begins a session, left out of the table."""
        session = self._store.write_session_start(self._start(), began)
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

    def table(self) -> MafTable | None:
        """The table that is in the ECU now."""
        return self._store.current_table()

    async def _flush(self) -> None:
        waiting = self._waiting
        await self._store.flush()
        self._waiting = max(0, self._waiting - waiting)


class _KeptBody:
    """The session of one body, begun with its first samples."""

    def __init__(self, ingestion: Ingestion, name: str) -> None:
        self.session = 0
        self._ingestion = ingestion
        self._name = name
        self._began = read_clock()
        self._first_s = self._last_s = 0.0

    async def take(self, batch: SampleBatch) -> None:
        """Keeps samples.

        Raises:
            SamplesUnusableError: there is no way to find their cells.
        """
        if not self.session:
            table = self._ingestion.table()
            if "maf_v" not in batch.channels and (table is None or table.flow_gs is None):
                raise SamplesUnusableError(
                    "they have g/s but no MAF voltage: a MAF table with flow is needed to find their cells"
                )
            self.session = self._ingestion.begin(self._name, self._began)
            self._first_s = float(batch.t_s[0])
        self._last_s = float(batch.t_s[-1])
        await self._ingestion.write(self.session, batch)

    async def end(self) -> None:
        """All of the body is there."""
        drive_s = max(0.0, self._last_s - self._first_s)
        ended = replace(self._began, monotonic_s=self._began.monotonic_s + drive_s)
        await self._ingestion.end(self.session, ended)

    async def drop(self) -> None:
        """The body cannot be used after all."""
        if self.session:
            await asyncio.shield(self._ingestion.remove(self.session))


async def _not_too_quiet(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks, as long as they come."""
    while True:
        try:
            async with asyncio.timeout(QUIET_S):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise IngestIncompleteError(f"nothing came for {QUIET_S:g} s: the body is given up") from None
        yield chunk

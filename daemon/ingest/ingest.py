"""Samples that another logger pushes: each body a session of its own, durable before it is answered.

They are not judged here: a session counts when somebody includes it, and is then judged with the rest of what
is kept. Records are decoded on the event loop: a body's part takes it a millisecond, decoding is a quarter of
all that a record costs, and one core takes more records than any number of cars in a club sends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from daemon.ingest.csv_records import read_csv
from daemon.ingest.fields import RecordLayouts
from daemon.ingest.records import RecordReader
from daemon.ingest.session_writer import SessionWriter, WrittenSession
from daemon.serving.long_bodies import LongBodyLimits, kept_up
from daemon.store.records import SessionStart, StoreError
from drivers.logs.limits import DEFAULT_LIMITS, LogLimits
from web.ingest_desk import Ingested, IngestFormat, IngestIncompleteError, TooManyIngestsError
from web.service_errors import ServiceUnavailableError

AT_ONCE = 64
"""Bodies that may arrive at the same time."""

CSV_AT_ONCE = 16
"""Of those, so many CSV bodies are read; others wait for their turn."""


class Ingestion:
    """Implements :class:`web.ingest_desk.IngestDesk`."""

    def __init__(
        self,
        writer: SessionWriter,
        start: Callable[[], SessionStart],
        *,
        bodies: LongBodyLimits | None = None,
        log_limits: LogLimits = DEFAULT_LIMITS,
    ) -> None:
        """``start`` says by what samples would be judged now. ``bodies``: how slowly one may come."""
        self._bodies = bodies or LongBodyLimits()
        self._log_limits = log_limits
        self._writer = writer
        self._start = start
        self._layouts = RecordLayouts()
        self._arriving = 0
        self._threads = ThreadPoolExecutor(CSV_AT_ONCE, "ingest")

    async def take(self, body_format: IngestFormat, chunks: AsyncIterator[bytes], name: str) -> Ingested:
        """See :class:`web.ingest_desk.IngestDesk`."""
        if self._arriving >= AT_ONCE:
            raise TooManyIngestsError(f"{AT_ONCE} bodies arrive already", retry_after_s=1.0)
        self._writer.refuse_full_disk()
        self._arriving += 1
        kept = WrittenSession(self._writer, self._start, name)
        try:
            read = self._read_csv if body_format is IngestFormat.CSV else self._read_records
            ingested = await read(kept_up(chunks, self._bodies, IngestIncompleteError), kept)
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

    async def _read_records(self, chunks: AsyncIterator[bytes], kept: WrittenSession) -> Ingested:
        reader = RecordReader(self._layouts, self._log_limits.line_bytes)
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

    async def _read_csv(self, chunks: AsyncIterator[bytes], kept: WrittenSession) -> Ingested:
        return await read_csv(chunks, kept.take, self._threads, self._log_limits)

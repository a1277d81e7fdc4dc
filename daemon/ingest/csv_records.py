"""A CSV body to samples, by the reader of recorded logs, which pulls the body from the connection."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any, BinaryIO, TypeVar, cast

from drivers.logs.errors import LogUnreadableError
from drivers.logs.layout import NAME_ONE
from drivers.logs.limits import DEFAULT_LIMITS, LogLimits
from drivers.logs.reader import LogReader
from drivers.logs.summary import LogSummary, counted
from drivers.logs.text_source import READ_BYTES
from lowmaf.samples import SampleBatch
from web.ingest_desk import Ingested, InvalidRecord, SamplesUnusableError

T = TypeVar("T")

_FEW_SAMPLES = 100
"""A batch of less, such as the last sample of a log, goes with the one before it."""

_PACKED = (b"\x1f\x8b", b"PK\x03\x04")
_NAME = "the body"


async def read_csv(
    chunks: AsyncIterator[bytes],
    keep: Callable[[SampleBatch], Awaitable[None]],
    threads: concurrent.futures.Executor,
    limits: LogLimits = DEFAULT_LIMITS,
) -> Ingested:
    """Reads a body in one of the ``threads`` and hands its samples to ``keep``; no more of the body is taken
    than is needed.

    Within the ``limits``, but for the rows: a body is of any length. The threads must not be those of the
    event loop, which keeping the samples may have to wait for.

    Raises:
        SamplesUnusableError: it is no log that can give a table; says why.
    """
    body = _Body(chunks, asyncio.get_running_loop())

    async def kept(batch: SampleBatch) -> None:
        await keep(batch)

    def read() -> tuple[LogSummary, list[InvalidRecord]]:
        reader = LogReader(cast(BinaryIO, body), _NAME, limits=replace(limits, rows=sys.maxsize))
        for batch in _without_few(reader.batches()):
            body.wait_for(kept(batch))
        return reader.summary, [InvalidRecord(line, why) for line, why in reader.first_unusable]

    reading = asyncio.get_running_loop().run_in_executor(threads, read)
    try:
        summary, first_invalid = await asyncio.shield(reading)
    except LogUnreadableError as error:
        raise SamplesUnusableError(str(error).replace(NAME_ONE, "")) from None
    except asyncio.CancelledError:
        body.abandon()
        await asyncio.wait((reading,))
        raise
    left_out = sum(summary.unusable.values())
    return Ingested(
        session=0,
        bytes=body.bytes,
        valid=summary.rows - left_out,
        invalid=left_out,
        first_invalid=first_invalid,
        inferred=summary.inferred,
        warnings=(
            *summary.warnings,
            *(f"{counted(rows, 'row')}: {why}" for why, rows in summary.unusable.items()),
        ),
    )


def _without_few(batches: Iterator[SampleBatch]) -> Iterator[SampleBatch]:
    """The same samples; each batch is held back until it is known what follows."""
    held: SampleBatch | None = None
    for batch in batches:
        if held is not None and len(batch) < _FEW_SAMPLES:
            batch = SampleBatch.concatenate((held, batch))  # noqa: PLW2901 - it takes the place of both
        elif held is not None:
            yield held
        held = batch
    if held is not None:
        yield held


class _Body:
    """What is there of a body as a stream to be read in another thread.

    Each way to the event loop and back costs as much as reading some hundred rows, so more is asked for than
    is read first.
    """

    def __init__(self, chunks: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self.bytes = 0
        self._chunks = chunks
        self._loop = loop
        self._there = b""
        self._begin = 0
        self._ended = False
        self._abandoned = threading.Event()
        self._waiting: concurrent.futures.Future[Any] | None = None

    def read(self, size: int) -> bytes:
        """Up to ``size`` of the bytes that are there; nothing at the end of the body. :data:`READ_BYTES` are
        fetched at once."""
        if self._begin == len(self._there):
            self._begin, self._there = 0, b"" if self._ended else self.wait_for(self._arrived(READ_BYTES))
        data = self._there[self._begin : self._begin + size]
        self._begin += len(data)
        return data

    def seekable(self) -> bool:
        """It cannot go back."""
        return False

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Has the event loop do something, and waits for it here in the thread."""
        if self._abandoned.is_set():
            work.close()
            raise concurrent.futures.CancelledError
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._waiting = waiting
        if self._abandoned.is_set():  # just now, when this was not known to be waited for yet
            waiting.cancel()
        return waiting.result()

    def abandon(self) -> None:
        """Nobody waits for the samples any more."""
        self._abandoned.set()
        if self._waiting is not None:
            self._waiting.cancel()

    async def _arrived(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                self._ended = True
                break
            if not self.bytes and chunk.startswith(_PACKED):
                raise SamplesUnusableError(
                    "the body is packed; it is pushed as it is (packed logs are uploaded to /api/v1/logs)"
                )
            self.bytes += len(chunk)
            parts.append(chunk)
            size -= len(chunk)
        return b"".join(parts)

"""What a daemon of this kind costs at least: the libraries, and the plainest use of each.

50 samples/s into sums per cell, ten events a second to whoever listens, a blob to the database every two
seconds, one page. Where a serial CAN adapter is named, an ECU is polled over it 50 times a second, and what
it answers is counted. Prints its address; runs until it is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import aiosqlite
import can
import numpy as np
import uvicorn
from bare_adapter import REQUEST, BareAdapter, frames_of
from fastapi import FastAPI
from starlette.responses import Response, StreamingResponse

RATE_HZ = 50.0
EVENTS_HZ = 10.0
COMMIT_S = 2.0
AXIS_V = np.linspace(0.9, 5.0, 54)
DRIVER = can.Message


def main(database: Path, adapter: str | None) -> None:
    sums, hits = np.zeros(54), np.zeros(54, dtype=np.int64)
    waiting: list[tuple[float, float]] = []

    def count(number: int) -> None:
        maf_v, trim_pct = 1.2 + 0.01 * (number % 200), 0.1 * (number % 17)
        cell = int(AXIS_V.searchsorted(maf_v))
        sums[cell] += trim_pct
        hits[cell] += 1
        waiting.append((maf_v, trim_pct))

    async def source() -> None:
        number = 0
        while True:
            await asyncio.sleep(1.0 / RATE_HZ)
            number += 1
            count(number)

    async def polled(path: str) -> None:
        loop, stop = asyncio.get_running_loop(), threading.Event()
        ecu = BareAdapter(path, frames_of(REQUEST))

        def keep_polling() -> None:
            for answer in ecu.samples(RATE_HZ, stop):
                loop.call_soon_threadsafe(count, answer[1])

        threading.Thread(target=keep_polling, daemon=True).start()
        try:
            await asyncio.Event().wait()
        finally:
            stop.set()

    async def keep() -> None:
        async with aiosqlite.connect(database) as connection:
            await connection.execute("PRAGMA journal_mode=WAL")
            await connection.execute("PRAGMA synchronous=FULL")
            await connection.execute("CREATE TABLE samples (blob BLOB)")
            while True:
                await asyncio.sleep(COMMIT_S)
                await connection.execute("INSERT INTO samples VALUES (?)", (np.array(waiting).tobytes(),))
                await connection.commit()
                waiting.clear()

    def table() -> str:
        return json.dumps({"correction_pct": (sums / np.maximum(hits, 1)).tolist(), "hits": hits.tolist()})

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sampling = source() if adapter is None else polled(adapter)
        tasks = [asyncio.create_task(sampling), asyncio.create_task(keep())]
        yield
        for task in tasks:
            task.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def page() -> Response:
        return Response("<!doctype html>", media_type="text/html")

    @app.get("/api/v1/table")
    async def get_table() -> Response:
        return Response(table(), media_type="application/json")

    @app.get("/api/v1/stream")
    async def stream() -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            while True:
                yield f"event: live\ndata: {table()}\n\n"
                await asyncio.sleep(1.0 / EVENTS_HZ)

        return StreamingResponse(events(), media_type="text/event-stream")

    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, http="h11", ws="none", log_level="warning", access_log=False))
    server.run([listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)

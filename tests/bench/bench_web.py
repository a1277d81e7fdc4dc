"""What the table costs over HTTP: ``python tests/bench/bench_web.py``, about 40 seconds.

The table route and a plain FastAPI route that returns the same prepared bytes are asked in turns
with 64 connections, by wrk where it is installed, else by an asyncio client in another process.
Server and client share the machine: trust the ratio, not the requests per second.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import httpx
import uvicorn
from fakes import FakeBoard, serving
from fastapi import FastAPI
from fastapi.responses import Response
from figures import report

from daemon.serving.server import listen, listener_url
from web.app import create_app
from web.current_table import CurrentTable
from web.event_stream import EventStream

CONNECTIONS = 64
SECONDS = 3
ROUNDS = 4
CHANGES = 300
LISTENERS = 100


def plain_app(body: bytes) -> FastAPI:
    """What one would write without thinking of speed, except that the bytes are prepared."""
    app = FastAPI()

    @app.get("/api/v1/table")
    async def table() -> Response:
        return Response(body, media_type="application/json")

    return app


@contextlib.asynccontextmanager
async def plainly_served(app: FastAPI) -> AsyncIterator[str]:
    """uvicorn with the same parser and its own settings otherwise; yields the address."""
    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http="h11", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        serving_plainly = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener_url(listener)
        finally:
            server.should_exit = True
            await serving_plainly


async def requests_per_s(url: str) -> float:
    """One round at 64 connections."""
    if wrk := shutil.which("wrk"):
        command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", url]
    else:
        command = [sys.executable, __file__, "--client", url]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    match = re.search(rb"Requests/sec:\s+([0-9.]+)", output)
    if match is None or b"Non-2xx" in output:
        raise RuntimeError(f"the client failed: {output.decode()}")
    return float(match[1])


async def client(url: str) -> None:
    """The fallback for wrk: says how many answers of status 200 came per second."""
    address = httpx.URL(url)
    request = f"GET {address.path} HTTP/1.1\r\nHost: {address.host}\r\n\r\n".encode()
    end_s = time.monotonic() + SECONDS

    async def ask() -> int:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        answers = 0
        while time.monotonic() < end_s:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = re.search(rb"content-length: (\d+)", head)
            assert length
            await reader.readexactly(int(length[1]))
            answers += 1
        writer.close()
        return answers

    answers = await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    print(f"Requests/sec: {sum(answers) / SECONDS}")


async def throughput() -> None:
    """Requests per second of both, interleaved."""
    app = create_app(FakeBoard(), version="bench")
    async with serving(app) as url:
        async with httpx.AsyncClient() as asking:
            body = (await asking.get(f"{url}api/v1/table")).content
        async with plainly_served(plain_app(body)) as plain_url:
            ours, plain = [], []
            for _ in range(ROUNDS):
                ours.append(await requests_per_s(f"{url}api/v1/table"))
                plain.append(await requests_per_s(f"{plain_url}api/v1/table"))
    print(f"table of {len(body)} bytes, {CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS} s in turns")
    peer = ("FastAPI, same bytes", statistics.median(plain))
    report("GET /api/v1/table", statistics.median(ours), "requests/s", peer=peer, ratio_at_least=3.0)


async def freshness() -> None:
    """From a change on the board to an answer that has it."""
    board = FakeBoard()
    waits_ms = []
    async with serving(create_app(board, version="bench")) as url, httpx.AsyncClient(base_url=url) as asking:
        await asking.get("/api/v1/table")
        for _ in range(CHANGES):
            board.next_revision()
            wanted = board.newest.revision
            changed_s = time.perf_counter()
            while (await asking.get("/api/v1/table")).json()["revision"] != wanted:
                pass
            waits_ms.append(1e3 * (time.perf_counter() - changed_s))
    waits_ms.sort()
    p50, p99 = waits_ms[len(waits_ms) // 2], waits_ms[int(0.99 * len(waits_ms))]
    report("from a change to the answer, median", p50, "ms")
    report("from a change to the answer, p99", p99, "ms", at_most=20.0)


async def fan_out() -> None:
    """CPU time of the server per update that goes to many listeners, client side left out."""
    board = FakeBoard()
    events = EventStream(board, CurrentTable(board))
    async with _listeners(events):
        await asyncio.sleep(0.5)
        started_s, first = time.process_time(), board.newest.revision
        for _ in range(30):
            board.next_revision()
            await asyncio.sleep(0.11)
        cpu_ms = 1e3 * (time.process_time() - started_s) / (board.newest.revision - first)
    report(f"an update handed to {LISTENERS} listeners, no sockets: CPU", cpu_ms, "ms")


@contextlib.asynccontextmanager
async def _listeners(events: EventStream) -> AsyncIterator[None]:
    async def swallow(_message: object) -> None:
        return

    tasks = [asyncio.create_task(events.send_events(swallow, "")) for _ in range(LISTENERS)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def main() -> None:
    await throughput()
    await freshness()
    await fan_out()


if __name__ == "__main__":
    asyncio.run(client(sys.argv[2]) if "--client" in sys.argv else main())

"""More processes on one port: they answer as the daemon does, and nobody notices when one of them dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import httpx
import pytest
from fakes import FakeBoard, FakeResults, serving
from test_web_hot_paths import HEADERS, answers_to

from daemon.serving.handover import LONGEST, Giver, Taker, socket_pair
from daemon.serving.limits import WebLimits
from daemon.serving.publications import Begin, NewResult, NewTable, ResultGone, packed, received
from daemon.serving.server import listen, serve_on
from daemon.serving.worker import Published
from daemon.serving.workers import Workers
from web.app import create_app
from web.front import Front

WITHIN_S = 30.0
GET = b"GET /api/v1/table HTTP/1.1\r\nHost: localhost\r\n"


@dataclass
class Served:
    """A server with a worker; ``adopted`` counts the connections that came back to it."""

    port: int
    board: FakeBoard
    front: Front
    workers: Workers
    adopted: list[int]


@contextlib.asynccontextmanager
async def served(limits: WebLimits | None = None) -> AsyncIterator[Served]:
    """Only the worker takes connections, so that it is the one which is tested."""
    board, loop = FakeBoard(), asyncio.get_running_loop()
    front = Front(board, results=FakeResults())
    app = create_app(board, version="1.2.3", front=front, results=FakeResults())
    limits = limits or WebLimits()
    workers = Workers(1, front, limits=limits)
    adopted = [0]
    run = workers.run

    async def counted(listener: socket.socket, adopt: object) -> None:
        def count(connection: socket.socket, begun: bytes) -> None:
            adopted[0] += 1
            adopt(connection, begun)  # type: ignore[operator]

        await run(listener, count)

    workers.run = counted  # type: ignore[method-assign]
    listening = asyncio.Event()
    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        serving_all = asyncio.create_task(
            serve_on(
                app,
                front.events,
                front.hot_paths,
                listener,
                limits=limits,
                listening=lambda _: listening.set(),
                workers=workers,
            )
        )
        try:
            async with asyncio.timeout(WITHIN_S):
                await listening.wait()
                loop.remove_reader(listener)
                yield Served(listener.getsockname()[1], board, front, workers, adopted)
                assert not serving_all.done()
        finally:
            serving_all.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving_all


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    """Looks again and again: what another process has done is not ours to signal."""
    while not await met():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def asked(port: int, request: bytes = GET + b"\r\n") -> bytes:
    """The answer to one request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.removesuffix(b"\r\n") + b"Connection: keep-alive\r\n\r\n")
    answer = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length: "))
    answer += await reader.readexactly(int(length.partition(b": ")[2]))
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_worker_and_the_daemon_answer_alike() -> None:
    app = create_app(FakeBoard(), version="1.2.3", results=FakeResults())
    async with served() as by_worker, serving(app) as url:
        port = httpx.URL(url).port
        for path in (
            b"/api/v1/table",
            b"/api/v1/table?format=csv",
            b"/api/v1/results/PUBLISHED",
            b"/api/v1/results/unknown",
            b"/static/app.js",
            b"/nothing",
        ):
            for headers in HEADERS:
                request = b"GET " + path + b" HTTP/1.1\r\n" + headers
                if not headers.startswith(b"Host"):
                    request += b"Host: localhost\r\n"
                assert await answers_to(by_worker.port, request) == await answers_to(port, request), request


async def test_the_table_and_results_at_hand_are_answered_by_the_worker_itself() -> None:
    async with served() as by_worker:
        result = GET.replace(b"table", b"results/PUBLISHED") + b"\r\n"
        first = await asked(by_worker.port, result)
        assert by_worker.adopted == [1], "only the daemon can read it"

        async def at_hand() -> bool:
            return not await handed_over_again(by_worker, result)

        await until(at_hand)
        again = await asked(by_worker.port, result)
        assert again.partition(b"\r\n\r\n")[2] == first.partition(b"\r\n\r\n")[2] == FakeResults.TABLE
        before = by_worker.adopted[0]
        assert (await asked(by_worker.port)).startswith(b"HTTP/1.1 200 OK\r\n")
        assert by_worker.adopted[0] == before
        await by_worker.front.published.delete("PUBLISHED")
        await until(lambda: handed_over_again(by_worker, result))


async def handed_over_again(by_worker: Served, result: bytes) -> bool:
    before = by_worker.adopted[0]
    await asked(by_worker.port, result)
    return by_worker.adopted[0] > before


async def test_a_new_table_is_seen() -> None:
    async with served() as by_worker:
        assert b'"revision":42,' in await asked(by_worker.port)
        by_worker.board.next_revision()

        async def seen() -> bool:
            return b'"revision":43,' in await asked(by_worker.port)

        await until(seen)
        assert by_worker.adopted == [0]


async def test_a_connection_goes_on_with_the_daemon_from_where_it_was() -> None:
    """Requests in pieces, several at once, a body, and the stream of events."""
    async with served() as by_worker:
        reader, writer = await asyncio.open_connection("127.0.0.1", by_worker.port)
        writer.write(GET + b"\r\n")
        assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.write(GET[:20])

        async def handed_over() -> bool:
            return by_worker.adopted == [1]

        await until(handed_over)
        writer.write(GET[20:] + b"\r\n" + GET + b"Connection: close\r\n\r\n")
        assert (await reader.read()).count(b"HTTP/1.1 200 OK") == 2
        writer.close()
        body = b"[" + b" " * 3 * LONGEST + b"]"
        head = b"POST /api/analyze/0/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(body)
        assert b'"MafVoltage"' in await asked(by_worker.port, head + b"Connection: close\r\n\r\n" + body)
        reader, writer = await asyncio.open_connection("127.0.0.1", by_worker.port)
        writer.write(GET.replace(b"table", b"stream") + b"\r\n")
        await reader.readuntil(b"event: table")
        assert by_worker.front.events.listeners == 1
        writer.close()
        await writer.wait_closed()


async def test_a_worker_that_dies_is_started_again_and_ends_with_the_daemon(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    async with served() as by_worker:
        assert b" 200 OK" in await asked(by_worker.port)
        first = by_worker.workers.processes[0]
        os.kill(first, signal.SIGTERM)
        assert b" 200 OK" in await asked(by_worker.port), "signals are for the daemon"
        os.kill(first, signal.SIGKILL)

        async def again() -> bool:
            return by_worker.workers.processes.get(0, first) != first

        await until(again)
        assert b" 200 OK" in await asked(by_worker.port), "who waits meanwhile is answered then"
        second = by_worker.workers.processes[0]
    assert "worker 0 of the dashboard ended with status -9; again in 0.5 s" in caplog.text
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


async def test_beyond_a_worker_s_limit_the_daemon_decides() -> None:
    async with served(WebLimits(connections=2)) as by_worker:
        kept = [await asyncio.open_connection("127.0.0.1", by_worker.port) for _ in range(5)]
        statuses = []
        for reader, writer in kept:
            writer.write(GET + b"\r\n")
            statuses.append((await reader.readline())[9:12])
        assert sorted(statuses) == [b"200"] * 4 + [b"503"]
        for _, writer in kept:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def test_what_is_told_arrives_as_it_was() -> None:
    pipe = asyncio.StreamReader()
    told = [
        Begin(WebLimits(idle_s=5.0), ("car.example",), 7.0),
        NewTable(b"{}", 3),
        NewResult("a", b"[1]"),
        ResultGone("a"),
    ]
    pipe.feed_data(b"".join(map(packed, told)) + packed(told[1])[:-1])
    pipe.feed_eof()
    assert [await received(pipe) for _ in told] == told
    assert await received(pipe) is None, "half of one is none"
    published = Published()
    assert published.newest_json() is None
    for news in told[:3]:
        published.take(news)
    assert (published.newest_json(), published.at_hand("a")) != (None, None)
    published.take(told[3])
    assert published.at_hand("a") is None


async def test_connections_that_do_not_get_through_at_once_wait() -> None:
    ours, theirs = socket_pair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    came: list[bytes] = []

    def adopt(connection: socket.socket, begun: bytes) -> None:
        connection.close()
        came.append(begun)

    giver = Giver(theirs)
    told = [b"%d" % number * 1000 for number in range(30)]
    with contextlib.closing(ours), contextlib.closing(theirs):
        for begun in told:
            giver.give(ours.fileno(), begun)
        Taker(ours, adopt)
        async with asyncio.timeout(WITHIN_S):

            async def all_came() -> bool:
                return len(came) == len(told)

            await until(all_came)
    assert came == told

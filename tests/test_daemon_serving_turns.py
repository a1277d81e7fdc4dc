"""Requests that arrive together begin a few at a time, in their order, and none is forgotten."""

from __future__ import annotations

import asyncio
import itertools

import httpx
import pytest
from fakes import FakeBoard, serving
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from daemon.serving.turns import AT_ONCE, Turns
from web.app import create_app

STATUS = b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = STATUS[:-2] + b"Connection: close\r\n\r\n"
CROWD = 60


async def test_no_turn_begins_more_than_it_may_and_the_order_is_kept() -> None:
    turns = Turns(at_once=3)
    begun: list[int] = []
    for number in range(8):
        turns.take(lambda number=number: begun.append(number))  # type: ignore[misc]
    met = [len(begun)]
    while len(turns):
        await asyncio.sleep(0.0)
        met.append(len(begun))
    assert begun == list(range(8))
    assert met == [3, 6, 8]
    await asyncio.sleep(0.0)
    turns.take(lambda: begun.append(8))
    assert begun[-1] == 8, "who comes alone does not wait"


async def test_one_that_fails_does_not_keep_the_others_from_their_turn() -> None:
    turns = Turns(at_once=2)
    begun: list[int] = []
    failures: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: failures.append(str(context["exception"]))
    )

    def fail() -> None:
        raise RuntimeError("no")

    turns.take(lambda: begun.append(0))
    turns.take(lambda: begun.append(1))
    for begin in (fail, lambda: begun.append(2), lambda: begun.append(3)):
        turns.take(begin)
    for _ in range(3):
        await asyncio.sleep(0.0)
    assert begun == [0, 1, 2, 3]
    assert failures == ["no"]


class Counting:
    """ASGI middleware: counts the requests that reach the application."""

    def __init__(self, app: ASGIApp, counts: list[int]) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._counts[0] += 1
        await self._app(scope, receive, send)


def counted_app() -> tuple[FastAPI, list[int]]:
    app, counts = create_app(FakeBoard(), version="1"), [0]
    app.add_middleware(Counting, counts=counts)
    return app, counts


@pytest.mark.parametrize("at_once", [1, 8])
async def test_a_crowd_leaves_other_work_its_turns_and_all_are_answered(at_once: int) -> None:
    """Also where everybody sends several requests without waiting for answers."""
    app, counts = counted_app()
    met: list[int] = []

    async def other_work() -> None:
        while True:
            met.append(counts[0])
            await asyncio.sleep(0.0)

    async with serving(app) as url, asyncio.timeout(30.0):
        port = httpx.URL(url).port
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CROWD)]
        working = asyncio.create_task(other_work())
        for _, writer in opened:
            writer.write(STATUS * (at_once - 1) + LAST)
        for reader, writer in opened:
            assert (await reader.read()).count(b"HTTP/1.1 200 OK\r\n") == at_once
            writer.close()
        working.cancel()
    steps = [later - earlier for earlier, later in itertools.pairwise(met)]
    assert counts[0] == CROWD * at_once
    assert max(steps) <= 2 * AT_ONCE, "a turn may see those that began in the one before, and in itself"


@pytest.mark.parametrize("size", [10, 400_000])
async def test_who_leaves_while_he_waits_is_passed_over_and_a_long_body_arrives_whole(size: int) -> None:
    app, counts = counted_app()
    async with serving(app) as url, asyncio.timeout(30.0):
        port = httpx.URL(url).port
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CROWD)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _, other in opened:
            other.write(STATUS)
        body = b"[" + b" " * size + b"]"
        writer.write(
            b"POST /api/analyze/0/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        writer.write(body)
        for _, other in opened[AT_ONCE:]:
            other.transport.abort()
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        for other, _ in opened[:AT_ONCE]:
            assert await other.readline() == b"HTTP/1.1 200 OK\r\n"
        for _, other in (*opened[:AT_ONCE], (reader, writer)):
            other.close()
    assert counts[0] < CROWD, "nobody waits for the answer"

"""The application that is made when it is first asked."""

from __future__ import annotations

import asyncio
import gc
import threading

import httpx
import pytest
from fakes import FakeBoard
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from daemon.serving.app_on_demand import AppOnDemand
from daemon.serving.limits import WebLimits
from daemon.serving.server import listen, listener_url, serve_on
from web.front import Front


def client(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


async def test_it_is_made_once_for_requests_that_come_together_and_not_in_the_loop() -> None:
    made_in: list[int] = []
    go_on = threading.Event()

    def make() -> ASGIApp:
        made_in.append(threading.get_ident())
        go_on.wait(5.0)
        return PlainTextResponse("here")

    async with client(AppOnDemand(make)) as browser:
        asking = [asyncio.create_task(browser.get("/")) for _ in range(5)]
        while not made_in:  # noqa: ASYNC110 - the thread's state, not ours to signal
            await asyncio.sleep(0.001)
        go_on.set()
        answers = await asyncio.gather(*asking)
        answers.append(await browser.get("/again"))
    assert [answer.text for answer in answers] == ["here"] * 6
    assert len(made_in) == 1
    assert made_in[0] != threading.get_ident()


async def test_what_was_made_is_not_looked_through_by_the_garbage_collector() -> None:
    """That takes as long as all of it is large, and samples and answers wait meanwhile."""

    class Large:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await PlainTextResponse("here")(scope, receive, send)

    made = Large()
    gc.unfreeze()
    try:
        async with client(AppOnDemand(lambda: made)) as browser:
            await browser.get("/")
        assert gc.get_freeze_count() > 0
        assert not any(one is made for one in gc.get_objects()), "it is still among those that are looked at"
    finally:
        gc.unfreeze()


async def test_after_a_failure_the_next_request_tries_again() -> None:
    outcomes = iter((OSError("too many open files"), PlainTextResponse("here")))

    def make() -> ASGIApp:
        outcome = next(outcomes)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    async with client(AppOnDemand(make)) as browser:
        with pytest.raises(OSError, match="too many open files"):
            await browser.get("/")
        assert (await browser.get("/")).text == "here"


async def test_what_a_drive_needs_does_not_make_it() -> None:
    def make() -> ASGIApp:
        raise AssertionError("the application was made")

    front = Front(FakeBoard())
    listener = listen("127.0.0.1", 0)
    serving = asyncio.create_task(
        serve_on(AppOnDemand(make), front.events, front.hot_paths, listener, limits=WebLimits())
    )
    try:
        async with httpx.AsyncClient(base_url=listener_url(listener)) as browser:
            for path in ("/", "/static/app.js", "/api/v1/table", "/api/v1/status"):
                assert (await browser.get(path)).status_code == 200
            async with browser.stream("GET", "/api/v1/stream") as stream:
                assert "retry" in await anext(stream.aiter_lines())
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()

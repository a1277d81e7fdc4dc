"""Two thousand connections of a byte per second: the dashboard answers as if they were not there."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from daemon_process import running_demo

SLOW = 2000
P99_LIMIT_S = 0.1
OF_QUIET = 5.0
"""On a machine that is busy with other things: so many times what it takes without the crowd."""

WINDOWS = 6
"""Other work on this machine may spoil a window; every one of them would have to be spoiled."""

HEAD = b"GET /api/v1/table HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"a" * 1000
BODY = b"POST /api/analyze/0/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\n"


@pytest.fixture(autouse=True)
def open_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < SLOW + 500:
        pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, SLOW + 500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Slowpoke:
    """A connection that sends a byte of its head, or of its body, each second, and comes back when cut."""

    def __init__(self, port: int, number: int) -> None:
        self._port = port
        self._in_body = number % 2 == 1
        self._begin_s = number / SLOW
        self.cut = 0
        self.open = False

    async def run(self) -> None:
        await asyncio.sleep(3.0 * self._begin_s)
        while True:
            with contextlib.suppress(OSError):
                await self._drip()
            self.cut += self.open
            self.open = False
            await asyncio.sleep(1.0)

    async def _drip(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.open = True
        try:
            if self._in_body:
                writer.write(BODY)
            for position in range(len(HEAD)):
                writer.write(HEAD[position : position + 1] if not self._in_body else b" ")
                await asyncio.sleep(1.0)
                if reader.at_eof() or writer.is_closing():
                    return
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def slow_crowd(port: int) -> AsyncIterator[list[Slowpoke]]:
    crowd = [Slowpoke(port, number) for number in range(SLOW)]
    tasks = [asyncio.create_task(one.run()) for one in crowd]
    try:
        yield crowd
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def p99_s(client: httpx.AsyncClient, requests: int) -> float:
    """Of requests as an open dashboard makes them, one after the other."""
    took_s = []
    for number in range(requests):
        path = ("/", "/api/v1/table", "/api/v1/status", "/static/app.js")[number % 4]
        begin_s = time.perf_counter()
        response = await client.get(path)
        took_s.append(time.perf_counter() - begin_s)
        assert response.status_code == 200
        await asyncio.sleep(0.01)
    return sorted(took_s)[int(0.99 * len(took_s))]


@pytest.mark.parametrize("requests", [100, pytest.param(1500, marks=pytest.mark.long)])
async def test_slow_connections_do_not_keep_the_dashboard_waiting(tmp_path: Path, requests: int) -> None:
    with running_demo(tmp_path) as address:
        url = httpx.URL(address)
        assert url.port is not None
        async with httpx.AsyncClient(base_url=address, timeout=30.0) as client:
            quiet_s = min([await p99_s(client, requests // 2) for _ in range(2)])
            limit_s = max(P99_LIMIT_S, OF_QUIET * quiet_s)
        async with slow_crowd(url.port) as crowd, httpx.AsyncClient(base_url=address, timeout=30.0) as client:
            async with asyncio.timeout(60.0):
                while sum(one.open for one in crowd) < 0.9 * SLOW:  # noqa: ASYNC110 - 2000 tasks are counted
                    await asyncio.sleep(0.1)
            measured = []
            while len(measured) < WINDOWS and min(measured, default=60.0) > limit_s:
                measured.append(await p99_s(client, requests))
            print(
                f"{sum(one.open for one in crowd)} open, p99 {min(measured) * 1e3:.1f} ms; "
                f"without them {quiet_s * 1e3:.1f} ms"
            )
            assert min(measured) <= limit_s
            if requests > 1000:
                assert sum(one.cut for one in crowd) >= SLOW / 2, "whoever never ends his head is cut"

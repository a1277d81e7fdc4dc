"""Two thousand connections of a byte per second: the dashboard answers as if they were not there."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys
import time
from collections.abc import AsyncIterator
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

FIRST_CUT_S = 15.0
"""By then a head that began with the crowd was given up."""


@pytest.fixture(autouse=True)
def open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < SLOW + 500:
        pytest.skip(f"only {hard} files may be open here")


class Crowd:
    """How many are open, and how often one was cut, as the process that is the crowd says."""

    def __init__(self) -> None:
        self.open = 0
        self.cut = 0

    async def listen(self, told: asyncio.StreamReader) -> None:
        async for line in told:
            self.open, self.cut = map(int, line.split())


@contextlib.asynccontextmanager
async def slow_crowd(port: int) -> AsyncIterator[Crowd]:
    script = str(Path(__file__).with_name("slow_crowd.py"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, str(port), str(SLOW), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    crowd = Crowd()
    listening = asyncio.create_task(crowd.listen(process.stdout))
    try:
        yield crowd
    finally:
        process.kill()
        await process.wait()
        await listening


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
            async with slow_crowd(url.port) as crowd:
                async with asyncio.timeout(60.0):
                    while crowd.open < 0.9 * SLOW:  # noqa: ASYNC110 - told by another process
                        await asyncio.sleep(0.1)
                measured = []
                while len(measured) < WINDOWS and min(measured, default=60.0) > limit_s:
                    measured.append(await p99_s(client, requests))
                print(
                    f"{crowd.open} open, {crowd.cut} cut, p99 {min(measured) * 1e3:.1f} ms; "
                    f"without them {quiet_s * 1e3:.1f} ms"
                )
                assert min(measured) <= limit_s
                if requests > 1000:
                    async with asyncio.timeout(FIRST_CUT_S):
                        while crowd.cut < SLOW / 2:  # noqa: ASYNC110 - whoever never ends his head is cut
                            await asyncio.sleep(0.1)

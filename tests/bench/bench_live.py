"""The running daemon: ``python tests/bench/bench_live.py``, about 80 seconds.

How soon a sample shows on ``GET /api/v1/table`` at 25 samples/s, with a FastAPI route that answers a bare
counter as peer in the same run; and what ``lowmaf demo`` at speed 1 costs.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import httpx
import numpy as np
from bench_web import plainly_served
from fakes import realistic_table, serving
from fastapi import FastAPI
from figures import report
from starlette.responses import Response
from test_daemon_live_hub import MemoryStore, settings, steady

from daemon.live.hub import Hub
from web.app import create_app

SAMPLES = 500
RATE_HZ = 25.0
DEMO_S = 40
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


async def delays_ms(
    served: AbstractAsyncContextManager[str],
    add: Callable[[int], object],
    shown: Callable[[httpx.Response], int],
) -> list[float]:
    """Time from each of the samples until a GET shows it; a client asks again as soon as it is answered."""
    added_s: list[float] = []
    seen: list[float] = []

    async def ask(url: str) -> None:
        async with httpx.AsyncClient() as client:
            while len(seen) < SAMPLES:
                count = shown(await client.get(f"{url}api/v1/table"))
                now_s = time.perf_counter()
                seen.extend(1e3 * (now_s - at_s) for at_s in added_s[len(seen) : count])

    async with served as url:
        asking = asyncio.create_task(ask(url))
        start_s = time.perf_counter()
        for number in range(SAMPLES):
            await asyncio.sleep(max(start_s + number / RATE_HZ - time.perf_counter(), 0.0))
            added_s.append(time.perf_counter())
            add(number)
        await asyncio.wait_for(asking, 30.0)
    return seen


async def of_the_daemon() -> list[float]:
    hub = Hub(settings(table=realistic_table()), MemoryStore())
    hub.source_connected("bench")
    many = steady(0.0, SAMPLES / 10.0)

    def shown(answer: httpx.Response) -> int:
        samples = answer.json()["samples"]
        return int(samples["seen"] + samples["pending"])

    return await delays_ms(
        serving(create_app(hub, version="bench")), lambda n: hub.take(many.slice(n, n + 1)), shown
    )


async def of_a_bare_counter() -> list[float]:
    count = 0
    bare = FastAPI()

    @bare.get("/api/v1/table")
    async def counter() -> Response:
        return Response(str(count))

    def add(_: int) -> None:
        nonlocal count
        count += 1

    return await delays_ms(plainly_served(bare), add, lambda answer: int(answer.text))


def demo() -> tuple[float, float]:
    """CPU share of one core, %, and peak memory, MB, of ``lowmaf demo`` at speed 1 after it has started."""
    process = subprocess.Popen(
        [sys.executable, "-m", "daemon", "demo", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert re.search("http://", process.stdout.readline())
    folder = Path("/proc") / str(process.pid)

    def cpu_s() -> float:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    time.sleep(5.0)
    before_s, began_s = cpu_s(), time.monotonic()
    time.sleep(DEMO_S)
    share = 100.0 * (cpu_s() - before_s) / (time.monotonic() - began_s)
    peak = re.search(r"VmHWM:\s+(\d+)", (folder / "status").read_text())
    assert peak is not None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    return share, int(peak.group(1)) / 1024


def main() -> None:
    print(f"from a sample to GET /api/v1/table, {SAMPLES} samples at {RATE_HZ:g} Hz")
    ours, bare = asyncio.run(of_the_daemon()), asyncio.run(of_a_bare_counter())
    for words, quantile in (("median", 0.5), ("p99", 0.99)):
        peer = ("bare counter behind FastAPI", float(np.quantile(bare, quantile)))
        report(f"from a sample to the answer, {words}", float(np.quantile(ours, quantile)), "ms", peer=peer)
    share, peak_mb = demo()
    report("lowmaf demo at speed 1, nobody looking: CPU", share, "% of a core")
    report("lowmaf demo at speed 1: peak memory", peak_mb, "MB")


if __name__ == "__main__":
    main()

"""Samples that are pushed: ``python tests/bench/bench_ingest.py``, about a minute.

1 024 posts of 1 600 NDJSON records (18 fields, five of them the time and channels, 1 % invalid) over 8
connections to the route with a real database, until each is durable. Peers: the same server with what one
would write first (json and a csv writer, record by record), and msgspec decoding the same bodies and nothing
else. CPU time of the server, all its threads; the client is another process.
"""

from __future__ import annotations

import asyncio
import csv
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
from crowd_servers import cpu_s, memory_mb
from fastapi import FastAPI, Request
from figures import report

POSTS = 1024
PEER_POSTS = 64
RECORDS = 1600
CONNECTIONS = 8
INVALID = 0.01
BASELINE_TARGET, DECODING_TARGET, GROWTH_TARGET_MB = 8.0, 0.6, 20.0


class Record(msgspec.Struct, gc=False):
    """The fields that are used, and no more, as fast as they can be had."""

    t_s: float
    maf_v: float | None = None
    stft_pct: float | None = None
    ltft_pct: float | None = None
    fuel_loop: float | None = None


def record(number: int, chance: random.Random) -> dict[str, Any]:
    """Five channels and thirteen fields that are nobody's."""
    return {
        "t_s": round(number / 30, 4),
        "maf_v": round(chance.uniform(1.0, 4.0), 2),
        "stft_pct": round(chance.uniform(-8.0, 8.0), 2),
        "ltft_pct": -1.56,
        "fuel_loop": 2,
        "knock_sum": 0,
        "boost": round(chance.uniform(-10.0, 15.0), 2),
        "ignition_total": round(chance.uniform(5.0, 40.0), 1),
        "avcs_left": 1.5,
        "avcs_right": 1.25,
        "iam": 1.0,
        "fine_knock": 0.0,
        "feedback_knock": 0.0,
        "gear": 3,
        "injector_ms": round(chance.uniform(1.0, 14.0), 2),
        "wastegate": 12.5,
        "battery": 13.9,
        "tumble": 0.52,
    }


def body_of(seed: int) -> bytes:
    """One post."""
    chance = random.Random(seed)
    lines = (
        '{"t_s": "oops", "maf_v"' if chance.random() < INVALID else json.dumps(record(number, chance))
        for number in range(RECORDS)
    )
    return "".join(line + "\n" for line in lines).encode()


def alone(bodies: list[bytes], rounds: int) -> float:
    """Records per second of CPU that msgspec decodes, one by one, invalid ones left out."""
    decode = msgspec.json.Decoder(Record).decode
    spent: list[float] = []
    for body in bodies * rounds:
        started_s = time.process_time()
        for line in body.split(b"\n"):
            try:
                decode(line)
            except msgspec.DecodeError:
                continue
        spent.append(time.process_time() - started_s)
    return RECORDS / statistics.median(spent)


async def serve_ours(folder: Path) -> None:
    """The route over a database in ``folder``."""
    from fakes import FakeBoard, realistic_table
    from test_daemon_live_hub import settings

    from daemon.ingest.ingest import Ingestion
    from daemon.ingest.session_writer import INGEST, SessionWriter
    from daemon.live.hub import Hub
    from daemon.serving.server import serve
    from daemon.store.store import Store
    from web.app import create_app

    async with await Store.open(folder / "car.sqlite3") as store:
        table = await store.put_table(realistic_table())
        hub = Hub(settings(table=table), store)
        ingestion = Ingestion(SessionWriter(store), lambda: hub.session_start(INGEST))
        app = create_app(FakeBoard(), version="bench", ingest=ingestion)
        await serve(app, "127.0.0.1", 0, listening=lambda url: print(url, flush=True))


async def serve_baseline(folder: Path) -> None:
    """What one would write first, behind the same server."""
    from starlette.datastructures import State

    from daemon.serving.server import serve
    from web.event_stream import EventStream

    app = FastAPI()
    app.state = State({"hot_paths": None, "events": _NoEvents()})
    assert EventStream.close

    @app.post("/api/v1/ingest")
    async def ingest(request: Request) -> dict[str, int]:
        valid = invalid = 0
        rest = b""
        with (folder / f"{time.monotonic_ns()}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            async for chunk in request.stream():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    try:
                        one = json.loads(line)
                        row = [float(one[name]) for name in Record.__struct_fields__]
                    except (ValueError, KeyError, TypeError):
                        invalid += 1
                    else:
                        writer.writerow(row)
                        valid += 1
        return {"valid": valid, "invalid": invalid}

    await serve(app, "127.0.0.1", 0, listening=lambda url: print(url, flush=True))


class _NoEvents:
    def close(self) -> None:
        """There are none."""


async def post_all(port: int, bodies: list[bytes], posts: int) -> list[float]:
    """All posts over some connections, each as soon as the one before was answered; how long each took, s."""
    head = (
        "POST /api/v1/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        "Content-Length: {}\r\n\r\n"
    )
    requests = [head.format(len(body)).encode() + body for body in bodies]
    waiting = iter(range(posts))
    took_s: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in waiting:
            started_s = time.monotonic()
            writer.write(requests[number % len(requests)])
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            length = re.search(rb"content-length: (\d+)", answer)
            assert length is not None
            await reader.readexactly(int(length[1]))
            took_s.append(time.monotonic() - started_s)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return took_s


def measured(kind: str, bodies: list[bytes], posts: int) -> tuple[float, float, float, float]:
    """Records per second, the same per second of the server's CPU, p99 of a post, ms, memory growth, MB."""
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([sys.executable, __file__, kind, folder], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().rstrip("/\n").rpartition(":")[2])
            asyncio.run(post_all(port, bodies, CONNECTIONS))
            before_mb, before_s, started_s = memory_mb(server.pid), cpu_s(server.pid), time.monotonic()
            took_s = sorted(asyncio.run(post_all(port, bodies, posts)))
            wall_s, used_s = time.monotonic() - started_s, cpu_s(server.pid) - before_s
            records = posts * RECORDS
            grown_mb = memory_mb(server.pid) - before_mb
            return records / wall_s, records / used_s, 1e3 * took_s[int(0.99 * len(took_s))], grown_mb
        finally:
            server.kill()
            server.wait()


def main() -> None:
    bodies = [body_of(seed) for seed in range(16)]
    posts = int(sys.argv[1]) if len(sys.argv) > 1 else POSTS
    print(f"{posts} posts of {RECORDS} records, {len(bodies[0]) / RECORDS:.0f} bytes each")
    decoded = alone(bodies, 4)
    per_s, per_cpu_s, p99_ms, grown_mb = measured("ours", bodies, posts)
    decoded = max(decoded, alone(bodies, 4))
    _, base_per_cpu_s, base_p99_ms, base_grown_mb = measured("baseline", bodies, PEER_POSTS)
    baseline = f"json and csv, {PEER_POSTS} posts"
    each = "records for a second of CPU"
    report(each, per_cpu_s, "1/s", peer=(baseline, base_per_cpu_s), ratio_at_least=BASELINE_TARGET)
    report(each, per_cpu_s, "1/s", peer=("msgspec decoding alone", decoded), ratio_at_least=DECODING_TARGET)
    report("records by the clock", per_s, "1/s")
    report("a post takes, p99", p99_ms, "ms", peer=(baseline, base_p99_ms))
    report("memory grows by", grown_mb, "MB", peer=(baseline, base_grown_mb), at_most=GROWTH_TARGET_MB)


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["baseline"]):
        asyncio.run((serve_ours if sys.argv[1] == "ours" else serve_baseline)(Path(sys.argv[2])))
    else:
        main()

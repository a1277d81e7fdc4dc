"""Samples that are pushed: ``python tests/bench/bench_ingest.py``, about a minute.

1 024 posts of 1 600 NDJSON records (18 fields, five of them the time and channels, 1 % invalid) over 8
connections to the route with a real database, until each is durable. Peers: the same server with what one
would write first (json and a csv writer, record by record), and msgspec decoding the same bodies and nothing
else. CPU time of the server, all its threads; the client is another process. Medians of rounds in which all
take their turn.

The decoding is done where the same bodies come from the same client, of which it is told nothing else: its
processor shares its core with another, and decodes in 1.0 to 1.2 ms what takes it 1.7 to 2.0 ms while that
one works too, as it does for the others here.
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
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
from crowd_servers import memory_mb
from fastapi import FastAPI, Request
from figures import report
from server_cpu import threads_cpu_s

POSTS = 1024
PEER_POSTS = 128
ROUNDS = 16
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


class Decoding(asyncio.Protocol):
    """Decodes each body that is posted line by line, without invalid ones, and counts the time of that alone;
    GET tells it."""

    spent_s: ClassVar[list[float]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parts: list[bytes] = []
        self._left = 0

    def data_received(self, data: bytes) -> None:
        if not self._left:
            head, _, data = data.partition(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            if length is None:
                self._answer(json.dumps(self.spent_s).encode())
                self.spent_s.clear()
                return
            self._left = int(length[1])
        self._parts.append(data)
        self._left -= len(data)
        if not self._left:
            body = b"".join(self._parts)
            self._parts = []
            self.spent_s.append(self._time_of(body))
            self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    @staticmethod
    def _time_of(body: bytes) -> float:
        decode = msgspec.json.Decoder(Record).decode
        started_s = time.thread_time()
        for line in body.split(b"\n"):
            try:
                decode(line)
            except msgspec.DecodeError:
                continue
        return time.thread_time() - started_s


async def serve_decoding(_folder: Path) -> None:
    """The decoding and nothing else."""
    server = await asyncio.get_running_loop().create_server(Decoding, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}/", flush=True)
    await server.serve_forever()


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


@contextmanager
def serving(kind: str) -> Iterator[tuple[int, int]]:
    """Port and process id of a server with a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([sys.executable, __file__, kind, folder], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline().rstrip("/\n").rpartition(":")[2]), server.pid
        finally:
            server.kill()
            server.wait()


def measured(server: tuple[int, int], bodies: list[bytes], posts: int) -> tuple[float, list[float]]:
    """Records per second of the server's CPU, and how long each post took, s."""
    port, pid = server
    before_s = threads_cpu_s(pid)
    took_s = asyncio.run(post_all(port, bodies, posts))
    return posts * RECORDS / (threads_cpu_s(pid) - before_s), took_s


def decoded(server: tuple[int, int], bodies: list[bytes], posts: int) -> float:
    """Records per second of CPU that are decoded, and nothing else."""
    asyncio.run(post_all(server[0], bodies, posts))
    with urllib.request.urlopen(f"http://127.0.0.1:{server[0]}/", timeout=10) as answer:
        spent_s: list[float] = json.load(answer)
    assert len(spent_s) == posts
    return RECORDS / statistics.median(spent_s)


def main() -> None:
    bodies = [body_of(seed) for seed in range(16)]
    posts = int(sys.argv[1]) if len(sys.argv) > 1 else POSTS
    print(f"{posts} posts of {RECORDS} records, {len(bodies[0]) / RECORDS:.0f} bytes each")
    rates: dict[str, list[float]] = {"ours": [], "baseline": [], "alone": []}
    took_s: dict[str, list[float]] = {"ours": [], "baseline": []}
    with serving("ours") as ours, serving("baseline") as baseline, serving("decoding") as decoding:
        for server in (ours, baseline):
            measured(server, bodies, CONNECTIONS)
        decoded(decoding, bodies, CONNECTIONS)
        before_mb = memory_mb(ours[1])
        for _ in range(ROUNDS):
            rates["alone"].append(decoded(decoding, bodies, posts // ROUNDS))
            for name, server, share in (("ours", ours, posts), ("baseline", baseline, PEER_POSTS)):
                rate, times_s = measured(server, bodies, max(CONNECTIONS, share // ROUNDS))
                rates[name].append(rate)
                took_s[name] += times_s
        grown_mb = memory_mb(ours[1]) - before_mb
    rate = {name: statistics.median(values) for name, values in rates.items()}
    p99_ms = {name: 1e3 * sorted(times)[int(0.99 * len(times))] for name, times in took_s.items()}
    peer, each = f"json and csv, {PEER_POSTS} posts", "records for a second of CPU"
    report(each, rate["ours"], "1/s", peer=(peer, rate["baseline"]), ratio_at_least=BASELINE_TARGET)
    report(
        each,
        rate["ours"],
        "1/s",
        peer=("msgspec decoding alone", rate["alone"]),
        ratio_at_least=DECODING_TARGET,
    )
    report("a post takes, p99", p99_ms["ours"], "ms", peer=(peer, p99_ms["baseline"]))
    report("memory grows by", grown_mb, "MB", at_most=GROWTH_TARGET_MB)


if __name__ == "__main__":
    kinds = {"ours": serve_ours, "baseline": serve_baseline, "decoding": serve_decoding}
    if sys.argv[1:2] and sys.argv[1] in kinds:
        asyncio.run(kinds[sys.argv[1]](Path(sys.argv[2])))
    else:
        main()

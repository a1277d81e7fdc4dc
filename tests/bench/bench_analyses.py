"""A crowd asks for analyses at once while the car drives: ``python tests/bench/bench_analyses.py``.

1 000 concurrent requests of 1 to 6 runs on short logs to a running daemon whose source gives 50 samples/s.
Every run must be acknowledged, completed and delivered whole to a receiver of webhooks; no live sample may be
lost and the table must stay fresh meanwhile. ``--requests 100`` asks for less.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import log_samples
import numpy as np
from figures import report
from webhook_receiver import Received, receiving

from daemon.store.rows import CHUNKS_PER_SESSION

RATE_HZ = 50
LIVE_S = 400
POLL_S = 0.02
ACK_TARGET_S = 1.0
AGE_TARGET_MS = 200.0
WITHIN_S = 300.0


def live_log(seconds: int) -> bytes:
    """A drive of a made-up car at 50 samples/s."""
    return log_samples.table(
        ["Time (msec)", "A/F Correction #1 (%)", "A/F Learning #1 (%)", "CL/OL Fueling* (status)",
         "Coolant Temperature (C)", "Engine Speed (rpm)", "Mass Airflow Sensor Voltage (V)"],
        [[round(m.t_s * 1000), m.short, m.learned, 8 if m.closed else 10, 85, 2500, m.volts]
         for m in log_samples.drive(seconds * RATE_HZ, 1.0 / RATE_HZ)],
    ).encode()  # fmt: skip


@dataclass(frozen=True)
class Daemon:
    """A running daemon."""

    process: subprocess.Popen[str]
    port: int

    def cpu_s(self) -> float:
        """CPU time of the daemon itself, without the processes that analyse."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """The most memory that it had so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(folder: Path, hook: str, live_s: int = LIVE_S) -> Daemon:
    """A daemon that replays a drive as if live and may push to ``hook``."""
    (folder / "drive.csv").write_bytes(live_log(live_s))
    port = free_port()
    config = folder / "bench.toml"
    config.write_text(
        f'[source]\ndriver = "replay"\nfile = "{folder}/drive.csv"\nspeed = 1.0\n'
        f'[web]\nport = {port}\n[webhooks]\nhosts = ["{hook}"]\n[log]\nlevel = "warning"\n'
    )
    assert tomllib.loads(config.read_text())
    process = subprocess.Popen([sys.executable, "-m", "daemon", "run", "--config", str(config)], text=True)
    until_s = time.monotonic() + 60.0
    while time.monotonic() < until_s and process.poll() is None:
        try:
            status = get(port, "/api/v1/status")
        except OSError:
            time.sleep(0.1)
            continue
        if status["last_sample_age_s"] is not None:
            return Daemon(process, port)
        time.sleep(0.1)
    process.kill()
    raise SystemExit("the daemon did not start")


def stopped(daemon: Daemon) -> None:
    daemon.process.send_signal(signal.SIGTERM)
    try:
        daemon.process.wait(10.0)
    except subprocess.TimeoutExpired:
        daemon.process.kill()


def request(port: int, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
    if method != "GET":  # a browser says nothing of a body that is not there, either
        head += f"content-type: {kind}\r\ncontent-length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


def exchange(connection: socket.socket, message: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to a request on a connection that stays open."""
    connection.sendall(message)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += received_from(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    while length is not None and len(body) < int(length[1]):
        body += received_from(connection)
    return int(head[9:12]), body


def received_from(connection: socket.socket) -> bytes:
    piece = connection.recv(65536)
    if not piece:
        raise ConnectionError("the server closed the connection")
    return piece


def get(port: int, path: str) -> Any:
    with socket.create_connection(("127.0.0.1", port), 10.0) as connection:
        return json.loads(exchange(connection, request(port, "GET", path))[1])


def watch_table(port: int, looking: Any, stop: Any, ages: Any) -> None:
    """Asks for the table again and again, in a process of its own; sends how old was what it had, in ms, and
    when, by the monotonic clock.

    That is the age of the newest sample in the newest answer, every :data:`POLL_S`, whether or not an answer
    came just then. Samples are due as they were in the answer that was soonest.
    """
    with socket.create_connection(("127.0.0.1", port), 30.0) as connection:
        offsets: list[tuple[float, int]] = []
        while not stop.is_set():
            began_s = time.monotonic()
            samples = json.loads(exchange(connection, request(port, "GET", "/api/v1/table"))[1])["samples"]
            offsets.append((time.monotonic(), samples["seen"] + samples["pending"]))
            looking.set()
            time.sleep(max(0.0, POLL_S - (time.monotonic() - began_s)))
    zero_s = min(at_s - count / RATE_HZ for at_s, count in offsets)
    times_s, counts = np.array(offsets).T
    moments_s = np.arange(times_s[0], times_s[-1], POLL_S)
    newest = counts[np.searchsorted(times_s, moments_s, side="right") - 1]
    ages.put((moments_s.tolist(), (1e3 * (moments_s - zero_s - newest / RATE_HZ)).tolist()))


async def one_order(port: int, order: bytes, ready: asyncio.Barrier) -> tuple[float, list[str]]:
    """Seconds until an order was acknowledged, and the ids of its runs."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await ready.wait()
    began_s = time.perf_counter()
    writer.write(order)
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    assert length is not None
    body = json.loads(await reader.readexactly(int(length[1])))
    took_s = time.perf_counter() - began_s
    writer.close()
    assert head.startswith(b"HTTP/1.1 202"), body
    return took_s, body["ids"]


async def crowd(port: int, orders: list[bytes]) -> tuple[list[float], list[str]]:
    """All orders at the same moment."""
    ready = asyncio.Barrier(len(orders))
    answers = await asyncio.gather(*(one_order(port, order, ready) for order in orders))
    return [took_s for took_s, _ in answers], [run for _, runs in answers for run in runs]


def orders_of(requests: int, logs: list[str], hook: str, port: int) -> list[bytes]:
    """Requests of 1 to 6 runs with different estimators and filters."""
    rng = np.random.default_rng(1)
    orders = []
    for number in range(requests):
        runs = [
            {"estimator": ("curve", "nearest")[run % 2], "filters": {"min_ect_c": 50 + run}}
            for run in range(int(rng.integers(1, 7)))
        ]
        document = {
            "logs": [logs[number % len(logs)]],
            "runs": runs,
            "webhook_url": f"http://{hook}/{number % 9}",
        }
        orders.append(request(port, "POST", "/api/v1/analyses", json.dumps(document).encode()))
    return orders


def uploaded(port: int) -> list[str]:
    """Ids of a few short logs."""
    ids = []
    for name in ("romraider", "ecutek", "unit_row"):
        body = getattr(log_samples, name)()
        with socket.create_connection(("127.0.0.1", port), 60.0) as connection:
            message = request(port, "POST", f"/api/v1/logs?name={name}.csv", body, "text/csv")
            status, answer = exchange(connection, message)
        assert status == 201, answer
        ids.append(json.loads(answer)["id"])
    return ids


def samples_missing(database: Path) -> int:
    """How many samples of the live drive, the first one, the database lacks between its first and last."""
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute(
            "SELECT sum(n), min(first_t_s), max(last_t_s) FROM sample_chunks WHERE id < ?",
            (2 * CHUNKS_PER_SESSION,),
        ).fetchone()
    kept, first_s, last_s = found
    return round((last_s - first_s) * RATE_HZ) + 1 - int(kept)


async def measured(requests: int, folder: Path, before_s: float = 10.0) -> bool:
    """Prints the figures; whether every run was delivered and no sample lost. For ``before_s`` nobody asks
    for anything, to tell the machine's own noise."""
    async with receiving() as (hook, received):
        daemon = await asyncio.to_thread(started, folder, hook)
        try:
            fine = await _measured(requests, daemon, hook, received, before_s)
        finally:
            await asyncio.to_thread(stopped, daemon)
    missing = samples_missing(folder / "lowmaf.sqlite3")
    report("live samples that the database lacks", missing, at_most=0)
    return fine and missing == 0


async def _measured(requests: int, daemon: Daemon, hook: str, received: Received, before_s: float) -> bool:
    port = daemon.port
    spawning = multiprocessing.get_context("spawn")
    looking, stop, ages = spawning.Event(), spawning.Event(), spawning.Queue()
    watcher = spawning.Process(target=watch_table, args=(port, looking, stop, ages))
    logs = await asyncio.to_thread(uploaded, port)
    before_mb = daemon.memory_mb()
    watcher.start()
    await asyncio.to_thread(looking.wait, 60.0)
    await asyncio.sleep(before_s)
    began_s = time.monotonic()
    cpu_s = daemon.cpu_s()
    acknowledged_s, runs = await crowd(port, orders_of(requests, logs, hook, port))
    with contextlib.suppress(TimeoutError):  # what is missing then is said below
        await received.until(lambda: sum(map(received.whole, runs)) == len(runs), WITHIN_S)
    took_s = time.monotonic() - began_s
    cpu_s = daemon.cpu_s() - cpu_s
    stop.set()
    times_s, age_ms = map(np.array, await asyncio.to_thread(ages.get, True, 30.0))
    watcher.join()
    await asyncio.sleep(3.0)  # the database is written every two seconds
    some = runs[:: max(1, len(runs) // 50)]
    documents = [await asyncio.to_thread(get, port, f"/api/v1/analyses/{run}") for run in some]
    statuses = {document["status"] for document in documents}
    delivered = sum(map(received.whole, runs))
    twice = len(received.bodies) - sum(map(len, received.runs.values()))
    report(f"{requests} requests at once, {len(runs)} runs: until the last was delivered", took_s, "s")
    _report("acknowledged", 1e3 * np.array(acknowledged_s), 1e3 * ACK_TARGET_S)
    _report(f"age of the table at {RATE_HZ} samples/s", age_ms[times_s >= began_s], AGE_TARGET_MS)
    _report("the same before anybody asked", age_ms[times_s < began_s], AGE_TARGET_MS)
    report("runs that were not delivered whole", len(runs) - delivered, at_most=0)
    print(
        f"  {len(received.bodies)} chunks, {twice} came twice, {received.connections} connections, {statuses}"
    )
    report("largest body of a push", max(received.sizes), "bytes", at_most=100_000)
    report("CPU of the daemon, driving included", 1e3 * cpu_s / len(runs), "ms/run")
    report("memory of the daemon, at most", daemon.memory_mb(), "MB", peer=("before", before_mb))
    return delivered == len(runs) == len(received.runs) and statuses == {"completed_and_sent"}


def _report(what: str, times_ms: Any, target_ms: float) -> None:
    for words, value, limit in (
        ("median", np.median(times_ms), None),
        ("p99", np.quantile(times_ms, 0.99), target_ms),
        ("worst", times_ms.max(), None),
    ):
        report(f"{what}, {words}", float(value), "ms", at_most=limit)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lowmaf-bench-") as folder:
        return 0 if asyncio.run(measured(options.requests, Path(folder))) else 1


if __name__ == "__main__":
    sys.exit(main())

"""The live path while others keep the daemon busy: ``python tests/bench/bench_live_load.py``, two minutes.

A running daemon whose source gives 50 samples/s, and in turn: nobody else; 14 000 users of the table;
500 who ask and do not read; loggers that push samples as fast as they are taken. Each time the age of the
newest sample in the table that a process of its own asks for, and in the end the live samples that the
database lacks. All of it shares this machine's processors.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from bench_analyses import (
    AGE_TARGET_MS,
    RATE_HZ,
    exchange,
    request,
    samples_missing,
    started,
    stopped,
    watch_table,
)
from crowd_load import MISSING, is_there, users
from crowd_servers import cpu_s
from figures import not_measured, report

USERS = 14_000
SLOW = 500
SECONDS = 12.0
SETTLE_S = 4.0
PUSHERS = 4
RECORD = b'{"t_s":%d.%02d,"maf_v":2.0,"stft_pct":1.0,"ltft_pct":2.0,"rpm":2500,"ect_c":85,"fuel_loop":1}\n'


@contextlib.contextmanager
def nobody(_port: int) -> Iterator[None]:
    yield


@contextlib.contextmanager
def crowd(port: int) -> Iterator[None]:
    """As many users as the machine lets one process have, who wait 0 to 1 s between two loads."""
    with users(port, USERS, 60.0):
        yield


@contextlib.contextmanager
def slow_readers(port: int) -> Iterator[None]:
    """Half follow the stream, half ask for the table again and again; none of them reads."""
    opened = []
    for number in range(SLOW):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", port))
        one.setblocking(False)
        path = "/api/v1/stream" if number % 2 else "/api/v1/table"
        with contextlib.suppress(BlockingIOError):
            one.sendall(request(port, "GET", path) * (1 if number % 2 else 50))
        opened.append(one)
    try:
        yield
    finally:
        for one in opened:
            one.close()


def push(port: int, stop: Any) -> None:
    """Sends samples of another logger, 20 000 at a time."""
    body = b"".join(RECORD % divmod(number, 100) for number in range(20_000))
    while not stop.is_set():
        with socket.create_connection(("127.0.0.1", port), 60.0) as connection:
            message = request(port, "POST", "/api/v1/ingest", body, "application/x-ndjson")
            status, answer = exchange(connection, message)
            assert status == 200, answer


@contextlib.contextmanager
def pushers(port: int) -> Iterator[None]:
    spawning = multiprocessing.get_context("spawn")
    stop = spawning.Event()
    working = [spawning.Process(target=push, args=(port, stop)) for _ in range(PUSHERS)]
    for one in working:
        one.start()
    try:
        yield
    finally:
        stop.set()
        for one in working:
            one.join(30.0)
            assert one.exitcode == 0, "a push was refused"


def age_ms(port: int) -> Any:
    """How old the newest sample in the newest table was, again and again, ms."""
    spawning = multiprocessing.get_context("spawn")
    looking, stop, ages = spawning.Event(), spawning.Event(), spawning.Queue()
    watcher = spawning.Process(target=watch_table, args=(port, looking, stop, ages))
    watcher.start()
    assert looking.wait(60.0)
    time.sleep(SECONDS)
    stop.set()
    _, found = ages.get(True, 60.0)
    watcher.join()
    return np.array(found)


def main() -> int:
    """1 where a live sample was lost."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 20_000)), hard))
    loads = {"nobody else": nobody, f"{SLOW} slow readers": slow_readers, f"{PUSHERS} pushers": pushers}
    if is_there():
        loads[f"{USERS} users"] = crowd
    else:
        not_measured(f"{USERS} users", MISSING)
    with tempfile.TemporaryDirectory(prefix="lowmaf-bench-") as name:
        folder = Path(name)
        daemon = started(folder, "127.0.0.1:9")
        try:
            print(f"age of the table at {RATE_HZ} samples/s, {SECONDS:g} s each")
            for words, load in loads.items():
                with load(daemon.port):
                    time.sleep(SETTLE_S)
                    before_s, began_s = cpu_s(daemon.process.pid), time.monotonic()
                    found = age_ms(daemon.port)
                    busy = (cpu_s(daemon.process.pid) - before_s) / (time.monotonic() - began_s)
                p50, p99 = np.quantile(found, (0.5, 0.99))
                report(f"age of the table, {words}, median", float(p50), "ms")
                report(f"age of the table, {words}, p99", float(p99), "ms", at_most=AGE_TARGET_MS)
                report(f"age of the table, {words}, worst", float(found.max()), "ms")
                report(f"CPU of the daemon, {words}", busy, "processors")
        finally:
            stopped(daemon)
        missing = samples_missing(folder / "lowmaf.sqlite3")
    report("live samples that the database lacks", missing, at_most=0)
    return 0 if missing == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

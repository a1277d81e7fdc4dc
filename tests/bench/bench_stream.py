"""Server-sent events to many listeners: ``python tests/bench/bench_stream.py``, a minute and a half.

Ten updates of the whole table a second to 1 000 listeners, and Node's http doing the same with the same bytes
encoded once. CPU time of the server per update, and from the change to the arrival at each listener; the
listeners are another process on the same machine.
"""

from __future__ import annotations

import gc
import re
import resource
import select
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from crowd_servers import PEERS, body_file, cpu_s, memory_mb, running
from figures import not_measured, report

LISTENERS = 1000
SETTLE_S = 2.0
SECONDS = 5.0
ROUNDS = 5
LOOKED_AT = 512
"""Bytes of each arrival that are kept, and looked at when all is over: who reads more is late himself."""
REQUEST = b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
FIGURES = {"CPU of an update": 15.0, "latency, median": None, "latency, p99": 30.0}
"""What is measured, and at most how many ms it should take."""
_SENT = {
    "lowmaf": (re.compile(rb'"updated_s":([0-9.]+),"samples"'), 1.0),
    "Node http": (re.compile(rb'"at_us":(\d+),"table"'), 1e-6),
}
"""Where an update says when it was made, and in which part of a second."""


def listen(name: str, port: int, pid: int) -> tuple[list[float], float]:
    """Latencies of all updates at all listeners, ms, and the CPU time of the server per update, s."""
    pattern, unit_s = _SENT[name]
    sockets = []
    for _ in range(LISTENERS):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(REQUEST)
        sockets.append(one)
    poll = select.epoll()
    receive = {}
    for one in sockets:
        one.setblocking(False)
        receive[one.fileno()] = one.recv_into
        poll.register(one, select.EPOLLIN)
    arrivals: list[tuple[float, bytes]] = []
    buffer = bytearray(1 << 18)
    begun = memoryview(buffer)[:LOOKED_AT]
    gc.disable()  # it would look through all that arrived again and again, while more arrives
    until_s = time.monotonic() + SETTLE_S + SECONDS
    before_s = None
    while time.monotonic() < until_s:
        if before_s is None and time.monotonic() > until_s - SECONDS:
            before_s = cpu_s(pid)
        for number, _ in poll.poll(0.1):
            length = receive[number](buffer)
            if before_s is not None:
                arrivals.append((time.monotonic(), bytes(begun[:length])))
    assert before_s is not None
    used_s = cpu_s(pid) - before_s
    latencies_ms = [
        1e3 * (now_s - unit_s * float(at)) for now_s, first in arrivals for at in pattern.findall(first)
    ]
    return latencies_ms, used_s * LISTENERS / len(latencies_ms)


def client(name: str, port: int, pid: int) -> None:
    """In a process of its own: events, the server's CPU time, the latency's median and 99th percentile."""
    latencies_ms, used_s = listen(name, port, pid)
    print(len(latencies_ms), used_s, *np.quantile(latencies_ms, (0.5, 0.99)))


def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    servers = {"lowmaf": [sys.executable, str(Path(__file__).with_name("crowd_servers.py")), "lowmaf", "0"]}
    if node := shutil.which("node"):
        servers["Node http"] = [node, str(PEERS / "stream.js")]
    else:
        not_measured("Node http", "no Node here: apt install nodejs")
    met: dict[str, list[tuple[float, float, float]]] = {name: [] for name in servers}
    with body_file() as (_folder, body):
        print(f"{LISTENERS} listeners, ten updates of {body.stat().st_size} bytes a second")
        for _ in range(ROUNDS):
            for name, command in servers.items():
                with running(command, body) as (port, pid):
                    said = subprocess.run(
                        [sys.executable, __file__, name, str(port), str(pid)],
                        capture_output=True,
                        text=True,
                        check=True,
                    ).stdout.split()
                    events, used_s, p50_ms, p99_ms = map(float, said)
                    met[name].append((1e3 * used_s, p50_ms, p99_ms))
                    print(
                        f"  {name:10s} {events / LISTENERS / SECONDS:4.1f} updates a second at each "
                        f"listener, {memory_mb(pid):.0f} MB"
                    )
    medians = {
        name: [statistics.median(one[place] for one in rounds) for place in range(3)]
        for name, rounds in met.items()
    }
    for place, (what, limit_ms) in enumerate(FIGURES.items()):
        peer = ("Node http", medians["Node http"][place]) if "Node http" in medians else None
        name = f"{what}, {LISTENERS} listeners"
        report(name, medians["lowmaf"][place], "ms", peer=peer, at_most=limit_ms)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        client(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()

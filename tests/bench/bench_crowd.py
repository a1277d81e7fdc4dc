"""A page that everybody looks at at once: ``python tests/bench/bench_crowd.py``, about three minutes.

The table route and peers, asked in turns by wrk: flat out over 64 connections, and by 700, 7 000 and 14 000
users who each wait 0 to 1 s between two loads. Client and server share the machine: trust the ratios, and
look at what of a processor each of them used.
A server that cannot be had here is left out and named.
"""

from __future__ import annotations

import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from crowd_servers import PEERS, body_file, commands, cpu_s, memory_mb, running
from figures import not_measured, report

SECONDS = 3
ROUNDS = 3
USERS = (700, 7000, 14_000)
USERS_S = 8
TARGETS = {"Fastify": 2.0, "Go net/http": 1.5, "FastAPI, same bytes": 6.0}
LATENCY_TARGET = 0.25
"""Mean latency at the most users, as a part of that of the peers."""
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Load:
    """What wrk says: requests and those per second, mean and 99th percentile of the latency, failures of any
    kind. ``cpu_us`` is what the server used per request; ``busy`` and ``wrk_busy`` are how many processors
    the server and wrk had on average."""

    per_s: float
    cpu_us: float
    mean_ms: float
    p99_ms: float
    failed: int
    busy: float
    wrk_busy: float


def loaded(server: tuple[int, int], connections: int, seconds: int, *more: str) -> Load:
    """One round of wrk against a server's port; its process is watched."""
    port, pid = server
    before_s, wrk_before_s, began_s = cpu_s(pid), _wrk_s(), time.monotonic()
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s", *more]
    said = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/api/v1/table"], capture_output=True, text=True, check=True
    ).stdout
    used_s, wrk_used_s, took_s = cpu_s(pid) - before_s, _wrk_s() - wrk_before_s, time.monotonic() - began_s
    requests, per_s, mean, p99 = (
        _found(pattern, said)
        for pattern in (
            r"(\d+) requests in",
            r"Requests/sec:\s+([0-9.]+)",
            r"\n\s+Latency\s+([0-9.]+)(us|ms|s)",
            r"\n\s+99%\s+([0-9.]+)(us|ms|s)",
        )
    )
    failures = re.findall(r"(?:connect|read|write|timeout|Non-2xx or 3xx responses:)\s(\d+)", said)
    return Load(
        float(per_s[1]),
        1e6 * used_s / max(1, int(requests[1])),
        float(mean[1]) * _UNITS[mean[2]],
        float(p99[1]) * _UNITS[p99[2]],
        sum(map(int, failures)),
        used_s / took_s,
        wrk_used_s / took_s,
    )


def _wrk_s() -> float:
    """CPU time of the rounds of wrk so far, s."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _found(pattern: str, said: str) -> re.Match[str]:
    found = re.search(pattern, said)
    if found is None:
        raise RuntimeError(f"wrk said something else: {said}")
    return found


def flat_out(servers: Mapping[str, list[str]], body: Path) -> None:
    """Requests per second over 64 connections, in turns."""
    met: dict[str, list[Load]] = {name: [] for name in servers}
    for _ in range(ROUNDS):
        for name, command in servers.items():
            with running(command, body) as server:
                loaded(server, 64, 1)
                load = loaded(server, 64, SECONDS)
                assert not load.failed, f"{name}: {load}"
                met[name].append(load)
    print(f"table of {body.stat().st_size} bytes, 64 connections, {ROUNDS} rounds of {SECONDS} s in turns")
    rates = {name: statistics.median(load.per_s for load in loads) for name, loads in met.items()}
    cpu_us = {name: statistics.median(load.cpu_us for load in loads) for name, loads in met.items()}
    for name in met.keys() - {"lowmaf"}:
        peer = (name, rates[name])
        report("64 connections", rates["lowmaf"], "requests/s", peer=peer, ratio_at_least=TARGETS.get(name))
        report("64 connections: CPU", cpu_us["lowmaf"], "µs/request", peer=(name, cpu_us[name]))


def users(servers: Mapping[str, list[str]], body: Path) -> None:
    """Latency for users who wait between their loads, and how much of what they would load is served."""
    think = ["-s", str(PEERS / "users.lua")]
    print("users who wait 0..1 s between two loads; demanded: what they would load without any latency")
    for count in USERS:
        mean_ms: dict[str, float] = {}
        for name, command in servers.items():
            with running(command, body) as server:
                loaded(server, count, 3, *think)
                load = loaded(server, count, USERS_S, *think)
                share = load.per_s / (count / 0.5)
                mean_ms[name] = load.mean_ms
                if name == "lowmaf":
                    report(f"{count} users: of the demanded rate", 100.0 * share, "%", at_least=99.0)
                    report(f"{count} users: failed requests", load.failed, at_most=0)
                print(
                    f"  {count:6d} users, {name:20s} mean {load.mean_ms:8.2f} ms, p99 {load.p99_ms:8.1f} ms, "
                    f"{100 * share:5.1f} % of the demanded rate, {load.failed} failed, "
                    f"{load.cpu_us:.0f} us of CPU each, {load.busy:.2f} processors, wrk {load.wrk_busy:.2f}, "
                    f"{memory_mb(server[1]):4.0f} MB"
                )
        for name in mean_ms.keys() - {"lowmaf"}:
            limit = LATENCY_TARGET if count == max(USERS) and name in TARGETS else None
            peer = (name, mean_ms[name])
            report(f"{count} users: mean latency", mean_ms["lowmaf"], "ms", peer=peer, ratio_at_most=limit)


def main() -> int:
    """0; without wrk nothing can be measured, and that is said."""
    if shutil.which("wrk") is None:
        not_measured("crowds", "no wrk here: apt install wrk")
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 20_000)), hard))
    with body_file() as (folder, body):
        servers = commands(body, folder)
        if "--users" not in sys.argv:
            flat_out(servers, body)
        users(servers, body)
    return 0


if __name__ == "__main__":
    sys.exit(main())

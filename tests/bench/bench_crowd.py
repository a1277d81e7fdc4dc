"""A page that everybody looks at at once: ``python tests/bench/bench_crowd.py``, about five minutes.

The table route and peers, asked in turns by h2load: flat out over 64 connections, and by 700, 7 000 and
14 000 users who each wait 0 to 1 s between two loads (:mod:`crowd_load` says how, and why by h2load). Client
and server share the machine: trust the ratios, and look at what of a processor each of them used.
A server that cannot be had here is left out and named.
"""

from __future__ import annotations

import resource
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from crowd_load import MISSING, Flood, crowd, flood, is_there
from crowd_servers import body_file, commands, memory_mb, running
from figures import not_measured, report

CONNECTIONS = 64
SECONDS = 3
ROUNDS = 3
USERS = (700, 7000, 14_000)
USERS_S = 8.0
TARGETS = {"Fastify": 2.0, "Go net/http": 1.5, "FastAPI, same bytes": 6.0}
LATENCY_TARGET = 0.25
"""Mean latency at the most users, as a part of that of the peers."""


def flat_out(servers: Mapping[str, list[str]], body: Path) -> None:
    """Requests per second over 64 connections, in turns."""
    met: dict[str, list[Flood]] = {name: [] for name in servers}
    for _ in range(ROUNDS):
        for name, command in servers.items():
            with running(command, body) as server:
                flood(server, CONNECTIONS, 1)
                load = flood(server, CONNECTIONS, SECONDS)
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
    print("users who wait 0..1 s between two loads; demanded: what they would load without any latency")
    for count in USERS:
        mean_ms: dict[str, float] = {}
        for name, command in servers.items():
            with running(command, body) as server:
                met = crowd(server, count, USERS_S)
                mean_ms[name] = met.mean_ms
                if name == "lowmaf":
                    failed = met.failed + met.unanswered
                    report(f"{count} users: of the demanded rate", 100.0 * met.share, "%", at_least=99.0)
                    report(f"{count} users: failed requests", failed, at_most=0)
                print(
                    f"  {count:6d} users, {name:20s} mean {met.mean_ms:8.2f} ms, p99 {met.p99_ms:8.1f} ms, "
                    f"{100 * met.share:5.1f} % of the demanded rate, {met.failed} failed, "
                    f"{met.unanswered} too late, {met.cpu_us:.0f} us of CPU each, {met.busy:.2f} processors, "
                    f"h2load {met.load_busy:.2f}, {memory_mb(server[1]):4.0f} MB"
                )
        for name in mean_ms.keys() - {"lowmaf"}:
            limit = LATENCY_TARGET if count == max(USERS) and name in TARGETS else None
            peer = (name, mean_ms[name])
            report(f"{count} users: mean latency", mean_ms["lowmaf"], "ms", peer=peer, ratio_at_most=limit)


def main() -> int:
    """0; without h2load nothing can be measured, and that is said."""
    if not is_there():
        not_measured("crowds", MISSING)
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

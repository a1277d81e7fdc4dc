"""Crowds that h2load (Debian's nghttp2-client) plays, over HTTP/1.1: as fast as it goes, and users who wait.

A user's next load is due 0..1 s after the last one began, 0.5 s on average, and begins when that one is
answered where that takes longer: a server that cannot keep up is kept at what it can do. h2load has one
list of pauses for all users; each begins it when it connects, and they connect evenly over the time after
which the pauses begin anew, so that at every moment all of the pauses are lived by some.

Why h2load: with 14 000 users of the same server wrk 4.1 needs 38 us of CPU for a load, h2load 19 to 25. wrk
keeps pauses in a list without order and walks it whole at every turn of its loop, 30 % of its time; the rest
are two reads and two changes of its epoll for each answer. More threads shorten the lists but wake up more
often: 60 us with 4, 79 with 16, 85 with 32. So wrk came to 77 % of the demanded rate where, with the same
others at work on two processors, h2load came to 99.6 %. httperf's select ends at 1 024 users, siege has a
thread for each.
"""

from __future__ import annotations

import contextlib
import io
import math
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from crowd_servers import cpu_s

MISSING = "no h2load here: apt install nghttp2-client"
TARGET = "/api/v1/table"
PAUSE_S = 0.5
"""Between the beginnings of two loads of a user, on average."""
ROUND_S = 3.0
"""After so long the pauses begin anew; users connect evenly over the first of them."""
DRAIN_S = 4.0
"""So much longer than planned it may take until every load is answered; then the rest is given up."""
_H2LOAD = ("h2load", "--h1", "-t1")


@dataclass(frozen=True)
class Flood:
    """Loads as fast as they are answered. ``cpu_us`` is what the server used for each."""

    per_s: float
    cpu_us: float
    failed: int


@dataclass(frozen=True)
class Crowd:
    """Users who wait. ``share`` is the part of the demanded loads that was answered.

    ``failed`` counts those with another status than 200 or with none, ``unanswered`` those that were not
    answered when a server had been given time for all of them. ``cpu_us`` is what the server used for each;
    ``busy`` and ``load_busy`` are how many processors the server and h2load had.
    """

    share: float
    mean_ms: float
    p99_ms: float
    failed: int
    unanswered: int
    cpu_us: float
    busy: float
    load_busy: float


def is_there() -> bool:
    """Whether this machine has h2load."""
    return shutil.which(_H2LOAD[0]) is not None


def flood(server: tuple[int, int], connections: int, seconds: int) -> Flood:
    """Asks the server of that port and process over so many connections."""
    port, pid = server
    before_s = cpu_s(pid)
    said = subprocess.run(
        [*_H2LOAD, f"-c{connections}", f"-D{seconds}", _url(port)], capture_output=True, text=True, check=True
    ).stdout
    used_s = cpu_s(pid) - before_s
    found = re.search(r"finished in .*?, ([0-9.]+) req/s", said)
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", said)
    if found is None or counts is None:
        raise RuntimeError(f"h2load said something else: {said}")
    done, _, *failed = map(int, counts.groups())
    return Flood(float(found[1]), 1e6 * used_s / max(1, done), sum(failed))


@contextlib.contextmanager
def users(
    port: int, count: int, seconds: float, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """h2load as so many users, who load for ``seconds`` after all have come. ``log`` gets every answer."""
    together = math.gcd(count, round(1e3 * ROUND_S))
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as script:
        times_s = due_s(seconds)
        script.writelines(f"{1e3 * due:.3f}\t{_url(port)}\n" for due in times_s)
        script.flush()
        pace = [f"-r{count // together}", f"--rate-period={round(1e3 * ROUND_S) // together}ms"]
        command = [*_H2LOAD, f"-c{count}", f"-n{len(times_s)}", *pace, f"--timing-script-file={script.name}"]
        if log is not None:
            command.append(f"--log-file={log}")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def due_s(seconds: float) -> Sequence[float]:
    """When a user's loads are due, s after it has come; for ``seconds`` after the last user has come.

    The pauses are uniform over 0..1 s, in pairs that make 1 s together, in any order.
    """
    chance = random.Random(1)
    first = [chance.random() for _ in range(round(ROUND_S / (2 * PAUSE_S)))]
    pauses = [pause for one in first for pause in (one, 1.0 - one)]
    chance.shuffle(pauses)
    loads = round((ROUND_S + seconds) / PAUSE_S)
    ends = np.cumsum([pauses[number % len(pauses)] for number in range(loads)])
    return [0.001 + float(end) for end in (0.0, *ends[:-1])]


def crowd(server: tuple[int, int], count: int, seconds: float) -> Crowd:
    """So many users of the server of that port and process, looked at for ``seconds`` after all have come."""
    port, pid = server
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "answers.tsv"
        with users(port, count, seconds, log) as process:
            time.sleep(ROUND_S)
            before_us, before_s, load_before_s = time.time_ns() / 1e3, cpu_s(pid), cpu_s(process.pid)
            time.sleep(seconds)
            after_us, used_s = time.time_ns() / 1e3, cpu_s(pid) - before_s
            load_used_s = cpu_s(process.pid) - load_before_s
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ROUND_S + DRAIN_S)
        written = log.read_bytes()
    began_us, status, took_us = _columns(written[: written.rindex(b"\n") + 1])
    answered_us = began_us + took_us
    seen = (answered_us >= before_us) & (answered_us < after_us)
    if not seen.any():
        raise RuntimeError(f"no answer for {count} users")
    took_s = 1e-6 * (after_us - before_us)
    return Crowd(
        float(seen.sum()) / took_s * PAUSE_S / count,
        float(took_us[seen].mean()) * 1e-3,
        float(np.quantile(took_us[seen], 0.99)) * 1e-3,
        int((status != 200).sum()),
        count * len(due_s(seconds)) - len(status),
        1e6 * used_s / float(seen.sum()),
        used_s / took_s,
        load_used_s / took_s,
    )


def _columns(written: bytes) -> Sequence[np.ndarray]:
    """Beginning (us since 1970), status and duration (us) of every answer in h2load's log."""
    return np.loadtxt(io.BytesIO(written), dtype=np.int64, ndmin=2, unpack=True)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}{TARGET}"

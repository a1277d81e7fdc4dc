"""What the running daemon with the page open takes at 50 samples/s: memory, processor, and time to start.

``python tests/bench/bench_footprint.py``, about two minutes. The daemon runs as the service does. It reads a
simulated ECU in another process over a serial CAN adapter, and in a second round a recorded log, which
costs next to nothing to read: what is left is the daemon's own. Beside it runs the bare composite of its
libraries (``bare_composite.py``), at the same time, over an adapter with an ECU of its own where the daemon
has one. The page is opened as a browser does it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import numpy as np
from figures import report

PROJECT = Path(__file__).resolve().parents[2]
STATIC = PROJECT / "web" / "static"
BARE = Path(__file__).resolve().parent / "bare_composite.py"
PEER = "bare composite"
RATE_HZ = 50.0
STARTS = 3
SETTLE_S = 5.0
MEASURE_S = 25.0
OTHER_VIEWS = (
    "settings", "devices", "status", "maf-table", "logs", "verdicts", "sessions", "points", "cells/20",
    "analyses", "table?format=csv", "diagnosis",
)  # fmt: skip
"""What the views of the parked car ask for, below ``/api/v1``."""


class Running:
    """A server in another process, from its start on."""

    def __init__(self, compiled: Path, *arguments: str) -> None:
        """``compiled`` is where compiled modules are kept: an installed program starts with them."""
        left_out = ("OPENBLAS_NUM_THREADS", "PYTHONDONTWRITEBYTECODE")
        environment = {name: value for name, value in os.environ.items() if name not in left_out}
        environment["PYTHONPYCACHEPREFIX"] = str(compiled)
        self._began_s = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._folder = Path("/proc") / str(self._process.pid)
        self._stream: threading.Thread | None = None
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if match := re.search(r"http://[\d.]+:\d+", line):
                self._address = urlsplit(match[0]).netloc
                break
        else:
            raise SystemExit(f"it did not start: {''.join(said)}")
        self._rest = threading.Thread(target=self._process.stdout.read, daemon=True)
        self._rest.start()

    def first_snapshot_s(self) -> float:
        """Seconds from the start until the stream has sent a table; it stays open to the end."""
        connection = http.client.HTTPConnection(self._address, timeout=20)
        connection.request("GET", "/api/v1/stream")
        answer = connection.getresponse()
        while not answer.fp.readline().startswith(b"data:"):
            pass
        took_s = time.monotonic() - self._began_s
        self._stream = threading.Thread(target=self._listen, args=(connection, answer), daemon=True)
        self._stream.start()
        return took_s

    @staticmethod
    def _listen(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        with contextlib.closing(connection), contextlib.suppress(OSError):
            while answer.fp.read1(65536):
                pass

    def get(self, path: str) -> None:
        """Asks as a browser does, and reads the answer."""
        connection = http.client.HTTPConnection(self._address, timeout=20)
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        connection.getresponse().read()
        connection.close()

    def cpu_s(self) -> float:
        """Seconds of processor time that its threads have had."""
        spent = (task / "schedstat" for task in (self._folder / "task").iterdir())
        return sum(int(path.read_text().split()[0]) for path in spent) / 1e9

    def peak_mb(self) -> float:
        """The most memory that it has had."""
        peak = re.search(r"VmHWM:\s+(\d+)", (self._folder / "status").read_text())
        assert peak is not None
        return int(peak[1]) / 1024

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stops it, and waits until it and its stream have ended."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._stream is not None:
            self._stream.join(5)


@contextlib.contextmanager
def simulated_ecu() -> Iterator[dict[str, object]]:
    """The settings of the source that reads a simulated ECU over a serial CAN adapter."""
    process = subprocess.Popen(
        [sys.executable, "-m", "daemon", "simulate", "--transport", "slcan"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    source: dict[str, object] = {"rate_hz": RATE_HZ}
    for line in process.stdout:
        if match := re.fullmatch(r'(\w+) = "(.*)"\n', line):
            source[match[1]] = match[2]
        if line.startswith("Ctrl-C"):
            break
    try:
        yield source
    finally:
        process.terminate()
        process.communicate(timeout=10)


@contextlib.contextmanager
def recorded_log(folder: Path) -> Iterator[dict[str, object]]:
    """The settings of the source that replays a log of 50 samples/s in its own time."""
    path = folder / "drive.csv"
    seconds = np.arange(0.0, 2.0 * (SETTLE_S + MEASURE_S) + 60.0, 1.0 / RATE_HZ)
    volts = 1.7 + 0.5 * np.sin(seconds / 7.0)
    short = 0.78125 * np.round(4.0 * np.sin(seconds / 3.0))
    with path.open("w", encoding="utf-8") as log:
        log.write("Time (msec),MAF Voltage (V),A/F Correction #1 (%),A/F Learning #1 (%),")
        log.write("CL/OL Fueling* (status),Engine Speed (rpm),Coolant Temperature (C)\n")
        for time_s, maf_v, stft_pct in zip(seconds.tolist(), volts.tolist(), short.tolist(), strict=True):
            log.write(f"{1e3 * time_s:.0f},{maf_v:.3f},{stft_pct:.5f},1.5,8,{1200 + 800 * maf_v:.0f},88\n")
    yield {"driver": "replay", "file": str(path)}


def configured(folder: Path, name: str, source: dict[str, object]) -> Path:
    """A configuration with everything at its default but the source."""
    path = folder / f"{name}.toml"
    keys = "".join(f"{key} = {json.dumps(value)}\n" for key, value in source.items())
    storage = f'[storage]\ndatabase = "{folder / name}.sqlite3"\n'
    path.write_text(f"[source]\n{keys}[web]\nport = 0\n{storage}", encoding="utf-8")
    return path


def measured_pct(*running: Running) -> list[float]:
    """Processor time of each over the same seconds, % of one core."""
    time.sleep(SETTLE_S)
    before_s, began_s = [one.cpu_s() for one in running], time.monotonic()
    time.sleep(MEASURE_S)
    passed_s = time.monotonic() - began_s
    return [
        100.0 * (one.cpu_s() - spent_s) / passed_s for one, spent_s in zip(running, before_s, strict=True)
    ]


def best(starts: list[tuple[float, float]]) -> tuple[float, float]:
    """The shortest of each, but for the first, which had nothing compiled."""
    seconds, cpu_s = zip(*starts[1:], strict=True)
    return min(seconds), min(cpu_s)


def round_on(folder: Path, name: str, source: dict[str, object], *adapter: str) -> None:
    """One round: both are started, the page is opened, and they run beside one another.

    ``adapter`` is the one that the bare composite polls, if any.
    """
    compiled = folder / "compiled"
    bare_starts, starts = [], []
    for number in range(STARTS + 1):
        configuration = str(configured(folder, f"{name}-{number}", source))
        with Running(compiled, str(BARE), str(folder / f"{name}-{number}-bare.sqlite3"), *adapter) as bare:
            bare_starts.append((bare.first_snapshot_s(), bare.cpu_s()))
            with Running(compiled, "-m", "daemon", "run", "--config", configuration) as daemon:
                starts.append((daemon.first_snapshot_s(), daemon.cpu_s()))
                if number == 0:
                    use_every_view(daemon)  # so that what it loads is compiled too
                if number == STARTS:
                    report_running(name, daemon, bare)
    (bare_start_s, bare_start_cpu_s), (start_s, start_cpu_s) = map(best, (bare_starts, starts))
    report(f"{name}: start to first snapshot", start_s, "s", peer=(PEER, bare_start_s), at_most=1.5)
    report(f"{name}: the same, processor", start_cpu_s, "s", peer=(PEER, bare_start_cpu_s))


def use_every_view(daemon: Running) -> None:
    """Asks what the views of the parked car ask."""
    for path in OTHER_VIEWS:
        daemon.get(f"/api/v1/{path}")


def report_running(name: str, daemon: Running, bare: Running) -> None:
    """What both take while they run with the page open, and what the daemon takes once all views were."""
    for path in ("/", *(f"/static/{file.relative_to(STATIC)}" for file in STATIC.rglob("*.*"))):
        daemon.get(path)
    for one in (daemon, bare):
        one.get("/api/v1/table")
    daemon_pct, bare_pct = measured_pct(daemon, bare)
    page_mb, bare_mb = daemon.peak_mb(), bare.peak_mb()
    use_every_view(daemon)
    report(f"{name}: running, processor", daemon_pct, "% of a core", peer=(PEER, bare_pct), at_most=2.0)
    report(f"{name}: peak memory, page open", page_mb, "MB", peer=(PEER, bare_mb), at_most=64.0)
    report(f"{name}: peak memory, every view used", daemon.peak_mb(), "MB", peer=(PEER, bare_mb))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-footprint-") as name:
        folder = Path(name)
        with recorded_log(folder) as source:
            round_on(folder, "recorded log", source)
        with simulated_ecu() as source, simulated_ecu() as other:
            round_on(folder, "CAN adapter", source, str(other["channel"]))


if __name__ == "__main__":
    main()

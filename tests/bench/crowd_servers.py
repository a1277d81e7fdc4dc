"""Servers that a crowd is sent to, each in a process of its own: ours, and what others use for the same."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from figures import not_measured

PEERS = Path(__file__).resolve().parent / "peers"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def commands(body: Path, folder: Path) -> dict[str, list[str]]:
    """By name, what starts each server that can be had here; a port and ``body`` are appended."""
    us = [sys.executable, __file__]
    found = {
        "lowmaf": [*us, "lowmaf", "0"],
        "lowmaf, 2 workers": [*us, "lowmaf", "2"],
        "FastAPI, same bytes": [*us, "fastapi"],
    }
    node, go = shutil.which("node"), shutil.which("go")
    if node and _has_fastify(node):
        found["Fastify"] = [node, str(PEERS / "fastify.js")]
    else:
        not_measured("Fastify", "npm install fastify in a folder, and NODE_PATH=FOLDER/node_modules")
    if go:
        binary = folder / "table"
        subprocess.run([go, "build", "-o", binary, PEERS / "table.go"], check=True, cwd=folder)
        found["Go net/http"] = [str(binary)]
    else:
        not_measured("Go net/http", "no Go here: apt install golang")
    body.touch()
    return found


def _has_fastify(node: str) -> bool:
    asked = subprocess.run([node, "-e", "require('fastify')"], capture_output=True, check=False)
    return asked.returncode == 0


def _free_port() -> int:
    """One that no connection of the crowds before can still hold: the system gives those from 32768 on."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port from 20000 to 32000")


@contextlib.contextmanager
def running(command: list[str], body: Path) -> Iterator[tuple[int, int]]:
    """Port and process id of a server that answers."""
    port = _free_port()
    environment = {**os.environ, "GOMAXPROCS": "1"}
    process = subprocess.Popen([*command, str(port), str(body)], env=environment)
    try:
        until_s = time.monotonic() + 15.0
        while True:
            with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), 1.0):
                break
            if time.monotonic() > until_s:
                raise RuntimeError(f"{command} does not answer")
            time.sleep(0.05)
        yield port, process.pid
    finally:
        process.kill()
        process.wait()


def _with_children(pid: int) -> Iterator[Path]:
    """Folders in ``/proc`` of a process and of those that it has started."""
    folder = Path("/proc") / str(pid)
    yield folder
    for child in (folder / "task" / str(pid) / "children").read_text().split():
        yield from _with_children(int(child))


def cpu_s(pid: int) -> float:
    """CPU time that a process has used so far with those that it has started and that still run, s."""
    fields = [(folder / "stat").read_text().rpartition(")")[2].split() for folder in _with_children(pid)]
    return sum(int(one[11]) + int(one[12]) for one in fields) / CLOCK_TICKS


def memory_mb(pid: int) -> float:
    """Resident memory of a process and those that it has started, MB; what they share counts for each."""
    pages = sum(int((folder / "statm").read_text().split()[1]) for folder in _with_children(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def _lowmaf(port: int, workers: int) -> None:
    from fakes import FakeBoard

    from daemon.serving.limits import WebLimits
    from daemon.serving.server import listen, serve_on
    from daemon.serving.workers import Workers
    from web.app import create_app
    from web.front import Front

    board = FakeBoard()
    front = Front(board)
    app = create_app(board, version="bench", front=front)
    beside = Workers(workers, front, limits=WebLimits()) if workers else None

    async def change() -> None:
        while True:
            await asyncio.sleep(0.1)
            if app.state.events.listeners:
                board.newest = dataclasses.replace(board.newest, updated_s=time.monotonic())
                board.next_revision()

    async with asyncio.TaskGroup() as group:
        group.create_task(change())
        listener = listen("127.0.0.1", port)
        serving = serve_on(app, front.events, front.hot_paths, listener, workers=beside)
        group.create_task(serving)
        gc.freeze()  # as the daemon does


def _fastapi(port: int, body: bytes) -> None:
    import uvicorn
    from bench_web import plain_app

    uvicorn.run(
        plain_app(body), host="127.0.0.1", port=port, http="h11", log_config=None, access_log=False,
        backlog=4096,
    )  # fmt: skip


def table_body() -> bytes:
    """What ours answers."""
    from fakes import FakeBoard

    from web.current_table import CurrentTable

    return CurrentTable(FakeBoard()).newest()[1].plain.body


@contextlib.contextmanager
def body_file() -> Iterator[tuple[Path, Path]]:
    """A folder, and a file in it with the table's JSON."""
    with tempfile.TemporaryDirectory() as name:
        body = Path(name) / "table.json"
        body.write_bytes(table_body())
        yield Path(name), body


if __name__ == "__main__":
    if sys.argv[1] == "lowmaf":
        asyncio.run(_lowmaf(int(sys.argv[3]), int(sys.argv[2])))
    else:
        _fastapi(int(sys.argv[2]), Path(sys.argv[3]).read_bytes())

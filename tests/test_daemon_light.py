"""What the running daemon has loaded while the car is driven and the page is open."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

NOT_WHILE_DRIVING = {
    "fastapi": "makes the application on demand (AppOnDemand)",
    "pydantic": "comes with FastAPI",
    "numpy.ma": "np.unique and its kind load it, 2 MB",
    "numpy.random": "2 MB",
    "httpx": "for webhooks, when one is to be sent",
    "segno": "for QR codes, when one is shown",
    "drivers.wideband": "for a second source",
    "drivers.ssm_kline": "for another source",
    "asammdf": "for recordings of that kind",
    "cantools": "for a DBC file",
    "multiprocessing.pool": "analyses start their own processes",
}
"""Modules that are loaded when they are used, and why not sooner."""

PROGRAM = """
import asyncio, json, os, re, signal, sys
from dataclasses import replace
from pathlib import Path
from daemon.config.config import load_config
from daemon.planning import plan_from
from daemon.runtime import run

port = 0

def listening(url):
    global port
    port = int(re.search(r":([0-9]+)/", url)[1])

async def ask(path, until):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n".encode())
    await reader.readuntil(until)
    writer.close()

async def look(hub):
    try:
        while not port:
            await asyncio.sleep(0.01)
        for path in ("/", "/static/app.js", "/static/panels/link.js", "/api/v1/table"):
            await ask(path, b"\\r\\n\\r\\n")
        await ask("/api/v1/stream", b"event: status")
        while not hub.pipeline.counts().accepted:
            await asyncio.sleep(0.01)
        print(json.dumps(sorted(sys.modules)))
    finally:
        os.kill(os.getpid(), signal.SIGTERM)

plan = plan_from(load_config(Path(sys.argv[1]), {}))
run(replace(plan, companion=look, listening=listening, seconds=50.0))
"""

CONFIG = """
[source]
driver = "simulator"
speed = 50
ect_start_c = 88

[web]
port = 0
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Names of all modules that a daemon has loaded which has counted samples, with the page open."""
    config = tmp_path_factory.mktemp("light") / "lowmaf.toml"
    config.write_text(CONFIG, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(config)], capture_output=True, text=True, timeout=60, check=True
    )
    return frozenset(json.loads(ended.stdout))


@pytest.mark.parametrize("name", NOT_WHILE_DRIVING)
def test_it_is_not_loaded_while_driving(loaded: frozenset[str], name: str) -> None:
    assert name not in loaded, NOT_WHILE_DRIVING[name]


def test_what_is_needed_is_loaded(loaded: frozenset[str]) -> None:
    """So that the names above are looked for in a daemon that really runs."""
    assert {"numpy", "uvicorn", "aiosqlite", "drivers.simulator.source", "daemon.live.hub"} <= loaded

"""What systemd is told, on a real datagram socket; and when the watchdog is not fed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_daemon_live_hub import Clock, MemoryStore, settings, steady
from test_daemon_run import CONFIG

from daemon.live.hub import Hub
from daemon.service_notify import ServiceManager, feed_watchdog, status_line, tell_status

LIMIT_S = 20.0


class Journal:
    """systemd's end of the line."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(LIMIT_S)
        self.address = address

    def next(self) -> dict[str, str]:
        lines = self.socket.recv(4096).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)

    def until(self, name: str) -> str:
        while True:
            if (value := self.next().get(name)) is not None:
                return value

    def silent(self) -> bool:
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self.socket.recv(4096)
            return False
        return True


@pytest.fixture(params=["path", "abstract"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@lowmaf-{secrets.token_hex(8)}"
    ear = Journal(address)
    yield ear
    ear.socket.close()


def manager(journal: Journal, watchdog_s: float | None = None, *, of: int | None = None) -> ServiceManager:
    environment = {"NOTIFY_SOCKET": journal.address}
    if watchdog_s is not None:
        environment["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
    if of is not None:
        environment["WATCHDOG_PID"] = str(of)
    return ServiceManager(environment)


@contextlib.asynccontextmanager
async def running(coroutine: object) -> AsyncIterator[None]:
    task = asyncio.ensure_future(coroutine)  # type: ignore[call-overload]
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_every_message_arrives_as_sd_notify_defines_it(journal: Journal) -> None:
    service = manager(journal, 20.0)
    service.ready()
    assert journal.next() == {"READY": "1"}
    service.reloading()
    told = journal.next()
    assert told["RELOADING"] == "1"
    assert int(told["MONOTONIC_USEC"]) > 0
    service.status("two\nlines  and MORE=1")
    assert journal.next() == {"STATUS": "two lines and MORE=1"}
    assert service.ping()
    assert journal.next() == {"WATCHDOG": "1"}
    service.stopping()
    assert journal.next() == {"STOPPING": "1"}


async def test_without_systemd_nothing_happens() -> None:
    service = ServiceManager({"WATCHDOG_USEC": "20000000"})
    service.ready()
    assert not service.ping()
    assert not service.present
    assert service.watchdog_s is None
    await asyncio.wait_for(feed_watchdog(service, lambda: None), LIMIT_S)
    await asyncio.wait_for(tell_status(service, pytest.fail), LIMIT_S)


@pytest.mark.parametrize(
    ("usec", "pid", "watchdog_s"),
    [("20000000", None, 20.0), ("20000000", "own", 20.0), ("20000000", "1", None), ("0", None, None),
     ("", None, None), ("soon", None, None), ("-5", None, None), ("²", None, None)],
)  # fmt: skip
def test_the_watchdog_is_ours_only_if_systemd_says_so(
    usec: str, pid: str | None, watchdog_s: float | None
) -> None:
    environment = {"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": usec}
    environment |= {} if pid is None else {"WATCHDOG_PID": str(os.getpid()) if pid == "own" else pid}
    assert ServiceManager(environment).watchdog_s == watchdog_s


def test_a_deaf_service_manager_is_said_once_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": f"@lowmaf-nobody-{secrets.token_hex(8)}"})
    for _ in range(3):
        assert not service.ping()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_the_watchdog_is_fed_only_while_nothing_is_stuck(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    stuck: list[str] = []
    looked = asyncio.Event()

    def why_stuck() -> str | None:
        looked.set()
        return stuck[0] if stuck else None

    async def look_twice() -> None:
        for _ in range(2):
            looked.clear()
            await asyncio.wait_for(looked.wait(), LIMIT_S)

    async with running(feed_watchdog(manager(journal, 0.02), why_stuck)):
        for _ in range(3):
            assert await asyncio.to_thread(journal.next) == {"WATCHDOG": "1"}
        stuck.append("no sample for 11 s although the link is up")
        await look_twice()
        while not journal.silent():
            pass
        await look_twice()
        assert journal.silent()
        assert caplog.messages == ["the watchdog is not fed: no sample for 11 s although the link is up"]
        journal.socket.settimeout(LIMIT_S)
        stuck.clear()
        assert await asyncio.to_thread(journal.next) == {"WATCHDOG": "1"}


async def test_pings_come_at_half_the_period_and_not_more_often(journal: Journal) -> None:
    """The watchdog asks for a ping within 1 s; looking is four times as often as that."""
    looks = 0

    def why_stuck() -> None:
        nonlocal looks
        looks += 1

    async with running(feed_watchdog(manager(journal, 1.0), why_stuck)):
        await asyncio.to_thread(journal.next)
        looks = 0
        await asyncio.to_thread(journal.next)
    assert looks >= 2


async def test_the_status_line_says_how_it_goes(journal: Journal) -> None:
    clock = Clock()
    hub = Hub(settings(), MemoryStore(), now_s=clock)
    hub.set_link("running", "a simulated car", "simulator")
    hub.source_connected("simulator")
    hub.take(steady(0.0, 30.0))
    clock.now_s += 1.0
    hub.take(steady(30.0, 30.0))
    line = status_line(hub.status())
    counts = hub.pipeline.verdict_counts()
    accepted, seen = counts["accepted"], sum(counts.values())
    assert seen > 0
    assert line.startswith("a simulated car; ")
    assert line.endswith(f" samples/s; {accepted} of {seen} samples counted")
    clock.now_s += 11.0
    assert status_line(hub.status()).endswith("; no sample for 11 s although the link is up")
    async with running(tell_status(manager(journal), hub.status)):
        assert await asyncio.to_thread(journal.next) == {"STATUS": status_line(hub.status())}


def test_a_source_that_is_away_is_well() -> None:
    clock = Clock()
    hub = Hub(settings(), MemoryStore(), now_s=clock)
    hub.set_link("waiting", "waiting for the car", "ssm-kline")
    clock.now_s += 3600.0
    assert hub.status().healthy
    assert status_line(replace(hub.status(), counts={})) == "waiting for the car"


def test_the_daemon_tells_the_whole_story(journal: Journal, tmp_path: Path) -> None:
    config = tmp_path / "lowmaf.toml"
    config.write_text(CONFIG + '\n[log]\nlevel = "info"\n')
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LOWMAF_")}
    environment |= {"NOTIFY_SOCKET": journal.address, "WATCHDOG_USEC": "2000000"}
    process = subprocess.Popen(
        [sys.executable, "-m", "daemon", "run", "--config", str(config)],
        env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert journal.until("READY") == "1"
        assert (tmp_path / "kept.sqlite3").exists()
        assert journal.until("WATCHDOG") == "1"
        config.write_text(CONFIG.replace("speed = 20", "speed = 10") + '\n[log]\nlevel = "warning"\n')
        process.send_signal(signal.SIGHUP)
        assert journal.until("RELOADING") == "1"
        assert journal.until("READY") == "1"
        config.write_text("[weather]\n")
        process.send_signal(signal.SIGHUP)
        assert journal.until("RELOADING") == "1"
        assert journal.until("READY") == "1"
        process.send_signal(signal.SIGTERM)
        assert journal.until("STOPPING") == "1"
        _, said = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
    assert "dashboard at http://127.0.0.1:" in said
    assert "these changes wait for a restart: [source] speed\n" in said
    assert "reload refused, all stays as it was" in said
    assert "no section [weather]" in said
    assert "Traceback" not in said

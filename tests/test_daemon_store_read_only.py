"""A disk that Linux mounted read-only after a power cut: driving goes on with what was learned before.

What is driven meanwhile waits, and is kept by itself once the disk takes writes again.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack, closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from daemon.store import writer as store_writer
from daemon.store.connections import open_to_read
from daemon.store.opening import ReadOnlyError
from daemon.store.records import RestartNeededError, SessionStart, StoreError
from daemon.store.store import Store
from lowmaf.maf_table import MafTable, default_axis

START = SessionStart(driver="test", maf_table_revision=None, epoch=1, estimator="curve", settings={})
NEVER_S = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "car.sqlite3"


class Disk:
    """Whether the disk takes writes, as :mod:`daemon.store.opening` sees it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read_only = False
        access, statvfs = os.access, os.statvfs

        def access_now(path: Path, mode: int) -> bool:
            return access(path, mode) and not (self.read_only and mode & os.W_OK)

        def statvfs_now(path: Path) -> object:
            found = statvfs(path)
            if not (self.read_only and path == folder):
                return found
            return SimpleNamespace(
                f_flag=os.ST_RDONLY,
                f_bavail=found.f_bavail,
                f_blocks=found.f_blocks,
                f_bfree=0,
                f_frsize=4096,
            )

        monkeypatch.setattr(os, "access", access_now)
        monkeypatch.setattr(os, "statvfs", statvfs_now)
        monkeypatch.setattr(store_writer, "OPEN_RETRY_S", 0.0)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path, monkeypatch)


async def learned(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        table = await store.put_configured_table(default_axis())
        assert table.revision == 1
        store.write_locks(frozenset({5}))
        session = await store.begin_session(START)
        store.write_blocks(session, {0: b"learned before"})
        store.write_counts(session, {"accepted": 7})


async def test_what_was_learned_is_read_and_what_is_driven_is_kept_later(path: Path, disk: Disk) -> None:
    await learned(path)
    disk.read_only = True
    with pytest.raises(ReadOnlyError, match="not writable"):
        await Store.open(path)
    async with await Store.open(path, commit_interval_s=NEVER_S, reading_will_do=True) as store:
        store.announce("http://pi:8000/")
        (notice,) = store.notices
        assert notice.code == "read_only"
        assert "Nothing is kept" in notice.message
        assert (await store.put_configured_table(default_axis())).revision == 1
        assert await store.locks(1) == {5}
        assert await store.blocks(1) == {0: b"learned before"}
        assert await store.begin_session(START) == 2
        store.write_blocks(2, {0: b"driven meanwhile"})
        with pytest.raises(StoreError, match="Nothing is kept"):
            await store.flush()
        assert await store.blocks(2) == {}
        disk.read_only = False
        await store.flush()
        assert store.notices == ()
        assert await store.blocks(2) == {0: b"driven meanwhile"}
        assert [session.id for session in await store.sessions()] == [1, 2]
        with pytest.raises(StoreError, match="in use by another lowmaf"):
            await Store.open(path)
        assert "http://pi:8000/" in path.with_name("car.sqlite3-lock").read_text()
        disk.read_only = True
    async with await Store.open(path, commit_interval_s=NEVER_S, reading_will_do=True) as store:
        assert await store.blocks(2) == {0: b"driven meanwhile"}


async def test_a_disk_without_a_database_yet_is_driven_with_too(path: Path, disk: Disk) -> None:
    disk.read_only = True
    async with await Store.open(path, commit_interval_s=NEVER_S, reading_will_do=True) as store:
        assert (await store.put_configured_table(default_axis())).revision == 1
        assert await store.sessions() == []
        assert await store.begin_session(START) == 1
        assert not path.exists()
        disk.read_only = False
        await store.flush()
        assert [session.id for session in await store.sessions()] == [1]


@pytest.mark.parametrize("what", ["damaged", "older", "another program's"])
async def test_what_cannot_be_read_is_not_guessed_and_a_restart_brings_it_back(
    path: Path, disk: Disk, what: str
) -> None:
    if what == "older":
        shutil.copy(Path(__file__).parent / "databases" / "schema_5.db", path)
    else:
        await learned(path)
        with closing(sqlite3.connect(path)) as connection, connection:
            if what == "damaged":
                connection.execute("UPDATE meta SET value = replace(value, '5', '6') WHERE key = 'locks'")
            else:
                connection.execute("PRAGMA application_id = 7")
    before = path.read_bytes()
    disk.read_only = True
    store = await Store.open(path, commit_interval_s=NEVER_S, reading_will_do=True)
    assert await store.sessions() == []
    notices = {notice.code: notice.message for notice in store.notices}
    assert "in earlier drives cannot be read" in notices["not_read"]
    assert path.read_bytes() == before
    if what == "another program's":
        await store.close()
        return
    await store.put_configured_table(MafTable("other", default_axis().maf_v, None))
    disk.read_only = False
    with pytest.raises(RestartNeededError, match="read by a restart"):
        await store.flush()
    with pytest.raises(RestartNeededError):
        await store.watch()
    with pytest.raises(RestartNeededError):
        await store.close()
    async with await Store.open(path) as store:
        assert len(await store.sessions()) == (2 if what == "older" else 1)


async def test_the_newest_commits_of_a_log_that_a_power_cut_left_are_read(path: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.mkdir()
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        session = await store.begin_session(START)
        store.write_blocks(session, {0: b"only in the log"})
        await store.flush()
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{path}{suffix}", cut / f"{path.name}{suffix}")
    async with AsyncExitStack() as opened:
        database = await open_to_read(cut / path.name, until=opened)
        assert database.unread is None
        ((count,),) = await database.reading.execute_fetchall("SELECT count(*) FROM cell_blocks")
        assert count == 1


WHOLE_DAEMON = """
import json, os, signal, subprocess, sys, time, urllib.request
from pathlib import Path

FOLDER = Path(sys.argv[1])
(FOLDER / "disk").mkdir()
DISK = FOLDER / "disk"
subprocess.run(["mount", "-t", "tmpfs", "none", DISK], check=True)
(FOLDER / "car.toml").write_text(
    f'[source]\\ndriver = "simulator"\\n[filters]\\nmin_ect_c = "off"\\n'
    f'[storage]\\ndatabase = "{DISK}/car.sqlite3"\\nmin_free_mb = 1\\n[web]\\nport = 0\\n'
)

def remounted(mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", DISK], check=True)

def started():
    daemon = subprocess.Popen(
        [sys.executable, "-m", "daemon", "run", "--config", FOLDER / "car.toml"],
        stderr=subprocess.PIPE, text=True,
    )
    running.append(daemon)
    for line in daemon.stderr:
        if "http://" in line:
            os.set_blocking(daemon.stderr.fileno(), False)
            return daemon, "http://" + line.split("http://")[1].split()[0]
    raise AssertionError("it did not start")

def asked(address, what):
    with urllib.request.urlopen(address + what, timeout=10) as answer:
        return json.load(answer)

def until(address, holds):
    for _ in range(400):
        status = asked(address, "api/v1/status")
        if holds(status):
            return status
        time.sleep(0.05)
    raise AssertionError(status)

def codes(status):
    return [notice["code"] for notice in status["storage"]["notices"]]

import atexit
running = []
atexit.register(lambda: [process.kill() for process in running])
daemon, address = started()
until(address, lambda status: status["session"] == 1 and status["storage"]["commits"] > 2)
daemon.kill()
daemon.wait()
remounted("ro")
before = sorted((entry.name, entry.stat().st_size) for entry in DISK.iterdir())
daemon, address = started()
status = until(address, lambda status: status["last_sample_age_s"] is not None)
assert codes(status) == ["read_only"], status
assert [kept["id"] for kept in asked(address, "api/v1/sessions")["sessions"]] == [1]
driven = until(address, lambda later: later["session"] is not None)
assert asked(address, "api/v1/table")["samples"]["seen"] > 0
assert sorted((entry.name, entry.stat().st_size) for entry in DISK.iterdir()) == before
remounted("rw")
well = until(address, lambda later: not later["storage"]["notices"] and later["storage"]["commits"] > 1)
assert well["session"] == driven["session"]
daemon.send_signal(signal.SIGTERM)
assert daemon.wait(10) == 0
import sqlite3
kept = sqlite3.connect(DISK / "car.sqlite3").execute(
    "SELECT count(*) FROM sample_chunks WHERE session = ?", (driven["session"],)).fetchone()
assert kept[0] > 0, "what was driven meanwhile"
"""


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("unshare") is None, reason="only root may mount here")
def test_the_whole_daemon_on_a_read_only_disk(tmp_path: Path) -> None:
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", WHOLE_DAEMON]
    ran = subprocess.run(
        [*command, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).resolve().parents[1],
    )
    if "'mount'" in ran.stderr and "tmpfs" in ran.stderr:
        pytest.skip("no small file system can be mounted here")
    assert ran.returncode == 0, ran.stderr

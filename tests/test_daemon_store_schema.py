"""Databases of older versions come forward with all they hold, also when the power goes in the middle."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from make_database import make

from daemon.store import schema as store_schema
from daemon.store.records import ClosedHow
from daemon.store.schema import VERSION, is_whole, upgrade
from daemon.store.store import Store
from daemon.wall_clock import ClockState
from lowmaf.samples import SampleBatch

KEPT = Path(__file__).parent / "databases"
OLDER = sorted(KEPT.glob("schema_*.db"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "car.sqlite3"


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def test_there_is_a_kept_database_of_every_older_version() -> None:
    numbers = [int(path.stem.removeprefix("schema_")) for path in OLDER]
    assert set(range(1, VERSION)) <= set(numbers)
    assert [version_of(path) for path in OLDER] == numbers


@pytest.mark.parametrize("older", OLDER, ids=lambda path: path.stem)
async def test_a_kept_database_comes_forward_with_all_it_holds(older: Path, path: Path) -> None:
    """Each was made by lowmaf of its time: two drives of a simulated car, the second cut off by the power.

    That one began without a clock; from version 2 on, a boot tells later what time it was.
    """
    shutil.copy(older, path)
    number = version_of(older)
    async with await Store.open(path) as store:
        assert store.notices == ()
        table = store.current_table()
        assert table is not None
        assert (table.name, table.revision, table.cells) == ("stock", 1, 16)
        assert await store.locks(1) == {3}
        whole, cut_off = await store.sessions()
        assert (whole.duration_s, whole.closed_how, whole.clock) == (
            120.0,
            ClosedHow.CLOSED,
            ClockState.SYNCED,
        )
        assert cut_off.closed_how is ClosedHow.CLOSED_INCORRECT
        assert cut_off.clock is (ClockState.UNSYNCED if number < 2 else ClockState.SYNCED)
        for session in (whole, cut_off):
            assert (session.driver, session.samples, session.included) == ("simulator", 2400, True)
            samples = SampleBatch.concatenate([batch async for batch in store.samples(session.id)])
            assert len(samples) == 2400
            assert np.isfinite(samples["maf_v"]).all()
            assert len(await store.blocks(session.id)) == 1
            assert (await store.counts(session.id))["open_loop"] > 1000
            assert list(await store.minutes(session.id))[:2] == ([] if number < 2 else [0, 1])
        assert store.damage == {}
        store.write_minutes(1, {7: {"accepted": 3}})
        await store.flush()
        assert (await store.minutes(1))[7] == {"accepted": 3}
    assert version_of(path) == VERSION
    with closing(sqlite3.connect(path)) as connection:
        assert is_whole(connection, VERSION)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_the_next_database_to_keep_is_made_like_the_kept_ones(path: Path) -> None:
    await make(path)
    assert version_of(path) == VERSION
    async with await Store.open(path) as store:
        assert store.notices == ()
        assert [session.samples for session in await store.sessions()] == [2400, 2400]
        assert [list(await store.minutes(number)) for number in (1, 2)] == [[0, 1, 2], [0, 1, 2]]
        assert await store.locks(1) == {3}


def test_a_new_database_and_one_brought_forward_step_by_step_are_the_same(path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as new, closing(sqlite3.connect(path)) as stepped:
        upgrade(new, 0)
        for version in range(VERSION):
            upgrade(stepped, version, until=version + 1)
            assert is_whole(stepped, version + 1)
        text = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
        assert new.execute(text).fetchall() == stepped.execute(text).fetchall()


async def test_a_step_that_fails_in_the_middle_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(KEPT / f"schema_{VERSION - 1}.db", path)
    before = path.read_bytes()
    broken = (*store_schema._STEPS[:-1], store_schema._STEPS[-1] + "INSERT INTO nowhere VALUES (1);")
    with monkeypatch.context() as patched, closing(sqlite3.connect(path)) as connection:
        patched.setattr(store_schema, "_STEPS", broken)
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            upgrade(connection, VERSION - 1)
        connection.rollback()
    assert path.read_bytes() == before
    async with await Store.open(path) as store:
        assert store.notices == ()
        assert len(await store.sessions()) == 2


UPGRADER = """
import sys, sqlite3
from pathlib import Path
from daemon.store import schema as store_schema
from daemon.store.opening import prepare

slow = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
slow += "INSERT INTO ballast SELECT i, randomblob(200) FROM n;"
table = "CREATE TABLE ballast (i INTEGER, b BLOB);"
store_schema._STEPS = (*store_schema._STEPS, table + slow)
store_schema.VERSION += 1
import daemon.store.opening
daemon.store.opening.VERSION += 1
store_schema.upgrade.__defaults__ = (store_schema.VERSION,)
print("begin", flush=True)
prepare(Path(sys.argv[1]))
print("done", flush=True)
"""


@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.long)])
def test_kill_9_in_the_middle_of_a_step_leaves_the_version_before_or_after(path: Path, kills: int) -> None:
    """The last step is made to write 4 MB, so that it can be hit while it writes."""
    versions = set()
    for number in range(kills):
        shutil.copy(OLDER[0], path)
        for suffix in ("-wal", "-shm", "-lock"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        with subprocess.Popen(
            [sys.executable, "-c", UPGRADER, str(path)], stdout=subprocess.PIPE
        ) as upgrader:
            assert upgrader.stdout is not None
            assert upgrader.stdout.readline() == b"begin\n"
            try:
                upgrader.wait(0.1 * number / kills)
            except subprocess.TimeoutExpired:
                upgrader.send_signal(signal.SIGKILL)
            upgrader.stdout.read()
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            noted = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
            assert noted == (str(version),), "the version and its tables are of one moment"
            assert version in range(1, VERSION + 2)
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
            assert ("boots" in names) == (version >= 2)
            assert ("ballast" in names) == (version > VERSION)
            assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (2,)
            versions.add(version)
    assert min(versions) <= VERSION, "no kill came before the end"

"""Snapshots: made when a drive ends, whole or not at all, and never in the way."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from daemon.store import snapshots as store_snapshots
from daemon.store.records import SessionStart, StoreError
from daemon.store.snapshots import DRIVES_BETWEEN_LARGE, snapshots, take_snapshot
from daemon.store.store import Store

START = SessionStart(driver="test", maf_table_revision=None, epoch=1, estimator="curve", settings={})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "the car's [1] 100% ?.sqlite3"


async def drive(store: Store) -> None:
    session = await store.begin_session(START)
    store.write_blocks(session, {number: bytes(500) for number in range(200)})
    await store.end_session(session)
    await store.snapshots.idle()


def drives_in(snapshot: Path) -> int:
    with closing(sqlite3.connect(f"{snapshot.as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])


def beside(path: Path) -> set[str]:
    return {entry.name.removeprefix(path.name) for entry in path.parent.iterdir()}


async def test_the_last_three_drives_have_one_each(path: Path) -> None:
    async with await Store.open(path) as store:
        for _ in range(5):
            await drive(store)
        assert [drives_in(snapshot) for snapshot in snapshots(path)] == [5, 4, 3]
        assert store.notices == ()
    assert beside(path) == {"", "-lock", ".snapshot-5", ".snapshot-4", ".snapshot-3"}


async def test_without_room_none_is_made_and_the_status_says_why(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(path.parent)
    free_bytes = 300_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free_bytes))
    async with await Store.open(path, min_free_bytes=2e8) as store:
        await drive(store)
        free_bytes = 200_500_000
        await drive(store)
        (notice,) = store.notices
        assert notice.code == "no_snapshot"
        assert "200 MB are free on the disk, 201 MB are needed" in notice.message
        assert [snapshot.name.rpartition(".")[2] for snapshot in snapshots(path)] == ["snapshot-1"]
        free_bytes = 300_000_000
        await drive(store)
        assert store.notices == ()
        assert [drives_in(snapshot) for snapshot in snapshots(path)] == [3, 1]


async def test_one_that_is_cut_off_leaves_nothing(path: Path) -> None:
    async with await Store.open(path) as store:
        await drive(store)
        left = path.with_name(f"{path.name}.snapshot-part")
        left.write_bytes(b"half a copy that a power cut left")
        with pytest.raises(StoreError, match="No snapshot of the database was made: interrupted"):
            take_snapshot(path, min_free_bytes=0.0, cancelled=lambda: True)
        assert beside(path) >= {".snapshot-1"}
        assert not left.exists()
        left.write_bytes(b"half a copy that a power cut left")
        await drive(store)
        assert [drives_in(snapshot) for snapshot in snapshots(path)] == [2, 1]


async def test_large_ones_are_made_after_some_drives_only(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_snapshots, "SMALL_BYTES", 0)
    async with await Store.open(path) as store:
        for _ in range(2 * DRIVES_BETWEEN_LARGE + 2):
            await drive(store)
        held = [drives_in(snapshot) for snapshot in snapshots(path)]
        assert held == [1 + 2 * DRIVES_BETWEEN_LARGE, 1 + DRIVES_BETWEEN_LARGE, 1]


async def test_the_end_does_not_wait_long_for_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_snapshots, "CLOSING_S", 0.0)
    store = await Store.open(path)
    session = await store.begin_session(START)
    store.write_blocks(session, {number: bytes(500) for number in range(3000)})
    await store.end_session(session)
    await store.close()
    assert beside(path) in ({"", "-lock"}, {"", "-lock", ".snapshot-1"})
    async with await Store.open(path) as again:
        assert len(await again.blocks(session)) == 3000

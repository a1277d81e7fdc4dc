"""Retention: the oldest samples go, what was learned stays, and the file does not grow."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from daemon.store import retention as store_retention
from daemon.store.records import SessionStart
from daemon.store.retention import MAX_CHUNKS, Retention
from daemon.store.store import Store
from daemon.wall_clock import BootClock, ClockReading, ClockState
from lowmaf.samples import SampleBatch

NEVER_S = 3600.0
DAY_S = 86_400.0
NOW_S = 2e9
START = SessionStart(driver="test", maf_table_revision=None, epoch=1, estimator="curve", settings={})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "car.sqlite3"


def batch(number: int) -> SampleBatch:
    rng = np.random.default_rng(number)
    return SampleBatch(np.linspace(2.0 * number, 2.0 * number + 1.98, 100), {"maf_v": rng.random(100)})


def clock(wall_s: float, state: ClockState = ClockState.SYNCED, boot_id: str = "boot") -> ClockReading:
    return ClockReading(wall_s, 100.0, state, boot_id)


def used_bytes(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        page, pages, free = (
            connection.execute(f"PRAGMA {pragma}").fetchone()[0]
            for pragma in ("page_size", "page_count", "freelist_count")
        )
    return int(page * (pages - free))


async def chunks(store: Store, session: int) -> list[int]:
    return [round(kept.t_s[0] / 2.0) async for kept in store.samples(session)]


async def test_a_full_database_drops_the_oldest_samples_and_keeps_what_was_learned(path: Path) -> None:
    limit_bytes, drives, commits = 100_000, 4, 60
    async with await Store.open(path, commit_interval_s=NEVER_S, retention=Retention(limit_bytes)) as store:
        for drive in range(1, drives + 1):
            session = await store.begin_session(START)
            for number in range(commits):
                store.write_samples(session, batch(number))
                store.write_blocks(session, {number // 15: bytes(500)})
                await store.flush()
                assert used_bytes(path) < limit_bytes + 10_000
            store.write_counts(session, {"accepted": 100 * commits})
            await store.end_session(session)
            await store.snapshots.idle()
            if drive == 2:
                size = path.stat().st_size
        kept = [await chunks(store, session) for session in range(1, drives + 1)]
        assert kept[0] == []
        assert kept[-1] == list(range(commits - len(kept[-1]), commits)), "the newest are the ones that stay"
        assert kept[-1]
        dropped = commits * drives - sum(map(len, kept))
        assert store.status()["old_samples_dropped"] == 100 * dropped
        assert [len(await store.blocks(session)) for session in range(1, drives + 1)] == [4] * drives
        assert [session.samples for session in await store.sessions()] == [100 * commits] * drives
    assert path.stat().st_size <= size + 10_000, "their room is used again"


async def test_one_commit_drops_only_so_much(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        session = await store.begin_session(START)
        for number in range(100):
            store.write_samples(session, batch(number))
            await store.flush()
    async with await Store.open(path, commit_interval_s=NEVER_S, retention=Retention(20_000)) as store:
        session = await store.begin_session(START)
        left = [len(await chunks(store, 1))]
        while left[-1]:
            store.write_counts(session, {"accepted": len(left)})
            await store.flush()
            left.append(len(await chunks(store, 1)))
            assert left[-2] - left[-1] <= MAX_CHUNKS
            assert left[-2] > left[-1]
        assert left[0] == 100 - MAX_CHUNKS


async def test_samples_of_old_drives_go_where_both_dates_are_certain(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    retention = Retention(max_age_days=30.0)
    now = clock(NOW_S, ClockState.UNSYNCED)
    monkeypatch.setattr(store_retention, "read_clock", lambda: now)
    monkeypatch.setattr(store_retention, "AGE_LOOK_S", 0.0)
    async with await Store.open(path, commit_interval_s=NEVER_S, retention=retention) as store:
        store.write_boot_clock(BootClock("dated", NOW_S - 40 * DAY_S, ClockState.SYNCED))
        starts = [
            clock(NOW_S - 90 * DAY_S, ClockState.UNSYNCED, "unknown"),
            clock(NOW_S - 50 * DAY_S),
            clock(0.0, ClockState.UNSYNCED, "dated"),
            clock(0.0, ClockState.UNSYNCED, "unknown"),
            clock(NOW_S - 20 * DAY_S),
        ]
        for started in starts:
            session = await store.begin_session(START, started)
            store.write_samples(session, batch(session))
            await store.end_session(session, started)

        async def kept_after_a_few_commits() -> list[int]:
            for number in range(4):
                store.write_counts(5, {"accepted": number})
                await store.flush()
            return [len(await chunks(store, session)) for session in range(1, 6)]

        assert await kept_after_a_few_commits() == [1, 1, 1, 1, 1], "this machine does not know the date"
        now = clock(NOW_S + 3650 * DAY_S, ClockState.UNSYNCED)
        assert await kept_after_a_few_commits() == [1, 1, 1, 1, 1], "a jump of the clock says nothing"
        now = clock(NOW_S)
        assert await kept_after_a_few_commits() == [0, 0, 0, 1, 1]
        assert len(await store.sessions()) == 5

"""A restart in the middle of a drive: it goes on as if nothing had been, or a new one begins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kept_drives import TABLE, Kept, drive, hub_settings, kept

from daemon.drives.earlier_drives import carry_on, resumable, resume
from daemon.drives.kept_sessions import KeptSessions
from daemon.ingest.session_writer import INGEST, UPLOAD
from daemon.live.drive_watch import LINK_GONE_S
from daemon.live.hub import Hub
from daemon.live.hub_settings import HubSettings
from daemon.store.records import ClosedHow
from daemon.store.store import Store
from daemon.wall_clock import ClockReading, read_clock
from lowmaf.cells import BlockKey
from lowmaf.filters import Filters


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "car.sqlite3"


@asynccontextmanager
async def restarted(
    path: Path, after_s: float, settings: HubSettings | None = None, boot_id: str | None = None
) -> AsyncIterator[tuple[Kept, int | None]]:
    """The next run, ``after_s`` after the newest sample of the last; the session that goes on, if any."""
    async with await Store.open(path, commit_interval_s=3600.0) as store:
        table = await store.put_table(TABLE)
        hub = Hub(settings or hub_settings(table), store)
        store.before_commit = hub.save
        last = await store.session(1)
        assert last is not None
        clock = ClockReading(
            0.0,
            last.started_monotonic_s + (last.duration_s or 0.0) + after_s,
            last.clock,
            last.boot_id if boot_id is None else boot_id,
        )
        session = await resumable(hub, store, clock)
        await carry_on(hub.pipeline, store, () if session is None else (session.id,))
        if session is not None:
            await resume(hub, store, session, clock)
        yield (
            Kept(hub, store, KeptSessions(store, lambda _: False, lambda: pytest.fail("not asked for"))),
            None if session is None else session.id,
        )
        hub.source_ended()


async def cut_off(path: Path, samples: int) -> None:
    """The power is cut in a drive, of which so many samples were committed."""
    async with kept(path) as car:
        car.begin(drive(1).slice(0, samples))
        await car.store.flush()
        car.store.before_commit = lambda: None
        car.hub._session = None


async def test_a_drive_that_was_cut_in_two_is_one_drive_bit_for_bit(path: Path, tmp_path: Path) -> None:
    half = len(drive(1)) // 2
    async with kept(tmp_path / "other.sqlite3") as other:
        other.begin(drive(1).slice(0, half))
        other.hub.source_lost()
        other.hub.source_connected("test")
        other.go_on(drive(1).slice(half, len(drive(1))))
        other.hub.source_ended()
        await other.store.flush()
        whole = await other.store.counts(1)
    await cut_off(path, half)
    async with restarted(path, after_s=30.0) as (car, session):
        assert session == 1
        assert car.hub.session() == 1
        assert car.hub.snapshot().counts.seen + car.hub.snapshot().counts.pending == half
        car.begin(drive(1).slice(half, len(drive(1))))
        assert car.hub.session() == 1
        car.hub.source_ended()
        await car.store.flush()
        (kept_session,) = await car.store.sessions()
        assert kept_session.closed_how is ClosedHow.CLOSED
        assert sum((await car.store.counts(1)).values()) == sum(whole.values()) == len(drive(1))
        t_s = np.concatenate([batch.t_s async for batch in car.store.samples(1)])
        assert t_s.size == len(drive(1))
        assert (np.diff(t_s) > 0.0).all()
        assert t_s[half] - t_s[half - 1] == pytest.approx(30.0, abs=1.0)
        answer = await car.sessions.rebuild(1)
        assert answer["outcome"] == "same", "what was learned is what the kept samples say"


async def test_a_drive_that_ended_with_the_program_goes_on_too(path: Path) -> None:
    async with kept(path) as car:
        await car.driven(1)
        before = car.hub.snapshot()
    async with restarted(path, after_s=5.0) as (car, session):
        assert session == 1
        car.hub.source_ended()
        after = car.hub.snapshot()
        np.testing.assert_array_equal(after.hits, before.hits)
        np.testing.assert_array_equal(after.correction_pct, before.correction_pct)
        assert after.counts == before.counts


async def test_a_resumed_drive_without_more_samples_ends_where_it_was(path: Path) -> None:
    await cut_off(path, 2000)
    async with restarted(path, after_s=LINK_GONE_S - 1.0) as (car, _):
        car.hub.source_ended()
        await car.store.flush()
        (session,) = await car.store.sessions()
        assert session.closed_how is ClosedHow.CLOSED


async def test_nothing_goes_on_that_is_not_the_same_drive(path: Path) -> None:
    await cut_off(path, 2000)
    table = TABLE
    other_filters = hub_settings(table, filters=Filters())
    for settings, after_s, boot_id in (
        (None, LINK_GONE_S + 1.0, None),
        (None, -1.0, None),
        (None, 5.0, "another boot"),
        (other_filters, 5.0, None),
        (hub_settings(table, estimator="nearest"), 5.0, None),
        (hub_settings(table, keep_samples=False), 5.0, None),
    ):
        async with restarted(path, after_s, settings, boot_id) as (_, session):
            assert session is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sessions SET included = 0",
        "DELETE FROM sample_chunks WHERE id % 4294967296 = 0",
        "DELETE FROM sample_chunks WHERE id = (SELECT max(id) FROM sample_chunks)",
    ],
    ids=["excluded", "samples gone", "samples dropped"],
)
async def test_a_drive_that_is_not_whole_does_not_go_on(path: Path, change: str) -> None:
    await cut_off(path, 2000)
    async with await Store.open(path) as store:
        store.write(change)
    async with restarted(path, after_s=5.0) as (_, session):
        assert session is None


@pytest.mark.parametrize("driver", [INGEST, UPLOAD, "replay"])
async def test_a_drive_goes_on_though_others_have_pushed_or_kept_samples_since(
    path: Path, driver: str
) -> None:
    await cut_off(path, 2000)
    async with kept(path) as car:
        pushed = car.hub.session_start(driver)
        if driver == "replay":
            pushed = replace(pushed, settings={**pushed.settings, "log": {"name": "a.csv", "sha256": "0"}})
        number = await car.store.begin_session(pushed)
        assert number == 2
        car.store.write("UPDATE sessions SET included = 0 WHERE id = ?", number)
        await car.store.end_session(number)
    async with restarted(path, after_s=5.0) as (car, session):
        assert session == 1
        car.begin(drive(1).slice(2000, len(drive(1))))
        assert car.hub.session() == 1
        await car.hub.reset()
        assert car.hub.session() == 3
        assert await car.store.remembered("epoch") is None
        await car.store.flush()
        assert await car.store.epoch() == (2, BlockKey(3, 0)), "what was pushed before does not count"
        car.hub.source_ended()
        answer = await car.sessions.rebuild(1)
        assert answer["outcome"] == "same"


async def test_a_new_epoch_or_table_ends_what_could_go_on(path: Path) -> None:
    await cut_off(path, 2000)
    async with kept(path) as car:
        await car.hub.reset()
    async with restarted(path, after_s=5.0) as (_, session):
        assert session is None


async def test_an_empty_database_has_nothing_to_go_on_with(path: Path) -> None:
    async with await Store.open(path) as store:
        hub = Hub(hub_settings(await store.put_table(TABLE)), store)
        assert await resumable(hub, store, replace(read_clock(), monotonic_s=1.0)) is None

"""The hub: counts that add up, commands, sessions that lose no sample, and what the board says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import realistic_table

from daemon.drives.earlier_drives import carry_on
from daemon.live.drive_watch import LINK_GONE_S
from daemon.live.held_out_watch import watch_held_out
from daemon.live.hub import Hub
from daemon.live.hub_settings import HubSettings
from daemon.live.sample_store import LOOK_INTERVAL_S
from daemon.store.records import SessionStart
from daemon.store.store import Store
from lowmaf.cells import BlockKey
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable
from lowmaf.samples import SampleBatch
from lowmaf.settings import CurveSettings
from lowmaf.snapshot import CellState, HeldOut
from web.board import Command, CommandRefusedError

TABLE = realistic_table()


class MemoryStore:
    """Remembers what the hub hands over."""

    def __init__(self) -> None:
        self.starts: list[SessionStart] = []
        self.ended: list[int] = []
        self.tables: list[MafTable] = [TABLE]
        self.samples: dict[int, int] = {}
        self.blocks: dict[int, dict[int, bytes]] = {}
        self.counts: dict[int, Mapping[str, int]] = {}
        self.locks: frozenset[int] = frozenset()
        self.minutes: dict[int, dict[int, Mapping[str, int]]] = {}
        self.links: list[str] = []
        self.epoch = 1

    async def put_table(self, table: MafTable) -> MafTable:
        await asyncio.sleep(0)
        newest = self.tables[-1]
        if np.array_equal(table.maf_v, newest.maf_v) and np.array_equal(table.flow_gs, newest.flow_gs):
            return newest
        self.tables.append(MafTable(table.name, table.maf_v, table.flow_gs, newest.revision + 1))
        return self.tables[-1]

    def write_session_start(self, start: SessionStart) -> int:
        self.starts.append(start)
        return len(self.starts)

    @property
    def newest_session(self) -> int:
        return len(self.starts)

    def write_session_end(self, session: int, *, quiet_s: float) -> None:
        self.ended.append(session)

    def write_minutes(self, session: int, minutes: Mapping[int, Mapping[str, int]]) -> None:
        self.minutes.setdefault(session, {}).update(minutes)

    def write_link(self, driver: str, state: str, words: str) -> None:
        self.links.append(state)

    def write_samples(self, session: int, batch: SampleBatch) -> None:
        self.samples[session] = self.samples.get(session, 0) + len(batch)

    def write_blocks(self, session: int, blocks: Mapping[int, bytes]) -> None:
        self.blocks.setdefault(session, {}).update(blocks)

    def write_counts(self, session: int, counts: Mapping[str, int]) -> None:
        self.counts[session] = counts

    def write_locks(self, cells: frozenset[int]) -> None:
        self.locks = cells

    def write_epoch(self, epoch: int, start: BlockKey) -> None:
        self.epoch = epoch

    def status(self) -> Mapping[str, Any]:
        return {"database": "memory"}


class Clock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def settings(**changed: Any) -> HubSettings:
    defaults: dict[str, Any] = {
        "version": "0",
        "table": TABLE,
        "estimator": "curve",
        "filters": Filters(),
        "curve": CurveSettings(),
    }
    return HubSettings(**(defaults | changed))


def steady(start_s: float, seconds: float, *, loop: float = 2.0, ect_c: float = 85.0) -> SampleBatch:
    n = int(seconds * 10)
    columns = {"maf_v": 1.8, "stft_pct": 1.5, "ltft_pct": 3.0, "fuel_loop": loop, "ect_c": ect_c}
    return SampleBatch(
        start_s + np.arange(n) / 10.0, {name: np.full(n, value) for name, value in columns.items()}
    )


async def test_samples_become_counts_cells_and_rows_in_the_store() -> None:
    store = MemoryStore()
    hub = Hub(settings(), store)
    hub.source_connected("test")
    for second in range(60):
        hub.take(steady(second, 1.0))
    counts = hub.snapshot().counts
    assert counts.seen == counts.accepted + sum(counts.rejected.values())
    assert counts.seen + counts.pending == 600 == store.samples[1]
    assert counts.accepted > 500
    cell = int(np.abs(TABLE.maf_v - 1.8).argmin())
    assert hub.live() is not None
    assert hub.live().cell == cell  # type: ignore[union-attr]
    assert hub.snapshot().correction_pct[cell] == pytest.approx(4.5, abs=1.0)
    hub.source_ended()
    assert hub.session() is None
    assert hub.snapshot().counts.pending == 0
    assert sum(store.counts[1].values()) == 600
    assert sorted(store.blocks[1]) == [0, 1]
    assert store.ended == [1]


async def test_samples_without_a_session_are_not_taken() -> None:
    store = MemoryStore()
    hub = Hub(settings(), store)
    hub.take(steady(0, 1.0))
    assert hub.snapshot().counts.seen + hub.snapshot().counts.pending == 0
    assert store.samples == {}


async def test_change_is_told_to_those_who_wait() -> None:
    hub = Hub(settings(), MemoryStore())
    hub.source_connected("test")
    generation = await hub.changed(-1)
    waiting = asyncio.create_task(hub.changed(generation))
    await asyncio.sleep(0)
    assert not waiting.done()
    hub.take(steady(0, 1.0))
    assert await asyncio.wait_for(waiting, 1.0) > generation


async def test_revision_rises_with_every_change_and_the_curve_is_solved_at_most_once_a_second() -> None:
    clock = Clock()
    hub = Hub(settings(), MemoryStore(), now_s=clock)
    hub.source_connected("test")
    hub.take(steady(0, 60.0))
    first = hub.snapshot()
    hub.take(steady(60, 60.0))
    soon = hub.snapshot()
    assert soon.revision > first.revision
    assert soon.counts.seen > first.counts.seen
    assert soon.correction_pct is first.correction_pct
    clock.now_s += 1.0
    hub.take(steady(120, 1.0))
    assert hub.snapshot().correction_pct is not first.correction_pct


async def test_reset_begins_a_new_epoch_and_session_without_losing_samples() -> None:
    store = MemoryStore()
    hub = Hub(settings(), store)
    hub.source_connected("test")
    hub.take(steady(0, 60.0))
    answer = asyncio.create_task(hub.command(Command("reset")))
    await asyncio.sleep(0)
    hub.take(steady(60, 1.0))
    assert await answer == {"epoch": 2}
    hub.take(steady(61, 30.0))
    assert store.samples == {1: 600, 2: 310}
    assert [start.epoch for start in store.starts] == [1, 2]
    assert store.ended == [1]
    assert store.epoch == 2
    assert hub.snapshot().epoch == 2
    assert hub.snapshot().counts.seen + hub.snapshot().counts.pending == 310
    hub.save()
    assert all(n >= 0 for n in store.counts[2].values())


async def test_locked_cells_keep_their_flow() -> None:
    store = MemoryStore()
    hub = Hub(settings(), store)
    assert await hub.command(Command("lock_cells", {"cells": [3, 1]})) == {"locked": [1, 3]}
    assert await hub.command(Command("unlock_cells", {"cells": [1]})) == {"locked": [3]}
    assert store.locks == {3}
    assert hub.snapshot().states[3] is CellState.LOCKED


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (Command("rest"), "no command 'rest' .nearest is reset.; there are reset, lock_cells"),
        (Command("reset", {"now": True}), "reset takes no arguments, met now"),
        (Command("lock_cells"), "list of cell numbers from 0 to 53"),
        (Command("lock_cells", {"cells": []}), "list of cell numbers"),
        (Command("lock_cells", {"cells": [54]}), "met 54"),
        (Command("lock_cells", {"cells": [True]}), "met True"),
        (Command("lock_cells", {"cells": ["1"]}), "met '1'"),
    ],
)
async def test_commands_that_make_no_sense_say_what_is_allowed(command: Command, says: str) -> None:
    hub = Hub(settings(), MemoryStore())
    with pytest.raises(CommandRefusedError, match=says):
        await hub.command(command)


async def test_status_says_why_nothing_is_accepted() -> None:
    clock = Clock()
    hub = Hub(settings(), MemoryStore(), now_s=clock)
    hub.set_link("running", "test", "test")
    hub.source_connected("test")
    hub.take(steady(0, 10.0, ect_c=61.0))
    assert hub.status().nothing_accepted_s is None
    clock.now_s += 40.0
    hub.take(steady(10, 1.0, ect_c=61.0))
    status = hub.status()
    assert status.nothing_accepted_s == pytest.approx(40.0)
    assert status.nothing_accepted_because == "coolant is too cold: 61 °C, needs 70 °C"
    assert status.healthy


async def test_a_running_link_without_samples_is_unhealthy_and_a_waiting_one_is_not() -> None:
    clock = Clock()
    hub = Hub(settings(), MemoryStore(), now_s=clock)
    hub.set_link("running", "test", "test")
    hub.source_connected("test")
    hub.take(steady(0, 1.0))
    clock.now_s += 11.0
    assert not hub.status().healthy
    assert "no sample for 11 s" in (hub.status().unhealthy_because or "")
    hub.set_link("waiting", "ignition off", "test")
    assert hub.status().healthy


async def test_the_held_out_check_shows_when_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.live.held_out_watch.INTERVAL_S", 0.0)
    hub = Hub(settings(), MemoryStore())
    hub.source_connected("test")
    hub.take(steady(0, 900.0))
    before = hub.snapshot()
    checking = asyncio.create_task(watch_held_out(hub))
    try:
        async with asyncio.timeout(20.0):
            generation = await hub.changed(0)
            while hub.snapshot().held_out is None:
                generation = await hub.changed(generation)
    finally:
        checking.cancel()
    found = hub.snapshot().held_out
    assert found is not None
    assert found.rms_pct < found.rms_uncorrected_pct
    assert hub.snapshot().revision > before.revision


async def test_a_held_out_check_that_was_overtaken_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.live.held_out_watch.INTERVAL_S", 0.0)
    hub = Hub(settings(), MemoryStore())
    hub.source_connected("test")
    hub.take(steady(0, 900.0))
    begun, asked = asyncio.Event(), []

    async def in_a_thread(check: object, sums: object) -> object:
        asked.append(sums)
        if len(asked) == 1:
            await hub.reset()
            hub.take(steady(900, 60.0))
            return HeldOut(1.0, 2.0, 3.0, passed=True)
        begun.set()
        return await asyncio.Event().wait()

    monkeypatch.setattr("daemon.live.held_out_watch.asyncio.to_thread", in_a_thread)
    checking = asyncio.create_task(watch_held_out(hub))
    try:
        await asyncio.wait_for(begun.wait(), 5.0)
    finally:
        checking.cancel()
    assert hub.snapshot().held_out is None


async def test_after_a_restart_the_hub_carries_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "lowmaf.sqlite3"
    async with await Store.open(path) as store:
        table = await store.put_table(TABLE)
        hub = Hub(settings(table=table), store)
        store.before_commit = hub.save
        hub.source_connected("test")
        hub.take(steady(0, 120.0))
        await hub.command(Command("lock_cells", {"cells": [7]}))
        hub.source_ended()
        await store.flush()
        before = hub.snapshot()
    async with await Store.open(path) as store:
        table = await store.put_table(TABLE)
        hub = Hub(settings(table=table), store)
        await carry_on(hub.pipeline, store)
        hub.pipeline.lock(await store.locks(table.revision))
        after = hub.snapshot()
        np.testing.assert_array_equal(after.correction_pct, before.correction_pct)
        np.testing.assert_array_equal(after.hits, before.hits)
        assert after.counts == before.counts
        assert after.states[7] is CellState.LOCKED
        hub.source_connected("test")
        hub.take(steady(0, 1.0))
        assert hub.session() == 2


async def test_a_reset_while_nothing_is_connected_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "lowmaf.sqlite3"
    async with await Store.open(path) as store:
        table = await store.put_table(TABLE)
        hub = Hub(settings(table=table), store)
        store.before_commit = hub.save
        hub.source_connected("test")
        hub.take(steady(0, 120.0))
        hub.source_ended()
        await hub.command(Command("reset"))
    async with await Store.open(path) as store:
        hub = Hub(settings(table=await store.put_table(TABLE)), store)
        await carry_on(hub.pipeline, store)
        assert hub.snapshot().epoch == 2
        assert hub.snapshot().counts.seen == 0


# ---- drives


def idling(start_s: float, seconds: float, rpm: float) -> SampleBatch:
    batch = steady(start_s, seconds)
    return SampleBatch(batch.t_s, {**batch.channels, "rpm": np.full(len(batch), rpm)})


async def test_samples_of_a_standing_engine_are_shown_and_belong_to_no_drive() -> None:
    clock = Clock()
    store = MemoryStore()
    hub = Hub(settings(), store, now_s=clock)
    hub.set_link("running", "test", "test")
    hub.source_connected("test")
    hub.take(idling(0, 1.0, rpm=0.0))
    assert hub.session() is None
    assert store.starts == []
    reading = hub.live()
    assert reading is not None
    assert (reading.t_s, reading.verdict) == (0.9, "rpm_range")
    clock.now_s += 60.0
    hub.take(idling(60, 1.0, rpm=0.0))
    status = hub.status()
    assert status.healthy
    assert status.nothing_accepted_because == "the engine is off: a drive begins when it runs"
    hub.take(idling(61, 1.0, rpm=800.0))
    assert hub.session() == 1
    assert store.samples == {1: 10}
    hub.take(idling(62, 300.0, rpm=0.0))
    assert hub.session() is None
    assert store.ended == [1]
    hub.take(idling(400, 1.0, rpm=800.0))
    assert hub.session() == 2
    assert sum(store.counts[1].values()) == store.samples[1] == 1209


async def test_a_link_that_does_not_come_back_ends_the_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.live.hub.GONE_LOOK_S", 0.0)
    clock = Clock()
    store = MemoryStore()
    hub = Hub(settings(), store, now_s=clock)
    hub.source_connected("test")
    hub.take(steady(0, 10.0))
    hub.source_lost()
    hub.take(steady(10, 1.0))
    assert store.samples == {1: 100}, "what comes after the link was given up is not taken"
    looking = asyncio.create_task(hub.end_lost_drives())
    try:
        clock.now_s += LINK_GONE_S - 1.0
        for _ in range(5):
            await asyncio.sleep(0)
        assert hub.session() == 1
        generation = await hub.changed(0)
        clock.now_s += 1.0
        async with asyncio.timeout(20.0):
            await hub.changed(generation)
    finally:
        looking.cancel()
    assert hub.session() is None
    assert store.ended == [1]
    assert sum(store.counts[1].values()) == 100


async def test_changes_of_the_link_are_kept_once_each() -> None:
    store = MemoryStore()
    hub = Hub(settings(), store)
    for state in ("connecting", "running", "running", "waiting", "waiting", "running"):
        hub.set_link(state, f"it is {state}", "test")
    assert store.links == ["running", "waiting", "running"]


async def test_a_table_from_before_a_drive_ended_or_learning_began_anew_is_not_taken() -> None:
    hub = Hub(settings(), MemoryStore())
    hub.source_connected("test")
    hub.take(steady(0, 60.0))
    kept = hub.pipeline.like(TABLE)
    before = hub.snapshot().counts
    assert not hub.take_earlier(kept, None), "a drive goes on that was not going on then"
    assert hub.snapshot().counts == before
    await hub.reset()
    assert not hub.take_earlier(kept, hub.session()), "another epoch"
    assert TABLE.flow_gs is not None
    kept.learned.epoch = 2
    await hub.flash(MafTable("flashed", TABLE.maf_v, 1.1 * TABLE.flow_gs))
    assert not hub.take_earlier(kept, hub.session()), "another table"


async def test_the_disk_is_not_asked_each_time_the_status_is() -> None:
    clock, store, asked = Clock(), MemoryStore(), 0

    def status() -> Mapping[str, Any]:
        nonlocal asked
        asked += 1
        return {"asked": asked}

    store.status = status  # type: ignore[method-assign]
    hub = Hub(settings(), store, now_s=clock)
    seen = []
    for _ in range(8):
        seen.append(hub.status().storage["asked"])
        clock.now_s += LOOK_INTERVAL_S / 4.0
    assert seen == [1, 1, 1, 1, 2, 2, 2, 2]

"""A machine without a clock: drives are dated once the time is known, and nothing else moves with it."""

from __future__ import annotations

from pathlib import Path

from daemon.live.clock_watch import ClockWatch
from daemon.store.records import SessionStart
from daemon.store.store import Store
from daemon.wall_clock import BootClock, ClockReading, ClockState

YEAR_S = 365.25 * 86400.0
TRUE_S = 1.79e9
"""Wall time at the boot."""


def reading(monotonic_s: float, wrong_s: float, state: ClockState = ClockState.UNSYNCED) -> ClockReading:
    return ClockReading(TRUE_S + wrong_s + monotonic_s, monotonic_s, state, "boot")


def watched(*readings: ClockReading) -> list[BootClock]:
    found: list[BootClock] = []
    watch = ClockWatch(found.append)
    for each in readings:
        watch.look(each)
    return found


def test_the_network_is_believed_and_what_comes_after_it_is_not() -> None:
    found = watched(
        reading(10.0, -3 * YEAR_S),
        reading(15.0, -3 * YEAR_S),
        reading(20.0, 0.0, ClockState.SYNCED),
        reading(25.0, 10 * YEAR_S, ClockState.SYNCED),
        reading(30.0, -10 * YEAR_S),
    )
    assert found == [BootClock("boot", TRUE_S, ClockState.SYNCED)]


def test_a_step_without_the_network_is_somebodys_correction() -> None:
    found = watched(reading(10.0, -3 * YEAR_S), reading(15.0, 1.0), reading(20.0, 1.5))
    assert found == [BootClock("boot", TRUE_S + 1.0, ClockState.UNSYNCED)]


def test_a_clock_that_runs_a_little_wrong_is_no_step() -> None:
    assert watched(*(reading(5.0 * n, 0.01 * n) for n in range(100))) == []


def test_without_a_boot_there_is_nothing_to_date() -> None:
    assert watched(ClockReading(TRUE_S, 5.0, ClockState.SYNCED, None)) == []


async def test_drives_of_a_boot_are_dated_once_its_clock_is_known(tmp_path: Path) -> None:
    start = SessionStart(driver="test", maf_table_revision=None, epoch=1, estimator="curve", settings={})
    async with await Store.open(tmp_path / "car.sqlite3") as store:
        watch = ClockWatch(store.write_boot_clock)
        first = await store.begin_session(start, reading(20.0, -30 * YEAR_S))
        watch.look(reading(20.0, -30 * YEAR_S))
        await store.end_session(first, reading(80.0, 10 * YEAR_S))
        before = (await store.sessions())[0]
        assert (before.started_wall_s, before.clock) == (TRUE_S - 30 * YEAR_S + 20.0, ClockState.UNSYNCED)
        assert before.duration_s == 60.0, "a jump of the clock does not change the drive"
        watch.look(reading(90.0, 7.0))
        await store.flush()
        by_hand = (await store.sessions())[0]
        assert (by_hand.started_wall_s, by_hand.clock) == (TRUE_S + 27.0, ClockState.UNSYNCED)
        second = await store.begin_session(start, reading(95.0, 7.0))
        watch.look(reading(100.0, 0.0, ClockState.SYNCED))
        await store.flush()
        sessions = await store.sessions()
        assert [session.id for session in sessions] == [first, second]
        assert [session.started_wall_s for session in sessions] == [TRUE_S + 20.0, TRUE_S + 95.0]
        assert {session.clock for session in sessions} == {ClockState.SYNCED}
        ClockWatch(store.write_boot_clock).look(reading(200.0, 10 * YEAR_S, ClockState.SYNCED))
        await store.flush()
        assert (await store.sessions())[0].started_wall_s == TRUE_S + 20.0, "also after a restart"


async def test_what_is_damaged_of_a_boot_dates_nothing(tmp_path: Path) -> None:
    start = SessionStart(driver="test", maf_table_revision=None, epoch=1, estimator="curve", settings={})
    async with await Store.open(tmp_path / "car.sqlite3") as store:
        await store.begin_session(start, reading(20.0, -YEAR_S))
        store.write_boot_clock(BootClock("boot", TRUE_S, ClockState.SYNCED))
        store.write("UPDATE boots SET wall_minus_monotonic_s = 5.0")
        await store.flush()
        (session,) = await store.sessions()
        assert session.started_wall_s == TRUE_S - YEAR_S + 20.0

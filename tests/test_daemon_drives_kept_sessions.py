"""Drives that are left out, taken in again, named, deleted and made anew: exactly, also while driving."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from kept_drives import TABLE, drive, kept

from daemon.drives import earlier_drives, kept_sessions
from daemon.store.rows import CHUNKS_PER_SESSION
from lowmaf.maf_table import MafTable
from lowmaf.samples import Floats
from lowmaf.snapshot import Snapshot
from web.board import Command
from web.session_shelf import SessionChange, SessionRefusedError, SessionUnknownError

EXCLUDED = SessionChange(included=False)
INCLUDED = SessionChange(included=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "car.sqlite3"


def assert_same_table(found: Snapshot, expected: Snapshot) -> None:
    """Bit for bit, counts included."""
    np.testing.assert_array_equal(found.correction_pct, expected.correction_pct)
    np.testing.assert_array_equal(found.stderr_pct, expected.stderr_pct)
    np.testing.assert_array_equal(found.hits, expected.hits)
    assert found.states == expected.states
    assert found.counts == expected.counts


async def never_driven(path: Path, *seeds: int) -> Snapshot:
    """The table of a car that had only these drives."""
    async with kept(path) as car:
        for seed in seeds:
            await car.driven(seed)
        return car.hub.snapshot()


async def test_an_excluded_drive_leaves_no_trace_and_comes_back_whole(path: Path, tmp_path: Path) -> None:
    expected = await never_driven(tmp_path / "other.sqlite3", 1, 3)
    async with kept(path) as car:
        numbers = [await car.driven(seed) for seed in (1, 2, 3)]
        with_all = car.hub.snapshot()
        answer = await car.sessions.change(numbers[1], EXCLUDED)
        assert (answer["included"], answer["counts_not_because"]) == (False, "it is excluded")
        assert car.hub.snapshot().revision > with_all.revision
        np.testing.assert_array_equal(car.hub.snapshot().hits, expected.hits)
        np.testing.assert_allclose(
            car.hub.snapshot().correction_pct, expected.correction_pct, rtol=0.0, atol=1e-12
        )
        assert car.hub.snapshot().counts == expected.counts
    async with kept(path) as car:
        np.testing.assert_array_equal(car.hub.snapshot().hits, expected.hits)
        await car.sessions.change(numbers[1], INCLUDED)
        assert_same_table(car.hub.snapshot(), with_all)


async def test_an_excluded_drive_takes_its_warnings_along_and_brings_them_back(path: Path) -> None:
    def warned() -> bool:
        return "slow_polling" in {warning.code for warning in car.hub.snapshot().warnings}

    async with kept(path) as car:
        slow = car.begin(drive(1).at(np.arange(len(drive(1))) % 20 == 0))
        car.hub.source_ended()
        await car.store.flush()
        assert warned()
        await car.sessions.change(slow, EXCLUDED)
        assert not warned()
        await car.sessions.change(slow, INCLUDED)
        assert warned()
        going_on = car.begin(drive(2).slice(0, 1000))
        await car.sessions.change(slow, EXCLUDED)
        assert car.hub.session() == going_on
        assert not warned()
        await car.sessions.delete(slow)
        car.hub.source_ended()
        assert not warned()


async def test_a_drive_that_goes_on_keeps_all_of_its_samples(path: Path, tmp_path: Path) -> None:
    async with kept(tmp_path / "other.sqlite3") as other:
        await other.driven(1)
        other.begin(drive(2))
        other.hub.source_ended()
        expected = other.hub.snapshot()
    async with kept(path) as car:
        await car.driven(1)
        excluded = await car.driven(3)
        half = len(drive(2)) // 2
        going_on = car.begin(drive(2).slice(0, half))
        change = asyncio.create_task(car.sessions.change(excluded, EXCLUDED))
        for first in range(half, len(drive(2)), 20):
            car.hub.take(drive(2).slice(first, min(first + 20, len(drive(2)))))
            await asyncio.sleep(0)
        await change
        car.hub.source_ended()
        np.testing.assert_array_equal(car.hub.snapshot().hits, expected.hits)
        assert car.hub.snapshot().counts == expected.counts
        await car.store.flush()
        assert await car.store.counts(going_on) == {
            label: n for label, n in car.hub.pipeline.drive_counts().items() if n
        }


async def test_what_happens_while_the_drives_are_read_is_not_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drive ends, and learning begins anew, in the middle of a change."""
    async with kept(path) as car:
        first = await car.driven(1)
        going_on = car.begin(drive(2))
        carry_on = earlier_drives.carry_on
        reads = 0

        async def interrupted(*arguments: object) -> None:
            nonlocal reads
            reads += 1
            await carry_on(*arguments)  # type: ignore[arg-type]
            if reads == 1:
                car.hub.source_ended()
            if reads == 2:
                await car.hub.command(Command("reset"))

        monkeypatch.setattr(earlier_drives, "carry_on", interrupted)
        await car.sessions.change(first, EXCLUDED)
        assert reads == 3
        assert car.hub.snapshot().epoch == 2
        assert car.hub.snapshot().counts.seen == 0
        assert await car.store.kept_samples(going_on) is not None


async def test_what_cannot_be_done_with_the_drive_that_goes_on_says_when_it_can(path: Path) -> None:
    async with kept(path) as car:
        going_on = car.begin(drive(1))
        await car.store.flush()
        for refused in (
            car.sessions.change(going_on, EXCLUDED),
            car.sessions.delete(going_on),
            car.sessions.rebuild(going_on),
        ):
            with pytest.raises(
                SessionRefusedError, match=r"session 1 is the drive that goes on now; .*paused"
            ):
                await refused
        answer = await car.sessions.change(going_on, SessionChange(name=" to work ", included=True))
        assert (answer["name"], answer["state"]) == ("to work", "driving")
        car.hub.source_ended()
        answer = await car.sessions.change(going_on, SessionChange(name=""))
        assert (answer["name"], answer["state"]) == (None, "ended")


async def test_what_is_not_there_is_said_with_what_is(path: Path) -> None:
    async with kept(path) as car:
        with pytest.raises(SessionUnknownError, match="no session 1; none is kept yet"):
            await car.sessions.session(1)
        await car.driven(1)
        await car.driven(2)
        for number in (3, 0, -1, 2**31, 2**70):
            with pytest.raises(SessionUnknownError, match=f"no session {number}; there are 1 to 2"):
                await car.sessions.delete(number)


async def test_a_deleted_drive_is_gone_with_all_that_was_learned_from_it(path: Path, tmp_path: Path) -> None:
    expected = await never_driven(tmp_path / "other.sqlite3", 1)
    async with kept(path) as car:
        await car.driven(1)
        number = await car.driven(2)
        await car.sessions.delete(number)
        assert_same_table(car.hub.snapshot(), expected)
        assert [session["id"] for session in await car.sessions.sessions()] == [1]
        assert await car.driven(3) == 3, "its number is not used again"
        await car.sessions.delete(3)
    with closing(sqlite3.connect(path)) as connection:
        for table in ("cell_blocks", "verdict_counts", "verdict_minutes"):
            rows = connection.execute(f"SELECT DISTINCT session FROM {table}")
            assert rows.fetchall() == [(1,)], table
        assert connection.execute("SELECT max(session) FROM sample_chunks").fetchone() == (1,)
    async with kept(path) as car:
        assert_same_table(car.hub.snapshot(), expected)


async def test_minutes_add_up_to_the_totals_and_show_live(path: Path) -> None:
    async with kept(path) as car:
        number = car.begin(drive(1))
        recent = car.hub.recent_verdicts()
        assert [minute.minute for minute in recent] == [0, 1, 2]
        assert sum(sum(minute.counts.values()) for minute in recent) == car.hub.snapshot().counts.seen
        car.hub.source_ended()
        assert {minute.session for minute in car.hub.recent_verdicts()} == {number}
        await car.store.flush()
        details = await car.sessions.session(number)
        assert [entry["minute"] for entry in details["minutes"]] == [0, 1, 2]
        total: dict[str, int] = {}
        for entry in details["minutes"]:
            for label, n in entry["verdicts"].items():
                total[label] = total.get(label, 0) + n
        assert total == {entry["verdict"]: entry["count"] for entry in details["verdicts"]}
        assert sum(total.values()) == len(drive(1)) == details["samples_kept"]


# ---- made anew


async def test_cells_made_anew_are_the_kept_ones_bit_for_bit(path: Path) -> None:
    """Whatever happened in the drive: lost links, commits, a reset, a new table, another chunking."""
    async with kept(path) as car:
        whole = drive(1)
        car.begin(whole.slice(0, 1234))
        await car.store.flush()
        car.hub.source_lost()
        car.hub.source_connected("test")
        car.go_on(drive(2), size=37)
        await car.hub.command(Command("reset"))
        car.go_on(drive(3).slice(0, 1500), size=1)
        assert TABLE.flow_gs is not None
        await car.hub.flash(MafTable("flashed", TABLE.maf_v, TABLE.flow_gs * 1.02))
        car.go_on(drive(4))
        car.hub.source_ended()
        await car.store.flush()
        numbers = await car.sessions.numbers()
        assert numbers == [1, 2, 3]
        states = [await car.store.blocks(number) for number in numbers]
        assert all(states)
        before = car.hub.snapshot()
        for number in numbers:
            answer = await car.sessions.rebuild(number)
            assert answer["outcome"] == "same", answer
        assert_same_table(car.hub.snapshot(), before)


async def test_damaged_cells_are_made_anew(path: Path) -> None:
    async with kept(path) as car:
        number = await car.driven(1)
        expected = car.hub.snapshot()
        blocks, minutes = await car.store.blocks(number), await car.store.minutes(number)
        car.store.write("UPDATE cell_blocks SET crc32 = 0 WHERE block > 2")
        car.store.write("DELETE FROM verdict_minutes WHERE minute = 1")
        counts = await car.store.counts(number)
        car.store.write("UPDATE verdict_counts SET counts = replace(counts, '1', '2')")
        await car.store.flush()
        answer = await car.sessions.rebuild(number)
        assert answer == {
            "id": number,
            "outcome": "replaced",
            "message": f"made anew from {len(drive(1))} samples",
        }
        assert await car.store.blocks(number) == blocks
        assert await car.store.minutes(number) == minutes
        assert await car.store.counts(number) == counts
        assert_same_table(car.hub.snapshot(), expected)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("DELETE FROM sample_chunks", r"0 of \d+ samples are kept"),
        ("DELETE FROM sample_chunks WHERE id % 4294967296 = 0", r"\d+ of \d+ samples are kept"),
        ("UPDATE sample_chunks SET crc32 = 0 WHERE id % 4294967296 = 0", "some of its samples are damaged"),
        ("UPDATE maf_tables SET crc32 = 0", r"its MAF table \(revision 1\) is not kept"),
    ],
)
async def test_where_samples_are_missing_the_cells_live_on(path: Path, damage: str, says: str) -> None:
    async with kept(path) as car:
        number = await car.driven(1)
        blocks = await car.store.blocks(number)
        car.store.write(damage)
        await car.store.flush()
        answer = await car.sessions.rebuild(number)
        assert answer["outcome"] == "left"
        assert answer["message"].startswith("left as it is kept: ")
        assert re.search(says, answer["message"])
        assert await car.store.blocks(number) == blocks


async def test_a_drive_that_was_cut_off_gains_the_samples_that_were_not_judged_yet(path: Path) -> None:
    async with kept(path) as car:
        number = car.begin(drive(1))
        await car.store.flush()
        car.store.before_commit = lambda: None
        pending = car.hub.pipeline.pending
        assert pending > 0
        counts = await car.store.counts(number)
        car.hub._session = None  # the power is cut: nothing is settled
    async with kept(path) as car:
        session = await car.store.session(number)
        assert session is not None
        assert session.closed_how == "closed_incorrect"
        answer = await car.sessions.rebuild(number)
        assert answer["outcome"] == "replaced"
        assert sum((await car.store.counts(number)).values()) == sum(counts.values()) + pending


# ---- earlier MAF tables


async def test_a_flashed_table_carries_on_and_a_restart_keeps_it(path: Path) -> None:
    assert TABLE.flow_gs is not None
    flashed = MafTable("flashed", TABLE.maf_v, TABLE.flow_gs * 1.05)

    def expected(correction_pct: Floats) -> Floats:
        return 100.0 * ((1.0 + correction_pct / 100.0) / 1.05 - 1.0)

    async with kept(path) as car:
        await car.driven(1)
        await car.driven(2)
        await car.hub.command(Command("lock_cells", {"cells": [7]}))
        before = car.hub.snapshot()
        going_on = car.begin(drive(3).slice(0, 400))
        change = await car.hub.flash(flashed)
        assert (change.changed, change.carried_over, change.ended) == (True, True, going_on)
        assert change.table.revision == 2
        assert car.hub.session() == going_on + 1
        car.hub.source_ended()
        live = car.hub.snapshot()
        assert live.revision > before.revision
        assert live.table.revision == 2
        assert car.hub.locked == {7}
        # Less sure cells lean towards no correction, which is another value with another table.
        known = np.isfinite(before.correction_pct) & (before.stderr_pct < 2.0)
        assert known.sum() > 5
        np.testing.assert_allclose(
            live.correction_pct[known], expected(before.correction_pct)[known], rtol=0.0, atol=0.5
        )
        assert (await car.hub.flash(flashed)).changed is False
    async with kept(path) as car:
        assert car.hub.pipeline.table.revision == 2, "the configuration still names the first one"
        assert car.hub.locked == {7}
        np.testing.assert_allclose(
            car.hub.snapshot().correction_pct, live.correction_pct, rtol=0.0, atol=1e-9
        )
        await car.sessions.change(1, EXCLUDED)
        assert not np.allclose(
            car.hub.snapshot().correction_pct[known], live.correction_pct[known], atol=1e-6
        )
        await car.sessions.change(1, INCLUDED)
        np.testing.assert_allclose(
            car.hub.snapshot().correction_pct, live.correction_pct, rtol=0.0, atol=1e-9
        )
    changed = MafTable("edited", TABLE.maf_v, TABLE.flow_gs * 1.01)
    async with kept(path, changed) as car:
        assert car.hub.pipeline.table.revision == 3, "a configuration that names another one means it"


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM meta WHERE key = 'configured_table'",
        "UPDATE meta SET value = replace(value, '1', '2') WHERE key = 'configured_table'",
    ],
)
async def test_a_flashed_table_stays_where_the_file_was_damaged(path: Path, damage: str) -> None:
    assert TABLE.flow_gs is not None
    async with kept(path) as car:
        await car.hub.flash(MafTable("flashed", TABLE.maf_v, TABLE.flow_gs * 1.05))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(damage)
    async with kept(path) as car:
        assert car.hub.pipeline.table.name == "flashed"
        assert [table.revision for table in await car.store.tables()] == [1, 2]
    async with kept(path, MafTable("new", TABLE.maf_v, TABLE.flow_gs * 1.1)) as car:
        assert car.hub.pipeline.table.revision == 3
    async with kept(path) as car:
        assert car.hub.pipeline.table.revision == 4, "back to the first one in the configuration"


async def test_a_drive_with_a_table_without_flow_does_not_carry_over(path: Path) -> None:
    axis = MafTable("axis", TABLE.maf_v)
    async with kept(path, axis) as car:
        await car.driven(1)
        change = await car.hub.flash(TABLE)
        assert (change.changed, change.carried_over, change.ended) == (True, False, None)
        (session,) = await car.sessions.sessions()
        assert session["counts"] is False
        assert "no flow" in session["counts_not_because"]
        assert car.hub.snapshot().counts.seen == 0


async def test_drives_before_a_reset_say_why_they_do_not_count(path: Path) -> None:
    async with kept(path) as car:
        await car.driven(1)
        await car.driven(2)
    async with kept(path) as car:
        await car.hub.command(Command("reset"))
        assert car.hub.snapshot().counts.seen == 0
        await car.store.flush()
        assert {session["counts_not_because"] for session in await car.sessions.sessions()} == {
            "learning began anew after it"
        }
    async with kept(path) as car:
        assert car.hub.snapshot().counts.seen == 0, "also those of the run before the reset"


async def test_changes_are_made_one_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with kept(path) as car:
        for seed in (1, 2):
            await car.driven(seed)
        rebuild, going_on = kept_sessions.rebuild, 0

        async def watched(*arguments: object) -> object:
            nonlocal going_on
            going_on += 1
            assert going_on == 1
            rebuilt = await rebuild(*arguments)  # type: ignore[arg-type]
            going_on -= 1
            return rebuilt

        monkeypatch.setattr(kept_sessions, "rebuild", watched)
        await asyncio.gather(car.sessions.rebuild(1), car.sessions.rebuild(2), car.sessions.rebuild(1))


def test_numbers_of_sessions_fit_the_ids_of_their_chunks() -> None:
    assert (2**31 - 1 + 1) * CHUNKS_PER_SESSION - 1 == 2**63 - 1

"""A damaged database: what of it can be had is had, the rest comes from a snapshot, and nothing is wrong."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from daemon.store import recovery as store_recovery
from daemon.store.copying import PAGE_BYTES
from daemon.store.records import SessionStart
from daemon.store.recovery import finish_recovery, recover
from daemon.store.snapshots import snapshots
from daemon.store.store import Store
from lowmaf.cells import BlockKey
from lowmaf.maf_table import MafTable, default_axis
from lowmaf.samples import SampleBatch

NEVER_S = 3600.0
DRIVES, BLOCKS, CHUNKS = 6, 8, 30
UP_WITHIN_S = 5.0
"""Of computing: how long it takes on the clock depends on what else the machine has to do."""
FLASHED = MafTable("flashed", np.array([1.0, 2.0, 3.0]), np.array([2.0, 20.0, 90.0]))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database of some drives and its snapshots."""
    folder = tmp_path_factory.mktemp("filled")
    asyncio.run(fill(folder / "car.sqlite3"))
    return folder


@pytest.fixture
def path(tmp_path: Path, filled: Path) -> Path:
    """A copy of that database."""
    folder = shutil.copytree(filled, tmp_path / "car")
    return folder / "car.sqlite3"


def start(epoch: int = 1, revision: int = 1) -> SessionStart:
    return SessionStart(
        driver="test", maf_table_revision=revision, epoch=epoch, estimator="curve", settings={}
    )


def state(session: int, block: int) -> bytes:
    return np.random.default_rng((session, block)).bytes(700)


def samples(session: int, chunk: int) -> SampleBatch:
    rng = np.random.default_rng((session, chunk, 1))
    return SampleBatch(np.linspace(chunk, chunk + 0.98, 50), {"maf_v": rng.normal(size=50)})


async def drive(store: Store, epoch: int = 1, revision: int = 1) -> int:
    session = await store.begin_session(start(epoch, revision))
    store.write_blocks(session, {block: state(session, block) for block in range(BLOCKS)})
    store.write_counts(session, {"accepted": 40 * CHUNKS, "open_loop": 10 * CHUNKS})
    for chunk in range(CHUNKS):
        store.write_samples(session, samples(session, chunk))
        await store.flush()
    await store.end_session(session)
    await store.snapshots.idle()
    return session


async def fill(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        await store.put_table(default_axis())
        store.write_locks(frozenset({3, 7}))
        for _ in range(DRIVES):
            await drive(store)


async def kept(store: Store) -> dict[tuple[int, int], bytes]:
    return {
        (session.id, block): found
        for session in await store.sessions()
        for block, found in (await store.blocks(session.id)).items()
    }


async def samples_right(store: Store) -> int:
    """Number of chunks kept, each of which is as it was written."""
    number = 0
    for session in await store.sessions():
        async for batch in store.samples(session.id):
            original = samples(session.id, round(batch.t_s[0]))
            assert batch.t_s.tobytes() == original.t_s.tobytes()
            assert batch["maf_v"].tobytes() == original["maf_v"].tobytes()
            number += 1
    return number


EVERYTHING = {
    (session, block): state(session, block) for session in range(1, DRIVES + 1) for block in range(BLOCKS)
}


def leaves(path: Path, table: str) -> list[int]:
    """Numbers from 0, in the order of the keys, of the pages that hold a table's rows."""
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        ((root,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))
    content = path.read_bytes()
    found, waiting = [], [root]
    while waiting:
        page = waiting.pop()
        at = (page - 1) * PAGE_BYTES
        kind = content[at]
        if kind in (2, 5):  # an interior page: its children are in the first four bytes of its cells
            cells = int.from_bytes(content[at + 3 : at + 5], "big")
            offsets = [
                int.from_bytes(content[at + 12 + 2 * n : at + 14 + 2 * n], "big") for n in range(cells)
            ]
            children = [int.from_bytes(content[at + offset : at + offset + 4], "big") for offset in offsets]
            waiting += [int.from_bytes(content[at + 8 : at + 12], "big"), *reversed(children)]
        else:
            found.append(page - 1)
    return found


def zero(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek(page * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))


def without_snapshots(path: Path) -> None:
    for snapshot in snapshots(path):
        snapshot.unlink()


async def test_a_damaged_page_of_cells_costs_only_its_own_rows(path: Path) -> None:
    without_snapshots(path)
    zero(path, leaves(path, "cell_blocks")[5])
    harmed = path.read_bytes()
    async with await Store.open(path) as store:
        found = await kept(store)
        assert len(EVERYTHING) - 6 <= len(found) < len(EVERYTHING)
        assert found.items() <= EVERYTHING.items()
        assert await samples_right(store) == DRIVES * CHUNKS
        assert await store.locks(1) == {3, 7}
        (notice,) = store.notices
        assert f"Recovered from it: {DRIVES} drives, {len(found)} blocks of learned cells" in notice.message
        assert "Some blocks of learned cells could not be read." in notice.message
        assert await store.begin_session(start()) == DRIVES + 1
    (aside,) = path.parent.glob("*.damaged-*")
    assert aside.read_bytes() == harmed, "the damaged file is kept as it was"


async def test_damaged_pages_of_samples_cost_only_their_own_rows(path: Path) -> None:
    pages = leaves(path, "sample_chunks")
    for page in pages[5:50:9]:
        zero(path, page)
    async with await Store.open(path) as store:
        assert await kept(store) == EVERYTHING
        assert DRIVES * CHUNKS - 25 <= await samples_right(store) < DRIVES * CHUNKS
        assert "Some stretches of samples could not be read." in store.notices[0].message


@pytest.mark.parametrize("harm", ["header", "everything", "cells", "sessions", "meta"])
async def test_what_the_file_has_lost_comes_from_the_snapshot(path: Path, harm: str) -> None:
    if harm == "everything":
        path.write_bytes(bytes(path.stat().st_size))
    elif harm == "header":
        path.write_bytes(bytes(100) + path.read_bytes()[100:])
    else:
        table = {"cells": "cell_blocks"}.get(harm, harm)
        for page in leaves(path, table):
            zero(path, page)
    async with await Store.open(path) as store:
        assert await kept(store) == EVERYTHING
        assert [session.samples for session in await store.sessions()] == [50 * CHUNKS] * DRIVES
        assert await store.locks(1) == {3, 7}
        assert await store.epoch() == (1, BlockKey(0, 0))
        assert await store.last_session() == DRIVES
        current = store.current_table()
        assert current is not None
        assert current.maf_v.tobytes() == default_axis().maf_v.tobytes()
        assert "Added from car.sqlite3.snapshot-6:" in store.notices[0].message
    async with await Store.open(path) as store:
        assert store.notices == ()
        assert await kept(store) == EVERYTHING


async def test_a_damaged_snapshot_is_passed_over_for_the_one_before(path: Path) -> None:
    newest, before, _ = snapshots(path)
    newest.write_bytes(bytes(newest.stat().st_size))
    path.write_bytes(bytes(path.stat().st_size))
    async with await Store.open(path) as store:
        assert await kept(store) == {key: kept for key, kept in EVERYTHING.items() if key[0] < DRIVES}
        assert f"Added from {before.name}:" in store.notices[0].message


async def test_a_drive_that_was_deleted_does_not_come_back_from_a_snapshot(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM sessions WHERE id = 2")
        connection.execute("UPDATE sessions SET included = 0, name = 'towing' WHERE id = 3")
    for page in leaves(path, "cell_blocks"):
        zero(path, page)
    async with await Store.open(path) as store:
        assert await kept(store) == {key: kept for key, kept in EVERYTHING.items() if key[0] != 2}
        towing = await store.session(3)
        assert towing is not None
        assert (towing.name, towing.included) == ("towing", False)


async def test_a_drive_that_was_learned_anew_is_not_mixed_with_what_it_was(path: Path) -> None:
    anew = {(2, block): b"anew" for block in range(3)}
    without = {key: state for key, state in EVERYTHING.items() if key[0] != 2}
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        store.write("DELETE FROM cell_blocks WHERE session = 2")
        store.write_blocks(2, {block: state for (_, block), state in anew.items()})
    zero(path, leaves(path, "cell_blocks")[-1])
    async with await Store.open(path) as store:
        assert await kept(store) == without | anew


async def test_where_the_epoch_is_lost_nothing_of_before_counts(path: Path) -> None:
    without_snapshots(path)
    for page in leaves(path, "meta"):
        zero(path, page)
    async with await Store.open(path) as store:
        assert await kept(store) == EVERYTHING, "it is kept all the same"
        assert await store.epoch() == (2, BlockKey(DRIVES + 1, 0))
        assert await store.begin_session(start(2)) == DRIVES + 1


async def test_an_epoch_that_began_after_the_snapshot_is_told_by_its_drives(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        store.write_epoch(2, BlockKey(DRIVES + 1, 0))
        assert await drive(store, epoch=2) == DRIVES + 1
    snapshots(path)[0].unlink()
    for page in leaves(path, "meta"):
        zero(path, page)
    async with await Store.open(path) as store:
        assert await store.epoch() == (2, BlockKey(DRIVES + 1, 0))


@pytest.mark.parametrize(
    ("key", "old", "new"), [("epoch", b'"epoch": 2', b'"epoch": 1'), ("locks", b"7", b"6")]
)
async def test_an_altered_fact_is_noticed_at_the_start(path: Path, key: str, old: bytes, new: bytes) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        store.write_epoch(2, BlockKey(3, 1))
        await drive(store, epoch=2)
    with closing(sqlite3.connect(path)) as connection, connection:
        ((value,),) = connection.execute("SELECT value FROM meta WHERE key = ?", (key,))
        connection.execute(
            "UPDATE meta SET value = ? WHERE key = ?", (value.encode().replace(old, new, 1).decode(), key)
        )
    async with await Store.open(path) as store:
        assert f"what it says of the {key} was altered" in store.notices[0].message
        assert await store.epoch() == (2, BlockKey(3, 1))
        assert await store.locks(1) == {3, 7}


@pytest.mark.parametrize("fact", ["there", "altered", "of a snapshot"])
async def test_a_lost_table_is_had_back_or_its_number_not_given_to_another(path: Path, fact: str) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        assert (await store.put_table(FLASHED)).revision == 2
        await drive(store, revision=2)
    snapshots(path)[0].unlink()
    if fact != "of a snapshot":
        without_snapshots(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE maf_tables SET maf_v = '[9, 9, 9]' WHERE revision = 2")
        if fact != "there":
            connection.execute("UPDATE meta SET value = replace(value, '9', '8') WHERE key = 'maf_table'")
    zero(path, leaves(path, "verdict_counts")[0])
    async with await Store.open(path) as store:
        if fact == "there":
            current = store.current_table()
            assert current is not None
            assert current.maf_v.tobytes() == FLASHED.maf_v.tobytes()
            return
        assert store.current_table() is None, "an older table must not pass for the one in the ECU"
        assert (await store.put_configured_table(default_axis())).revision == 3
        assert "maf_table_lost" in [notice.code for notice in store.notices]


async def test_a_table_that_was_flashed_after_the_snapshot_stays_the_current_one(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        assert (await store.put_table(FLASHED)).revision == 2
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = replace(value, '9', '8') WHERE key = 'maf_table'")
    async with await Store.open(path) as store:
        assert "what it says of the maf_table was altered" in store.notices[0].message
        current = store.current_table()
        assert current is not None
        assert (current.revision, current.maf_v.tobytes()) == (2, FLASHED.maf_v.tobytes())


async def test_lost_counts_are_said_with_what_makes_them_anew(path: Path) -> None:
    without_snapshots(path)
    zero(path, leaves(path, "verdict_counts")[0])
    async with await Store.open(path) as store:
        assert {session.samples for session in await store.sessions()} == {0}
        assert "lowmaf sessions rebuild makes them anew" in store.notices[0].message


async def test_the_log_is_read_and_set_aside_with_its_database(path: Path, tmp_path: Path) -> None:
    """As after a power cut that damaged the file: the newest commits are only in the log."""
    without_snapshots(path)
    cut = tmp_path / "cut"
    cut.mkdir()
    store = await Store.open(path, commit_interval_s=NEVER_S)
    session = await drive(store)
    for suffix in ("", "-wal", "-lock"):
        (cut / f"car.sqlite3{suffix}").write_bytes(path.with_name(path.name + suffix).read_bytes())
    await store.close()
    zero(cut / path.name, leaves(cut / path.name, "sample_chunks")[0])
    log = (cut / "car.sqlite3-wal").read_bytes()
    recover(cut / path.name, "torn")
    (aside,) = cut.glob("*.damaged-*Z")
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == log
    assert not (cut / "car.sqlite3-wal").exists(), "left behind, it would be replayed into the new file"
    async with await Store.open(cut / path.name) as again:
        assert len(await again.blocks(session)) == BLOCKS


async def test_a_recovery_that_was_cut_off_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zero(path, leaves(path, "verdict_counts")[0])

    def cut(_: Path) -> Path:
        raise OSError("power")

    with monkeypatch.context() as patched:
        patched.setattr(store_recovery, "_set_aside", cut)
        with pytest.raises(Exception, match="cannot be recovered: power"):
            await Store.open(path)
    for left in ("both", "only what was recovered"):
        if left != "both":
            path.unlink()
        async with await Store.open(path) as store:
            assert await kept(store) == EVERYTHING
            assert [notice.code for notice in store.notices] == ["database_damaged"]
        if left == "both":
            path.rename(path.with_name("car.sqlite3.recovered"))
            path.write_bytes(b"")
    assert finish_recovery(path) is None


async def test_recovering_samples_ends_with_the_time_for_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zero(path, leaves(path, "cell_blocks")[5])
    monkeypatch.setattr(store_recovery, "SAMPLES_S", -1.0)
    async with await Store.open(path) as store:
        assert await samples_right(store) == 0
        assert await kept(store) == EVERYTHING
        assert "Older samples were left in the damaged file" in store.notices[0].message


@pytest.mark.parametrize("rounds", [25, pytest.param(3000, marks=pytest.mark.long)])
async def test_random_damage_never_makes_anything_wrong(path: Path, rounds: int) -> None:
    """Bits, sectors, pages, cuts, in the file and in its log; with snapshots nothing learned is ever lost."""
    whole = path.read_bytes()
    rng = random.Random(rounds)
    recovered = 0
    for _ in range(rounds):
        harmed = bytearray(whole)
        for _ in range(rng.choice((1, 1, 3, 30))):
            size = rng.choice((1, 16, 512, PAGE_BYTES, 4096))
            at = rng.randrange(len(harmed)) // size * size
            harmed[at : at + size] = rng.choice((bytes(size), rng.randbytes(size)))
        if rng.random() < 0.1:
            del harmed[rng.randrange(len(harmed)) :]
        path.write_bytes(harmed)
        path.with_name("car.sqlite3-wal").write_bytes(rng.choice((b"", rng.randbytes(5000))))
        began_s = time.process_time()
        async with await Store.open(path) as store:
            assert time.process_time() - began_s < UP_WITHIN_S
            found = await kept(store)
            assert found.items() <= EVERYTHING.items()
            await samples_right(store)
            if store.notices and store.notices[0].code == "database_damaged":
                recovered += 1
                assert found == EVERYTHING
            assert await store.locks(1) <= {3, 7}
            assert await store.begin_session(start()) > DRIVES
        for left in path.parent.glob("car.sqlite3.damaged-*"):
            left.unlink()
    assert recovered > rounds / 5


async def test_a_snapshot_is_compact_and_a_database_itself(path: Path, tmp_path: Path) -> None:
    newest = snapshots(path)[0]
    alone = tmp_path / "alone.sqlite3"
    shutil.copy(newest, alone)
    with closing(sqlite3.connect(newest)) as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
        connection.execute("VACUUM INTO ?", (str(tmp_path / "vacuumed.sqlite3"),))
    assert newest.stat().st_size <= (tmp_path / "vacuumed.sqlite3").stat().st_size * 1.05
    async with await Store.open(alone) as store:
        assert store.notices == ()
        assert await kept(store) == EVERYTHING
        assert [session.samples for session in await store.sessions()] == [50 * CHUNKS] * DRIVES
        assert await store.locks(1) == {3, 7}
        assert await store.begin_session(start()) == DRIVES + 1


async def test_a_snapshot_is_of_one_moment_and_only_three_are_kept(path: Path) -> None:
    assert [snapshot.name for snapshot in snapshots(path)] == [f"car.sqlite3.snapshot-{n}" for n in (6, 5, 4)]
    with closing(sqlite3.connect(snapshots(path)[0])) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM cell_blocks").fetchone() == (len(EVERYTHING),)
        assert connection.execute("SELECT count(*) FROM sample_chunks").fetchone() == (0,)

"""The store: what is written comes back bit for bit, and what goes wrong is said and survived."""

from __future__ import annotations

import asyncio
import math
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon import wall_clock
from daemon.store import writer as store_writer
from daemon.store.buffer import MAX_PENDING_SAMPLES, PendingWrites
from daemon.store.records import ClosedHow, SessionStart, StoreError
from daemon.store.rows import CHUNK_SAMPLES
from daemon.store.schema import VERSION
from daemon.store.store import Store
from daemon.wall_clock import ClockReading, ClockState, read_clock
from lowmaf.maf_table import MafTable, default_axis
from lowmaf.samples import SampleBatch

START = SessionStart(
    driver="simulator", maf_table_revision=None, epoch=1, estimator="curve", settings={"max_rpm": math.inf}
)
NEVER_S = 3600.0
TABLE = MafTable("stock", np.array([0.1 + 0.2, 1.5, 2.25]), np.array([-0.1, 1e-300, 1 / 3]))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "car.sqlite3"


def batch(start: int, n: int, *names: str) -> SampleBatch:
    rng = np.random.default_rng(start)
    return SampleBatch(
        (start + np.arange(n)) * 0.02, {name: rng.normal(size=n) for name in names or ("maf_v", "rpm")}
    )


async def samples_of(store: Store, session: int) -> list[SampleBatch]:
    return [chunk async for chunk in store.samples(session)]


def same(left: SampleBatch, right: SampleBatch) -> bool:
    return (
        left.t_s.tobytes() == right.t_s.tobytes()
        and left.channels.keys() == right.channels.keys()
        and all(left[name].tobytes() == right[name].tobytes() for name in left.channels)
    )


async def test_everything_comes_back_after_a_restart(path: Path) -> None:
    clock = ClockReading(wall_s=1.5e9, monotonic_s=100.0, state=ClockState.SYNCED, boot_id="boot")
    later = ClockReading(wall_s=2.5e9, monotonic_s=160.5, state=ClockState.SYNCED, boot_id="boot")
    async with await Store.open(path) as store:
        table = await store.put_table(TABLE)
        store.write_locks(frozenset({0, 2}))
        session = await store.begin_session(START, clock)
        store.write_samples(session, batch(0, 50))
        store.write_samples(session, batch(50, 50))
        store.write_blocks(session, {0: b"old", 1: bytes(range(256)) * 40})
        store.write_blocks(session, {0: b"new", 7: b""})
        store.write_counts(session, {"accepted": 60, "open_loop": 40})
        await store.end_session(session, later)
    async with await Store.open(path) as store:
        assert store.notices == ()
        current = store.current_table()
        assert current is not None
        assert current.revision == table.revision == 1
        assert current.maf_v.tobytes() == TABLE.maf_v.tobytes()
        assert current.flow_gs is not None
        assert current.flow_gs.tobytes() == np.array([-0.1, 1e-300, 1 / 3]).tobytes()
        assert await store.locks(1) == {0, 2}
        (kept,) = await store.sessions()
        assert (kept.id, kept.driver, kept.clock, kept.boot_id) == (1, "simulator", ClockState.SYNCED, "boot")
        assert (kept.started_wall_s, kept.duration_s, kept.closed_how) == (1.5e9, 60.5, ClosedHow.CLOSED)
        assert (kept.settings, kept.included, kept.samples) == ({"max_rpm": "inf"}, True, 100)
        assert await store.blocks(1) == {0: b"new", 1: bytes(range(256)) * 40, 7: b""}
        assert await store.counts(1) == {"accepted": 60, "open_loop": 40}
        (chunk,) = await samples_of(store, 1)
        assert same(chunk, SampleBatch.concatenate([batch(0, 50), batch(50, 50)]))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 2]), st.integers(0, 9000), st.sampled_from([("maf_v",), ("rpm", "maf_v"), ()])
        ),
        max_size=6,
    ),
    st.sets(st.integers(0, 5)),
)
async def test_samples_of_each_session_keep_their_order_and_their_bits(
    tmp_path_factory: pytest.TempPathFactory,
    writes: list[tuple[int, int, tuple[str, ...]]],
    flushes: set[int],
) -> None:
    path = tmp_path_factory.mktemp("store") / "car.sqlite3"
    written: dict[int, list[SampleBatch]] = {1: [], 2: []}
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        for _ in written:
            await store.begin_session(START)
        for number, (session, n, names) in enumerate(writes):
            one = SampleBatch(np.arange(n) + 0.1 * number, dict.fromkeys(names, np.full(n, number / 3)))
            store.write_samples(session, one)
            written[session].append(one)
            if number in flushes:
                await store.flush()
        await store.flush()
        for session, batches in written.items():
            kept = await samples_of(store, session)
            assert all(len(chunk) <= CHUNK_SAMPLES for chunk in kept)
            for names in {frozenset(one.delivered) for one in batches if len(one)}:
                alike = [one for one in batches if one.delivered == names]
                again = [one for one in kept if one.delivered == names]
                assert same(SampleBatch.concatenate(again), SampleBatch.concatenate(alike))
            assert sum(map(len, kept)) == sum(map(len, batches))


async def test_the_writer_commits_by_itself(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=0.01) as store:
        session = await store.begin_session(START)
        asked = asyncio.Event()
        store.before_commit = lambda: (store.write_counts(session, {"accepted": 1}), asked.set())[0]
        await asyncio.wait_for(asked.wait(), 10)
        await store.flush()
        assert await store.counts(session) == {"accepted": 1}
        assert store.status()["commits"] >= 2
        assert store.status()["written_bytes"] >= 0


async def test_who_asks_often_has_no_crumbs_of_a_drive_written(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        handed_over: list[int] = []
        store.before_commit = lambda: handed_over.append(1)
        session = await store.begin_session(START)
        before = len(handed_over)
        store.write_samples(session, batch(0, 20))
        store.write_blocks(session, {0: b"state"})
        store.write("INSERT INTO meta VALUES ('order', 'kept')")
        await store.flush(with_drive=False)
        assert await store.remembered("order") == "kept"
        assert await samples_of(store, session) == []
        assert len(handed_over) == before
        await store.flush()
        (kept,) = await samples_of(store, session)
        assert same(kept, batch(0, 20))
        assert len(handed_over) == before + 1


async def test_a_drive_is_written_in_time_however_often_others_ask(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=0.3) as store, asyncio.timeout(20.0):
        session = await store.begin_session(START)
        store.write_samples(session, batch(0, 20))
        asked = 0
        while not await samples_of(store, session):
            store.write("INSERT OR REPLACE INTO meta VALUES ('order', ?)", str(asked))
            await store.flush(with_drive=False)
            asked += 1
        assert asked > 1
        store.write_samples(session, batch(20, 20))
        await store.flush(with_drive=False)
        written_s = asyncio.get_running_loop().time()
        while len(await samples_of(store, session)) < 2:  # noqa: ASYNC110 - the writer asks nobody
            await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - written_s < 5.0, "nobody has to ask"


async def test_only_what_was_committed_can_be_read_and_nothing_waits_for_it(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        session = await store.begin_session(START)
        store.write_blocks(session, {0: b"x"})
        assert await store.blocks(session) == {}
        await store.flush()
        assert await store.blocks(session) == {0: b"x"}


async def test_whoever_waits_for_a_commit_may_be_cancelled(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        session = await store.begin_session(START)
        for number in range(20):
            store.write_samples(session, batch(number * 10, 10))
            waiting = asyncio.create_task(store.flush())
            for _ in range(number % 7):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await store.flush()
        assert sum(map(len, await samples_of(store, session))) == 200


async def test_what_comes_while_a_commit_is_made_waits_for_the_next(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        session = await store.begin_session(START)
        for number in range(20):
            store.write_samples(session, batch(20 * number, 10))
            flushing = asyncio.create_task(store.flush())
            for _ in range(number):
                await asyncio.sleep(0)
            store.write_samples(session, batch(20 * number + 10, 10))
            await flushing
        await store.flush()
        assert sum(map(len, await samples_of(store, session))) == 400


async def test_closing_writes_what_came_while_a_commit_was_made(path: Path) -> None:
    for turns in range(1, 13):
        store = await Store.open(path, commit_interval_s=NEVER_S)
        session = await store.begin_session(START)
        store.write_blocks(session, {0: b"first"})
        flushing = asyncio.create_task(store.flush())
        for _ in range(turns):
            await asyncio.sleep(0)
        store.write_blocks(session, {1: b"second"})
        await store.close()
        await flushing
        with pytest.raises(StoreError, match="the store is closed"):
            await store.flush()
        async with await Store.open(path) as store:
            assert await store.blocks(session) == {0: b"first", 1: b"second"}


async def test_the_same_table_again_is_no_new_revision(path: Path) -> None:
    async with await Store.open(path) as store:
        assert (await store.put_table(TABLE)).revision == 1
        assert (await store.put_table(MafTable("other name", TABLE.maf_v, TABLE.flow_gs))).revision == 1
        store.write_locks(frozenset({1}))
        assert (await store.put_table(default_axis())).revision == 2
        assert await store.locks(1) == {1}
        assert await store.locks(2) == set()
    async with await Store.open(path) as store:
        current = store.current_table()
        assert current is not None
        assert current.flow_gs is None
        assert (await store.put_table(default_axis())).revision == 2
        assert [table.revision for table in await store.tables()] == [1, 2]


async def test_numbers_of_sessions_are_not_used_again(path: Path) -> None:
    async with await Store.open(path) as store:
        assert [await store.begin_session(START) for _ in range(3)] == [1, 2, 3]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM sessions WHERE id = 3")
    async with await Store.open(path) as store:
        assert await store.begin_session(START) == 4


async def test_what_cannot_be_written_is_our_mistake_and_said_at_once(path: Path) -> None:
    async with await Store.open(path) as store:
        with pytest.raises(ValueError, match="no session 1"):
            store.write_blocks(1, {0: b""})
        with pytest.raises(ValueError, match="session 1 was not begun here"):
            store.write_samples(1, batch(0, 1))
        with pytest.raises(ValueError, match="no MAF table"):
            store.write_locks(frozenset())
        session = await store.begin_session(START)
        await store.end_session(session)
        with pytest.raises(ValueError, match="has ended"):
            store.write_samples(session, batch(0, 1))
        store.write_counts(session, {"accepted": 0})  # the last verdicts may come after the end


async def test_a_mistake_in_writing_ends_the_writer_loudly(path: Path) -> None:
    store = await Store.open(path, commit_interval_s=NEVER_S)
    await store.begin_session(START)
    store.write("INSERT INTO maf_tables (revision) VALUES (1)")
    watching = asyncio.create_task(store.watch())
    with pytest.raises(sqlite3.IntegrityError):
        await store.flush()
    with pytest.raises(sqlite3.IntegrityError):
        await watching
    with pytest.raises(sqlite3.IntegrityError):
        await store.flush()
    with pytest.raises(sqlite3.IntegrityError):
        await store.close()
    async with await Store.open(path) as store:  # the lock was let go of
        assert len(await store.sessions()) == 1


async def test_a_session_that_was_not_ended_is_marked(path: Path) -> None:
    async with await Store.open(path) as store:
        await store.begin_session(START)
    async with await Store.open(path) as store:
        (kept,) = await store.sessions()
        assert kept.closed_how is ClosedHow.CLOSED_INCORRECT
        assert kept.duration_s is None


async def test_plain_sqlite_can_read_it(path: Path) -> None:
    async with await Store.open(path) as store:
        await store.put_table(TABLE)
        session = await store.begin_session(START)
        store.write_samples(session, batch(0, 50))
        store.write_counts(session, {"accepted": 50})
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        volts = connection.execute("SELECT value FROM maf_tables, json_each(maf_v)").fetchall()
        assert volts == [(value,) for value in TABLE.maf_v.tolist()]
        assert connection.execute("SELECT session, n, channels FROM sample_chunks").fetchall() == [
            (1, 50, '["maf_v", "rpm"]')
        ]
        for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql LIKE 'CREATE TABLE%'"):
            assert "STRICT" in sql or "sqlite_sequence" in sql
            assert "--" in sql or "sqlite_sequence" in sql, "the schema explains itself"


# ---- limits


async def test_samples_that_find_no_room_drop_the_oldest_and_are_counted(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        session = await store.begin_session(START)
        for start in range(0, MAX_PENDING_SAMPLES + 2500, 1000):
            store.write_samples(session, batch(start, 1000))
        assert store.status()["samples_pending"] == MAX_PENDING_SAMPLES
        assert store.status()["samples_dropped"] == 3000
        await store.flush()
        kept = await samples_of(store, session)
        assert kept[0].t_s[0] == 3000 * 0.02
        assert sum(map(len, kept)) == MAX_PENDING_SAMPLES
        store.write_samples(session, batch(0, MAX_PENDING_SAMPLES + 1))
        assert store.status()["samples_dropped"] == 3000, "one large batch is never dropped for itself"


async def test_on_a_full_disk_samples_wait_cells_go_on_and_all_is_well_again_by_itself(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writer, "SAMPLES_RETRY_S", 0.0)
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        session = await store.begin_session(START)
        store.write_blocks(session, {0: b"first"})
        await store.flush()
        writing = store._writer._connection
        ((pages,),) = await writing.execute_fetchall("PRAGMA page_count")
        await writing.execute(f"PRAGMA max_page_count = {pages}")
        store.write_samples(session, batch(0, 3000))
        store.write_blocks(session, {0: b"second"})
        with pytest.raises(StoreError, match="no room left on the disk"):
            await store.flush()
        assert await store.blocks(session) == {0: b"second"}
        assert [notice.code for notice in store.notices] == ["disk_full"]
        assert store.status()["samples_pending"] == 3000
        store.write_samples(session, batch(3000, 10))
        with pytest.raises(StoreError, match="no room left on the disk"):
            await store.flush()
        await writing.execute("PRAGMA max_page_count = 100000")
        await store.flush()
        assert store.notices == ()
        kept = await samples_of(store, session)
        assert same(SampleBatch.concatenate(kept), SampleBatch.concatenate([batch(0, 3000), batch(3000, 10)]))


async def test_a_session_that_begins_on_a_full_disk_is_written_once_there_is_room(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        writing = store._writer._connection
        ((pages,),) = await writing.execute_fetchall("PRAGMA page_count")
        await writing.execute(f"PRAGMA max_page_count = {pages}")
        big = SessionStart(
            **{**{key: getattr(START, key) for key in START.__slots__}, "settings": "x" * 9000}
        )
        session = await store.begin_session(big)
        assert [notice.code for notice in store.notices] == ["disk_full", "writing_failed"]
        store.write_blocks(session, {0: b"cells"})
        assert await store.sessions() == []
        await writing.execute("PRAGMA max_page_count = 100000")
        await store.flush()
        assert store.notices == ()
        assert [kept.id for kept in await store.sessions()] == [session]


async def test_with_little_room_samples_are_held_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free_bytes = 50_000_000
    usage = shutil.disk_usage(path.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free_bytes))
    async with await Store.open(path, commit_interval_s=NEVER_S, min_free_bytes=2e8) as store:
        session = await store.begin_session(START)
        store.write_samples(session, batch(0, 10))
        store.write_blocks(session, {0: b"x"})
        with pytest.raises(StoreError, match="50 MB are free on the disk, 200 MB are needed"):
            await store.flush()
        assert await store.blocks(session) == {0: b"x"}
        assert await samples_of(store, session) == []
        assert [notice.code for notice in store.notices] == ["disk_low"]
        free_bytes = 300_000_000
        await store.flush()
        assert store.notices == ()
        assert len(await samples_of(store, session)) == 1


async def test_another_program_that_holds_the_database_only_delays(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        session = await store.begin_session(START)
        await store._writer._connection.execute("PRAGMA busy_timeout = 10")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            store.write_blocks(session, {0: b"x"})
            with pytest.raises(StoreError, match="database is locked"):
                await store.flush()
            assert [notice.code for notice in store.notices] == ["writing_failed"]
            other.execute("ROLLBACK")
        await store.flush()
        assert store.notices == ()
        assert await store.blocks(session) == {0: b"x"}


async def test_a_commit_that_fails_in_the_middle_leaves_nothing_and_is_made_again(path: Path) -> None:
    async with await Store.open(path, commit_interval_s=NEVER_S) as store:
        session = await store.begin_session(START)
        store.write_blocks(session, {0: b"x"})
        store.write_counts(session, {"accepted": 1})
        with closing(sqlite3.connect(path)) as other:
            other.execute("ALTER TABLE verdict_counts RENAME TO hidden")
            with pytest.raises(StoreError, match="no such table: verdict_counts"):
                await store.flush()
            assert await store.blocks(session) == {}
            other.execute("ALTER TABLE hidden RENAME TO verdict_counts")
        await store.flush()
        assert await store.blocks(session) == {0: b"x"}
        assert await store.counts(session) == {"accepted": 1}


def test_what_is_put_back_goes_before_what_came_since() -> None:
    pending = PendingWrites()
    pending.statements.append(("first", ()))
    pending.add_samples(1, batch(0, 10))
    pending.add_samples(1, batch(10, 10))
    pending.blocks = {(1, 0): b"old", (1, 1): b"kept"}
    pending.counts = {1: {"accepted": 1}}
    taken = pending.take(with_samples=True)
    assert not pending
    pending.statements.append(("second", ()))
    pending.add_samples(1, batch(20, 10))
    pending.blocks = {(1, 0): b"new"}
    pending.counts = {1: {"accepted": 2}}
    pending.put_back(taken)
    assert [sql for sql, _ in pending.statements] == ["first", "second"]
    assert [one.t_s[0] for _, one in pending.samples] == [0.0, 0.2, 0.4]
    assert pending.sample_count == 30
    assert pending.blocks == {(1, 0): b"new", (1, 1): b"kept"}
    assert pending.counts == {1: {"accepted": 2}}


async def test_a_commit_reaches_the_disk_before_it_is_told(path: Path) -> None:
    async with await Store.open(path) as store:
        for pragma, value in (
            ("synchronous", 2),
            ("wal_autocheckpoint", 256),
            ("trusted_schema", 0),
            ("foreign_keys", 1),
            ("busy_timeout", 5000),
        ):
            ((met,),) = await store._writer._connection.execute_fetchall(f"PRAGMA {pragma}")
            assert met == value, pragma


# ---- damage inside rows, which an integrity check does not see


async def test_damaged_rows_are_left_out_and_told(path: Path) -> None:
    async with await Store.open(path) as store:
        await store.put_table(TABLE)
        await store.put_table(default_axis())
        session = await store.begin_session(START)
        store.write_blocks(session, {0: b"good", 1: b"bad"})
        store.write_counts(session, {"accepted": 7, "open_loop": 3})
        store.write_samples(session, batch(0, 10))
        await store.flush()
        store.write_samples(session, batch(10, 10))
        await store.begin_session(START)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE cell_blocks SET state = zeroblob(length(state)) WHERE block = 1")
        connection.execute("UPDATE sample_chunks SET data = zeroblob(5) WHERE first_t_s = 0")
        connection.execute("UPDATE sessions SET epoch = 99 WHERE id = 2")
        connection.execute("UPDATE maf_tables SET maf_v = replace(maf_v, '1', '2') WHERE revision = 1")
        connection.execute("UPDATE verdict_counts SET counts = replace(counts, '7', '8') WHERE session = 1")
    async with await Store.open(path) as store:
        assert await store.blocks(session) == {0: b"good"}
        (kept,) = await samples_of(store, session)
        assert same(kept, batch(10, 10))
        assert [(kept.id, kept.samples, kept.accepted) for kept in await store.sessions()] == [
            (session, 0, 0)
        ]
        assert await store.counts(session) == {}
        assert [notice.message for notice in store.notices] == [
            "MAF table 1 was damaged on the disk and is left out.",
            "block 1 of session 1 was damaged on the disk and is left out.",
            "chunk 0 of the samples of session 1 was damaged on the disk and is left out.",
            "the count of verdicts of session 1 was damaged on the disk and is left out.",
            "session 2 was damaged on the disk and is left out.",
        ]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE maf_tables SET maf_v = replace(maf_v, '0.94', '0.84') WHERE revision = 2",
        "UPDATE maf_tables SET revision = 130 WHERE revision = 2",
        "DELETE FROM maf_tables WHERE revision = 2",
        "DELETE FROM maf_tables",
        "UPDATE cell_locks SET cell = 4",
        "UPDATE cell_locks SET maf_table_revision = 1",
        "DELETE FROM cell_locks",
    ],
)
async def test_the_table_in_the_ecu_and_its_locks_are_had_back_whatever_becomes_of_their_rows(
    path: Path, damage: str
) -> None:
    async with await Store.open(path) as store:
        await store.put_table(TABLE)
        await store.put_configured_table(default_axis())
        store.write_locks(frozenset({3}))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(damage)
    async with await Store.open(path) as store:
        current = await store.put_configured_table(default_axis())
        assert current.revision == 2
        assert current.maf_v.tobytes() == default_axis().maf_v.tobytes()
        assert store.current_table() is not None
        assert await store.locks(2) == {3}
        assert [notice.code for notice in store.notices] == ["data_damaged"] * ("130" in damage)
        session = await store.begin_session(replace(START, maf_table_revision=2))
        assert await store.session(session) is not None
        assert (await store.put_table(TABLE)).revision == (131 if "130" in damage else 3)


def test_the_clock_says_what_it_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot_id, synchronized = tmp_path / "boot_id", tmp_path / "synchronized"
    monkeypatch.setattr(wall_clock, "BOOT_ID", boot_id)
    monkeypatch.setattr(wall_clock, "SYNCHRONIZED", synchronized)
    early = read_clock()
    assert (early.boot_id, early.state) == (None, ClockState.UNSYNCED)
    boot_id.write_text("4f1c\n")
    synchronized.touch()
    late = read_clock()
    assert (late.boot_id, late.state) == ("4f1c", ClockState.SYNCED)
    assert late.monotonic_s >= early.monotonic_s


async def test_a_disk_that_does_not_answer_is_noticed_and_a_failing_one_is_not_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr("daemon.store.writer.time", SimpleNamespace(monotonic=lambda: now_s))
    heard: list[str | None] = []
    async with await Store.open(tmp_path / "kept.sqlite3", commit_interval_s=60.0) as store:

        def hang_for_11_s() -> None:
            nonlocal now_s
            heard.append(store.stuck_because)
            now_s += 11.0
            heard.append(store.stuck_because)

        store.before_commit = hang_for_11_s
        await store.flush()
        assert heard == [None, "the disk has not answered for 11 s"]
        assert store.stuck_because is None
        now_s += 3600.0
        assert store.stuck_because is None, "there was nothing to write"
    assert store.stuck_because == "the writer of the database has ended"

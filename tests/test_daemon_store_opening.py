"""Opening a database: whose it is, whether it is whole, and one program at a time."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from daemon.store.records import SessionStart, StoreError
from daemon.store.schema import VERSION
from daemon.store.store import Store
from lowmaf.maf_table import default_axis
from lowmaf.samples import SampleBatch

START = SessionStart(driver="simulator", maf_table_revision=None, epoch=1, estimator="curve", settings={})
BLOCKS = {number: bytes([number]) * 3000 for number in range(40)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "car.sqlite3"


async def fill(path: Path) -> None:
    async with await Store.open(path) as store:
        await store.put_table(default_axis())
        session = await store.begin_session(START)
        store.write_blocks(session, BLOCKS)
        rng = np.random.default_rng(1)
        for start in range(0, 500, 50):
            t_s = (start + np.arange(50)) * 0.02
            store.write_samples(session, SampleBatch(t_s, {"maf_v": rng.normal(size=50)}))
            await store.flush()
        await store.end_session(session)


async def refusal(path: Path) -> str:
    before = {entry: entry.read_bytes() for entry in path.parent.iterdir() if entry.is_file()}
    with pytest.raises(StoreError) as caught:
        await Store.open(path)
    after = {entry: entry.read_bytes() for entry in path.parent.iterdir() if entry.is_file()}
    assert after == before, "what is refused is left as it was, and nothing is left beside it"
    message = str(caught.value)
    assert "\n" not in message
    return message


def damaged_files(path: Path) -> list[Path]:
    return sorted(path.parent.glob("*.damaged-*"))


# ---- refused


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        await Store.open(tmp_path / "no" / "car.sqlite3")
    assert (
        str(caught.value)
        == f"{tmp_path}/no/car.sqlite3: there is no folder {tmp_path}/no; make it or name another database"
    )


async def test_a_folder_in_place_of_the_file(path: Path) -> None:
    path.mkdir()
    assert await refusal(path) == f"{path}: not a file"


async def test_a_folder_that_is_not_writable() -> None:
    folder = Path("/sys/kernel")  # not even root can make files there
    if not folder.is_dir():
        pytest.skip("no /sys here")
    with pytest.raises(StoreError, match=r"the folder /sys/kernel is not writable"):
        await Store.open(folder / "car.sqlite3")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
async def test_a_folder_without_permission(path: Path) -> None:
    path.parent.chmod(0o500)
    with pytest.raises(StoreError, match="is not writable"):
        await Store.open(path)


async def test_a_name_that_is_too_long(path: Path) -> None:
    assert (
        await refusal(path.with_name("x" * 300))
        == f"{path.parent}/{'x' * 300}: cannot be read: File name too long"
    )


async def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_text("[web]\nport = 8000\n" * 10)
    assert await refusal(path) == f"{path}: not a SQLite database; name another file"


async def test_a_database_of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE meta (key TEXT)")
    assert "not a database of lowmaf (it is another program's)" in await refusal(path)


async def test_a_damaged_database_of_another_program(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\x07" * 5000)
    assert "not a database of lowmaf" in await refusal(path)


async def test_a_newer_schema(path: Path) -> None:
    await fill(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (VERSION + 1,))
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    message = await refusal(path)
    assert (
        f"made by a newer lowmaf (schema {VERSION + 1}, this one knows {VERSION}); update lowmaf" in message
    )


async def test_a_second_daemon_in_the_same_process_and_in_another(path: Path) -> None:
    async with await Store.open(path):
        with pytest.raises(StoreError, match=rf"in use by another lowmaf \(process {os.getpid()}\)"):
            await Store.open(path)
        program = (
            "import asyncio, sys; from pathlib import Path; from daemon.store.store import Store\n"
            "asyncio.run(Store.open(Path(sys.argv[1])))"
        )
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", program, str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1
        assert f"in use by another lowmaf (process {os.getpid()}); stop it" in ended.stderr
    async with await Store.open(path):
        pass


async def test_an_sqlite_that_is_too_old(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    assert "SQLite 3.37 or newer is needed; this Python has 3." in await refusal(path)


# ---- taken as it is


async def test_an_empty_file_is_made_a_database(path: Path) -> None:
    path.touch()
    async with await Store.open(path) as store:
        assert store.notices == ()
        assert await store.begin_session(START) == 1


async def test_a_version_0_file_is_brought_forward(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "PRAGMA journal_mode = WAL"
        )  # a file whose making was cut off after its first page
    assert path.stat().st_size > 0
    async with await Store.open(path) as store:
        assert store.notices == ()
        assert await store.last_session() == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)


async def test_a_log_that_was_not_merged_is_used(path: Path, tmp_path: Path) -> None:
    """As after a power cut: the newest commits are only in the -wal file."""
    store = await Store.open(path)
    session = await store.begin_session(START)
    store.write_blocks(session, {3: b"cells"})
    await store.flush()
    cut = tmp_path / "cut"
    cut.mkdir()
    for suffix in ("", "-wal"):
        (cut / f"car.sqlite3{suffix}").write_bytes(path.with_name(path.name + suffix).read_bytes())
    await store.close()
    assert (cut / "car.sqlite3-wal").stat().st_size > 0
    async with await Store.open(cut / "car.sqlite3") as store:
        assert store.notices == ()
        assert await store.blocks(session) == {3: b"cells"}


# ---- damaged


def damage(content: bytes, kind: str, rng: random.Random) -> bytes:
    """The file after something went wrong with the card it is on."""
    place = rng.randrange(len(content))
    if kind == "header":
        return bytes(100) + content[100:]
    if kind == "sector":
        start = place // 512 * 512
        return content[:start] + bytes(512) + content[start + 512 :]
    if kind == "garbage":
        start = place // 4096 * 4096
        return content[:start] + rng.randbytes(4096) + content[start + 4096 :]
    if kind == "bits":
        flipped = bytearray(content)
        for _ in range(20):
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    if kind == "zeros":
        return bytes(len(content))
    assert kind == "cut"
    return content[: max(1, place)]


@pytest.mark.parametrize("kind", ["header", "sector", "garbage", "bits", "zeros", "cut"])
@pytest.mark.parametrize("rounds", [6, pytest.param(500, marks=pytest.mark.long)])
async def test_a_damaged_database_never_keeps_the_daemon_from_starting(
    path: Path, kind: str, rounds: int
) -> None:
    await fill(path)
    whole = path.read_bytes()
    rng = random.Random(f"{kind} {rounds}")
    set_aside = 0
    for _ in range(rounds):
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        harmed = damage(whole, kind, rng)
        path.write_bytes(harmed)
        async with await Store.open(path) as store:
            kept = {session.id: await store.blocks(session.id) for session in await store.sessions()}
            assert all(
                BLOCKS[number] == state for blocks in kept.values() for number, state in blocks.items()
            )
            table = store.current_table()
            assert table is None or table.maf_v.tobytes() == default_axis().maf_v.tobytes()
            for session in kept:
                async for batch in store.samples(session):
                    assert batch.delivered == {"maf_v"}
            new = await store.begin_session(START)
            store.write_blocks(new, {0: b"goes on"})
            await store.flush()
            assert await store.blocks(new) == {0: b"goes on"}
            asides = damaged_files(path)
            if any(notice.code == "database_damaged" for notice in store.notices):
                set_aside += 1
                (aside,) = asides
                assert aside.read_bytes() == harmed, "what was damaged is kept as it was"
                assert re.search(r"\.damaged-\d{4}-\d\d-\d\dT\d{6}Z$", aside.name)
                assert aside.name in store.notices[0].message
            else:
                assert asides == []
        for aside in damaged_files(path):
            aside.unlink()
    if kind in ("header", "zeros"):
        assert set_aside == rounds


async def test_a_damaged_definition_of_a_table_is_seen(path: Path) -> None:
    await fill(path)
    content = path.read_bytes()
    assert content.count(b"flow_gs TEXT") == 1
    for harmed in (
        b"flow_gq TEXT",
        b"flow_gs\xa0TEXT",
        b"\xfflow_gs TEXT",
        b"flow_gs )EXT",
        b"flow_gs \0EXT",
    ):
        path.write_bytes(content.replace(b"flow_gs TEXT", harmed[:12]))
        async with await Store.open(path) as store:
            assert [notice.code for notice in store.notices] == ["database_damaged"]


async def test_tables_that_the_owner_added_are_no_damage(path: Path) -> None:
    await fill(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE VIEW my_drives AS SELECT * FROM sessions")
    async with await Store.open(path) as store:
        assert store.notices == ()


async def test_damage_twice_in_a_second_keeps_both_files(path: Path) -> None:
    for _ in range(3):
        async with await Store.open(path):
            pass
        path.write_bytes(bytes(5000))
    async with await Store.open(path):
        pass
    assert len(damaged_files(path)) == 3

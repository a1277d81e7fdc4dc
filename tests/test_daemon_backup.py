"""``lowmaf backup``: a consistent copy while the database is written, and nothing else overwritten."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from daemon.cli import main
from daemon.commands import backup
from daemon.commands.backup import back_up
from daemon.store.records import SessionStart
from daemon.store.store import Store
from lowmaf.samples import SampleBatch

START = SessionStart(driver="test", maf_table_revision=None, epoch=1, estimator="curve", settings={})


async def fill(path: Path) -> None:
    async with await Store.open(path) as store:
        session = await store.begin_session(START)
        store.write_blocks(session, {0: b"cells"})
        store.write_samples(session, SampleBatch(np.arange(50.0), {"maf_v": np.arange(50.0)}))
        await store.end_session(session)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "car.sqlite3"
    asyncio.run(fill(path))
    return path


def complaint(capsys: pytest.CaptureFixture[str], status: int, *arguments: str) -> str:
    assert main(["backup", *arguments]) == status
    return capsys.readouterr().err


def test_the_copy_is_a_database_to_go_on_from(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "stick" / "copy.sqlite3"
    copy.parent.mkdir()
    for _ in range(2):
        assert main(["backup", str(copy), "--database", str(path)]) == 0
    assert f"{copy}: 0.0 MB, a copy of {path}" in capsys.readouterr().out
    assert [entry.name for entry in copy.parent.iterdir()] == ["copy.sqlite3"]

    async def look() -> None:
        async with await Store.open(copy) as store:
            assert store.notices == ()
            assert await store.blocks(1) == {0: b"cells"}
            (samples,) = [batch async for batch in store.samples(1)]
            assert len(samples) == 50

    asyncio.run(look())


def test_the_configuration_may_name_the_database(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "lowmaf.toml"
    config.write_text('[storage]\ndatabase = "car.sqlite3"\n')
    assert main(["backup", str(tmp_path / "a"), "--config", str(config)]) == 0
    monkeypatch.setattr(backup, "INSTALLED_CONFIG", config)
    assert main(["backup", str(tmp_path / "b")]) == 0
    assert (tmp_path / "a").stat().st_size == (tmp_path / "b").stat().st_size > 10_000
    monkeypatch.setattr(backup, "INSTALLED_CONFIG", tmp_path / "none.toml")
    assert "--database or --config is needed" in complaint(capsys, 2, str(tmp_path / "c"))


async def test_a_copy_made_while_the_database_is_written_is_of_one_moment(tmp_path: Path) -> None:
    path, copy = tmp_path / "car.sqlite3", tmp_path / "copy.sqlite3"
    async with await Store.open(path, commit_interval_s=3600.0) as store:
        session = await store.begin_session(START)
        written = 0

        async def write() -> None:
            nonlocal written
            while True:
                written += 1
                store.write_blocks(session, {written: bytes(2000)})
                store.write_counts(session, {"accepted": written})
                await store.flush()

        writing = asyncio.create_task(write())
        for _ in range(5):
            before = written
            await asyncio.to_thread(back_up, path, copy)
            with closing(sqlite3.connect(copy)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                ((blocks,),) = connection.execute("SELECT count(*) FROM cell_blocks")
                counts = connection.execute(
                    "SELECT json_extract(counts, '$.accepted') FROM verdict_counts"
                ).fetchall()
                assert counts == ([(blocks,)] if blocks else [])
                assert blocks >= before - 1
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert store.notices == ()


def test_what_is_there_and_no_copy_is_left_alone(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("dear reader")
    other = tmp_path / "other.sqlite3"
    asyncio.run(fill(other))
    with closing(sqlite3.connect(tmp_path / "songs.sqlite3")) as connection, connection:
        connection.execute("CREATE TABLE songs (title)")
    before = {entry: entry.read_bytes() for entry in tmp_path.iterdir()}
    for target, words in (
        ("letter.txt", "there already, and not a copy of a database of lowmaf"),
        ("songs.sqlite3", "there already, and not a copy of a database of lowmaf"),
        ("car.sqlite3", "that is the database itself"),
        ("other.sqlite3", "another database of lowmaf, not a copy"),
        ("no/copy", f"there is no folder {tmp_path}/no"),
        (".", "not a file"),
    ):
        assert words in complaint(capsys, 2, str(tmp_path / target), "--database", str(path))
    assert {entry: entry.read_bytes() for entry in tmp_path.iterdir()} == before


def test_what_cannot_be_copied_leaves_the_earlier_copy(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    back_up(path, copy)
    before = copy.read_bytes()
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(len(content) - 100))
    assert "car.sqlite3: cannot be copied to" in complaint(capsys, 1, str(copy), "--database", str(path))
    path.write_bytes(b"no database at all" * 100)
    assert "file is not a database" in complaint(capsys, 1, str(copy), "--database", str(path))
    path.unlink()
    assert "there is no such database" in complaint(capsys, 2, str(copy), "--database", str(path))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE songs (title)")
    assert "not a database of lowmaf" in complaint(capsys, 1, str(copy), "--database", str(path))
    assert copy.read_bytes() == before
    assert not (tmp_path / "copy.part").exists()


def test_a_folder_that_is_closed_to_this_user_is_said_in_a_line(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As /etc/lowmaf and /var/lib/lowmaf are; root passes through any, so the closed door is a stand-in."""
    closed = tmp_path / "closed"
    stat = Path.stat

    def guarded(self: Path, **options: bool) -> os.stat_result:
        if closed in self.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", guarded)
    copy = str(tmp_path / "copy")
    monkeypatch.setattr(backup, "INSTALLED_CONFIG", closed / "lowmaf.toml")
    for arguments in ([], ["--database", str(closed / "car.sqlite3")]):
        assert "its folder is closed to you: try again with sudo" in complaint(capsys, 2, copy, *arguments)
    assert main(["sessions", "list", "--database", str(closed / "car.sqlite3")]) == 2
    assert main(["setup", "--yes", "--config", str(closed / "lowmaf.toml")]) == 2
    assert capsys.readouterr().err.count("its folder is closed to you") == 2

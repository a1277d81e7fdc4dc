"""``lowmaf sessions``: with no daemon, and beside one that has the database."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from fakes import serving
from kept_drives import Kept, drive, kept

from daemon.cli import main
from daemon.store.schema import VERSION
from web.app import create_app

SCHEMA_1 = Path(__file__).parent / "databases" / "schema_1.db"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "car.sqlite3"


@pytest.fixture
def two_drives(path: Path) -> Path:
    async def make() -> None:
        async with kept(path) as car:
            await car.driven(1)
            await car.driven(2)

    asyncio.run(make())
    return path


def lowmaf(path: Path, *words: str) -> int:
    return main(["sessions", *words, "--database", str(path)])


def listed(path: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert lowmaf(path, "list", "--json") == 0
    sessions: list[dict[str, object]] = json.loads(capsys.readouterr().out)["sessions"]
    return sessions


def test_drives_are_listed_and_shown(two_drives: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lowmaf(two_drives, "list") == 0
    head, first, second, *rest = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "STARTED", "(UTC)", "DURATION", "SAMPLES", "ACCEPTED", "TABLE", "STATE",
                            "COUNTS", "NAME"]  # fmt: skip
    assert first.split()[0] == "1"
    assert second.split()[-4:] == ["1", "ended", "yes", "test"]
    assert rest in ([], ["?: this machine did not know the date then"])
    assert lowmaf(two_drives, "show", "2") == 0
    said = capsys.readouterr().out
    assert f"{len(drive(2))} samples are kept" in said
    assert "open loop: the trims say nothing" in said
    assert lowmaf(two_drives, "show", "2", "--json") == 0
    assert json.loads(capsys.readouterr().out)["id"] == 2


def test_a_drive_is_named_left_out_and_deleted(two_drives: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lowmaf(two_drives, "name", "1", "to work\x1b[2J") == 0
    assert "\x1b" not in capsys.readouterr().out
    assert lowmaf(two_drives, "name", "1", "to work") == 0
    assert lowmaf(two_drives, "exclude", "1") == 0
    first, _ = listed(two_drives, capsys)
    assert (first["name"], first["included"], first["counts"]) == ("to work", False, False)
    assert lowmaf(two_drives, "show", "1") == 0
    assert "does not count in the table: it is excluded" in capsys.readouterr().out
    assert lowmaf(two_drives, "include", "1") == 0
    assert listed(two_drives, capsys)[0]["included"] is True
    assert lowmaf(two_drives, "delete", "1") == 0
    assert [session["id"] for session in listed(two_drives, capsys)] == [2]


def test_a_drive_is_exported(
    two_drives: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert lowmaf(two_drives, "export", "1") == 0
    text = capsysbinary.readouterr().out
    assert text.startswith(b"Time (msec),")
    assert text.count(b"\n") == len(drive(1)) + 1
    assert lowmaf(two_drives, "export", "1", "--output", str(tmp_path / "drive.csv")) == 0
    assert (tmp_path / "drive.csv").read_bytes() == text
    assert lowmaf(two_drives, "export", "1", "--format", "json") == 0
    assert len(json.loads(capsysbinary.readouterr().out)["rows"]) == len(drive(1))


def test_cells_are_made_anew(two_drives: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(two_drives)) as connection, connection:
        blocks = connection.execute("SELECT * FROM cell_blocks ORDER BY session, block").fetchall()
        connection.execute("DELETE FROM cell_blocks WHERE session = 2")
    assert lowmaf(two_drives, "rebuild") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"session 1: {len(drive(1))} samples give the kept cells",
        f"session 2: made anew from {len(drive(2))} samples",
    ]
    with closing(sqlite3.connect(two_drives)) as connection, connection:
        made = connection.execute("SELECT * FROM cell_blocks ORDER BY session, block").fetchall()
        assert made == blocks
        connection.execute("DELETE FROM sample_chunks WHERE session = 1")
    assert lowmaf(two_drives, "rebuild", "1") == 1
    assert "session 1: left as it is kept: 0 of" in capsys.readouterr().out
    assert lowmaf(two_drives, "rebuild", "7", "2") == 1
    said = capsys.readouterr()
    assert "there is no session 7" in said.err
    assert "session 2:" in said.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show", "3"), "there is no session 3; there are 1 to 2"),
        (("delete", "3"), "there is no session 3; there are 1 to 2"),
        (("export", "3"), "there is no session 3; there are 1 to 2"),
    ],
)
def test_what_cannot_be_done_says_why(
    two_drives: Path, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lowmaf(two_drives, *words) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("words", [("show", "0"), ("show", "x"), ("show", "99999999999"), ("lsit",), ()])
def test_wrong_usage_starts_nothing(
    path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        lowmaf(path, *words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not path.exists()


@pytest.mark.parametrize("action", ["list", "rebuild"])
def test_a_file_that_is_no_database_is_left_alone(
    path: Path, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lowmaf(path, action) == 1
    assert "there is no database" in capsys.readouterr().err
    path.write_text("not a database, but longer than a header of one hundred bytes would be " * 3)
    before = path.read_bytes()
    assert lowmaf(path, action) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_older_database_is_only_looked_at_once_it_was_brought_forward(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(SCHEMA_1, path)
    assert lowmaf(path, "list") == 1
    assert f"made by an older lowmaf (schema 1, this one is {VERSION})" in capsys.readouterr().err
    assert lowmaf(path, "name", "1", "first") == 0
    assert [session["name"] for session in listed(path, capsys)] == ["first", None]


# ---- beside a daemon


@asynccontextmanager
async def serving_daemon(path: Path) -> AsyncIterator[Kept]:
    async with kept(path) as car, serving(create_app(car.hub, version="0", sessions=car.sessions)) as url:
        car.store.announce(url)
        yield car


async def asked(path: Path, *words: str) -> int:
    """The command runs beside the daemon, as it would in a process of its own."""
    return await asyncio.to_thread(lowmaf, path, *words)


async def test_the_daemon_that_has_the_database_is_asked_and_takes_it_in_at_once(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving_daemon(path) as car:
        first = await car.driven(1)
        before = car.hub.snapshot()
        second = await car.driven(2)
        assert await asked(path, "list") == 0
        assert "ended" in capsys.readouterr().out
        assert await asked(path, "exclude", str(second)) == 0
        assert car.hub.snapshot().counts == before.counts
        assert await asked(path, "name", str(first), "to work") == 0
        assert "to work" in capsys.readouterr().out
        assert await asked(path, "rebuild") == 0
        assert "samples give the kept cells" in capsys.readouterr().out
        assert await asked(path, "delete", str(first)) == 0
        assert car.hub.snapshot().counts.seen == 0
        assert await asked(path, "delete", str(first)) == 1
        assert f"there is no session {first}" in capsys.readouterr().err
        going_on = car.begin(drive(1))
        await car.store.flush()
        assert await asked(path, "list") == 0
        assert "driving" in capsys.readouterr().out
        assert await asked(path, "exclude", str(going_on)) == 1
        assert "is the drive that goes on now" in capsys.readouterr().err
        assert await asked(path, "export", str(going_on)) == 0
        capsys.readouterr()
        assert await asked(path, "rebuild") == 0
        assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
            f"session {second}"
        ]


async def test_a_daemon_that_cannot_be_asked_is_said(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(path) as car:
        await car.driven(1)
        assert await asked(path, "delete", "1") == 1
        assert "in use by another lowmaf (process" in capsys.readouterr().err
        car.store.announce("http://127.0.0.1:9/")
        assert await asked(path, "delete", "1") == 1
        assert "does not answer at http://127.0.0.1:9/" in capsys.readouterr().err
        car.store.announce("gopher://car/")
        assert await asked(path, "delete", "1") == 1
        assert "does not say where it answers" in capsys.readouterr().err
        assert await car.sessions.numbers() == [1]

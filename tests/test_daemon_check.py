"""``lowmaf check``: sums up a sound configuration, refuses an unsound one, makes and opens nothing."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.cli import main


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    for name in list(os.environ):
        if name.startswith("LOWMAF_"):
            monkeypatch.delenv(name)

    def run(text: str) -> tuple[int, str, str]:
        path = tmp_path / "car.toml"
        path.write_text(text, encoding="utf-8")
        before = set(tmp_path.iterdir())
        status = main(["check", "--config", str(path)])
        assert set(tmp_path.iterdir()) == before, "a check makes no file"
        out, err = capsys.readouterr()
        return status, out, err.replace(f"{tmp_path}/", "")

    return run


def test_the_example_is_fine_as_it_stands(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(project / "config.example.toml")]) == 0
    out, err = capsys.readouterr()
    assert "config.example.toml is fine" in out
    assert "simulator" in out
    assert "http://127.0.0.1:8000" in out
    assert err == ""


def test_what_would_run_is_summed_up(check, tmp_path: Path) -> None:
    (tmp_path / "maf.csv").write_text("V,g/s\n1.0,2.5\n2.0,10\n3.0,40\n", encoding="utf-8")
    status, out, err = check(
        """
        [vehicle]
        name = "WRX"
        maf_table = "maf.csv"
        [source]
        driver = "ssm-can"
        channel = "vcan7"
        [filters]
        min_ect_c = "off"
        trim_limit_pct = "off"
        settle_s = 0
        [storage]
        keep_samples = false
        [web]
        host = "::1"
        """
    )
    assert (status, err) == (0, "")
    assert "WRX" in out
    assert "ssm-can, channel vcan7" in out
    assert "maf: 3 cells, 1.00 to 3.00 V, to 40 g/s" in out
    assert "none but closed loop" in out
    assert f"{tmp_path}/lowmaf.sqlite3 (new), cells only" in out
    assert "http://[::1]:8000" in out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[web]\nport = 'x'", 'lowmaf check: car.toml:2: [web] port = "x"'),
        ("[vehicle]\nmaf_table = 'none.csv'", "[vehicle] maf_table: none.csv: No such file or directory"),
        ("[vehicle]\nmaf_table = 'car.toml'", "lowmaf check: car.toml: "),
        ("[storage]\ndatabase = 'no/where.sqlite3'", "database: no/where.sqlite3: there is no folder"),
        ("[storage]\ndatabase = 'car.toml'", "[storage] database: car.toml: not a SQLite database"),
        ("[web]\nopenej_origins = ['*']", "[web] openej_origins: "),
        ("[storage]\ndatabase = '.'", ": not a file"),
        ("[", "lowmaf check: car.toml:1:2: not valid TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_the_exit_status_is_2(check, text: str, expected: str) -> None:
    status, out, err = check(text)
    assert status == 2
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1


def test_a_database_of_another_program_is_not_ours_and_an_unused_one_may_be(check, tmp_path: Path) -> None:
    others, unused = tmp_path / "others.sqlite3", tmp_path / "unused.sqlite3"
    for path, made in ((others, "CREATE TABLE notes (text TEXT)"), (unused, "VACUUM")):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(made)
    status, out, err = check("[storage]\ndatabase = 'others.sqlite3'")
    assert (status, out) == (2, "")
    assert "[storage] database: " in err
    assert "not a database of lowmaf (it is another program's); name another file" in err
    status, out, err = check("[storage]\ndatabase = 'unused.sqlite3'")
    assert (status, err) == (0, "")
    assert "unused.sqlite3 (new)" in out


def test_several_errors_take_a_line_each(check) -> None:
    status, _, err = check("[web]\nport = 'x'\nhost = 3\n[log]\nlevel = ''\n")
    assert status == 2
    assert err.splitlines()[0] == "lowmaf check: 3 errors in the configuration"
    assert [line.partition(": ")[0] for line in err.splitlines()[1:]] == [
        "car.toml:2",
        "car.toml:3",
        "car.toml:5",
    ]


def test_as_a_program_it_says_what_is_wrong_without_a_traceback(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "daemon", "check", "--config", str(tmp_path / "none.toml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"LOWMAF_WEB_PORT": "8001"},
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == f"lowmaf check: {tmp_path}/none.toml: no such file\n"


def test_a_second_source_is_told(check) -> None:
    status, out, _ = check(
        "[source]\ndriver = 'ssm-can'\n[[second_source]]\ncontroller = 'aem'\nport = '/dev/wb'\n"
    )
    assert status == 0
    assert "beside it  wideband aem on /dev/wb" in out

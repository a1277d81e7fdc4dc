"""Which logs a name, a pattern or a folder means."""

from __future__ import annotations

from pathlib import Path

import pytest
from replaying import runner

from daemon.errors import UsageError
from daemon.log_names import NamedLog, expanded, is_url, refuse_twice

LOGS = Path(__file__).resolve().parent / "recordings" / "logs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.csv", "deep/c.csv", ".hidden.csv", ".cache/d.csv", "odd[1].csv", "notes.txt"):
        path = tmp_path / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("logs/a.csv", ["logs/a.csv"]),
        ("logs", ["logs/a.csv", "logs/b.csv", "logs/deep/c.csv", "logs/notes.txt", "logs/odd[1].csv"]),
        ("logs/*.csv", ["logs/a.csv", "logs/b.csv", "logs/odd[1].csv"]),
        ("logs/**/*.csv", ["logs/a.csv", "logs/b.csv", "logs/deep/c.csv", "logs/odd[1].csv"]),
        ("logs/[ab].csv", ["logs/a.csv", "logs/b.csv"]),
        ("logs/odd[1].csv", ["logs/odd[1].csv"]),
        ("logs/.hidden.csv", ["logs/.hidden.csv"]),
        ("./logs/../logs/a.csv", ["./logs/../logs/a.csv"]),
        ("no/such.csv", ["no/such.csv"]),
        ("no/such*", ["no/such*"]),
        ("empty", ["empty"]),
        ("-", ["-"]),
        ("n" * 5000, ["n" * 5000]),
    ],
)
def test_a_name_stands_for_the_logs_that_it_means(folder: Path, name: str, meant: list[str]) -> None:
    assert [log.name for log in expanded([name], folder)] == meant
    absolute = [log.name for log in expanded([str(folder / name)], Path("/nowhere"))]
    assert absolute == [str(folder / log) for log in meant]


def test_sizes_are_told_where_they_are_known(folder: Path) -> None:
    assert expanded(["logs/a.csv", "missing"], folder) == [NamedLog("logs/a.csv", 5), NamedLog("missing")]


def test_a_url_of_this_machine_may_be_a_pattern_or_a_folder(folder: Path) -> None:
    base = (folder / "logs").as_uri()
    assert [log.name for log in expanded([f"{base}/[ab].csv"], folder)] == [f"{base}/a.csv", f"{base}/b.csv"]
    assert f"{base}/deep/c.csv" in [log.name for log in expanded([f"{base}/"], folder)]


@pytest.mark.parametrize(
    ("name", "url"), [("s3://bucket/x", True), ("zip::file://x", True), ("C:/x", False), ("a//b", False)]
)
def test_urls_are_told_from_names(name: str, url: bool) -> None:
    assert is_url(name) is url


def test_a_log_that_is_meant_twice_is_refused() -> None:
    refuse_twice(["a", "b"])
    with pytest.raises(UsageError, match="b is given twice: its samples would count double"):
        refuse_twice(["a", "b", "b"])


def test_folders_and_patterns_need_no_cluster(tmp_path, monkeypatch, capsysbinary) -> None:
    run = runner(capsysbinary)
    (tmp_path / "logs").mkdir()
    for name in ("tactrix.csv", "ecutek.csv", "vcds.csv"):
        (tmp_path / "logs" / name).write_bytes((LOGS / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert [log["name"] for log in run("logs", "--format", "json").json()["logs"]] == [
        "logs/ecutek.csv", "logs/tactrix.csv", "logs/vcds.csv"
    ]  # fmt: skip
    assert len(run("logs/*te*.csv", "--format", "json").json()["logs"]) == 1
    twice = run("logs", "logs/vcds.csv")
    assert (twice.status, twice.err) == (
        2, "lowmaf replay: logs/vcds.csv is given twice: its samples would count double\n"
    )  # fmt: skip
    (tmp_path / "logs" / "out.csv").write_text("kept")
    result = run("logs", "--output", "logs/out.csv")
    assert (result.status, "is one of the files that are read" in result.err) == (2, True)
    (tmp_path / "logs" / "notes.txt").write_text("no log")
    strict = run("logs", "--strict")
    assert strict.err.endswith("lowmaf replay: 2 of 5 logs could not be used\n")
    elsewhere = run("file:///logs/vcds.csv")
    assert elsewhere.status == 2
    assert "URLs are read by the workers of a cluster: --cluster ADDRESS" in elsewhere.err

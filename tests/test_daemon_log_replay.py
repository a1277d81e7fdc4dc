"""What becomes of each log of a replay: copies, logs that give nothing, hostile and odd names."""

from __future__ import annotations

import gzip
import io
import os
import pathlib
import sys

import pytest
from replaying import runner

LOGS = pathlib.Path(__file__).resolve().parent / "recordings" / "logs"


@pytest.fixture
def replay(capsysbinary):
    return runner(capsysbinary)


def test_a_bad_log_is_named_and_the_others_count(replay, tmp_path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("hello\n")
    result = replay(bad, LOGS / "ecutek.csv", "--format", "json")
    assert result.status == 0
    assert result.err == f"lowmaf replay: {bad}: no line names columns: the file begins with 'hello'\n"
    assert [log["rows"] for log in result.json()["logs"]] == [120]
    alone = replay(LOGS / "ecutek.csv", "--format", "json").json()
    assert result.json()["cells"] == alone["cells"]
    strict = replay(bad, LOGS / "ecutek.csv", "--strict")
    assert (strict.status, strict.out) == (1, "")
    assert "1 of 2 logs could not be used" in strict.err
    none = replay(bad, tmp_path / "absent.csv")
    assert (none.status, none.out) == (1, "")
    assert len(none.err.splitlines()) == 3


def test_the_same_log_given_again_is_named_and_counted_once(replay, tmp_path) -> None:
    log = tmp_path / "drive.csv"
    log.write_bytes((LOGS / "ecutek.csv").read_bytes())
    link, copy, packed, other = (
        tmp_path / name for name in ("link.csv", "copy.csv", "drive.csv.gz", "b.csv")
    )
    link.hardlink_to(log)
    copy.write_bytes(log.read_bytes().replace(b"\r\n", b"\n"))
    packed.write_bytes(gzip.compress(log.read_bytes()))
    other.write_bytes((LOGS / "romraider.csv").read_bytes())
    result = replay(log, link, copy, other, packed, "--format", "json", "--strict")
    assert result.status == 0
    assert result.err.splitlines() == [
        f"lowmaf replay: {again}: holds the same as {log}: counted once" for again in (link, copy, packed)
    ]
    document, once = result.json(), replay(log, other, "--format", "json").json()
    assert document["cells"] == once["cells"]
    assert document["samples"] == once["samples"]
    assert [summary["name"] for summary in document["logs"]] == [str(log), str(other)]


def test_logs_of_which_nothing_counts_say_so_and_fail(replay, tmp_path) -> None:
    text = (LOGS / "romraider.csv").read_text()
    names, first, *_ = text.splitlines(keepends=True)
    cold, opened, one = (tmp_path / name for name in ("cold.csv", "open.csv", "one.csv"))
    cold.write_text(text.replace(",85,", ",20,"))
    opened.write_text(text.replace(",8,85,", ",10,85,"))
    one.write_text(names + first)
    result = replay(cold, opened, one, "--format", "json")
    assert result.status == 1
    assert result.err.splitlines() == [
        f"lowmaf replay: {cold}: none of its 120 samples counted, 95 of them because: coolant is too cold",
        f"lowmaf replay: {opened}: none of its 120 samples counted: open loop: the trims say nothing",
        f"lowmaf replay: {one}: its only sample did not count: the loop has only just closed",
        "lowmaf replay: no sample counted: the table is empty",
    ]
    assert result.json()["samples"]["rejected"]["cold_engine"] == 95
    assert "romraider, utf-8, 1 row\n" in replay(one).out
    beside = replay(cold, LOGS / "ecutek.csv")
    assert beside.status == 0
    assert beside.err.startswith(f"lowmaf replay: {cold}: none of its 120 samples counted")
    strict = replay(cold, LOGS / "ecutek.csv", "--strict")
    assert (strict.status, strict.out) == (1, "")
    assert strict.err.endswith("1 of 2 logs could not be used\n")


def test_what_a_hostile_log_calls_itself_is_shown_and_not_obeyed(replay, tmp_path) -> None:
    text = (LOGS / "romraider.csv").read_text()
    log = tmp_path / "evil\x1b[31m\n\N{RIGHT-TO-LEFT OVERRIDE}.csv"
    log.write_text(text.replace("Learning #1 (%)", "Learning\x1b]0;x\x07 #1 (%)"))
    renamed = replay(log, "--columns", "ltft_pct=A/F Learning\x1b]0;x\x07 #1 (%)")
    refused = replay(log)
    assert (renamed.status, refused.status) == (0, 1)
    shown = "evil\\x1b[31m\\n\\u202e.csv: "
    assert shown + "romraider" in " ".join(renamed.out.split())
    assert shown + "no column for long-term fuel trim" in refused.err
    for output in (renamed.out, refused.err):
        assert "Learning\\x1b]0;x\\x07 #1" in " ".join(output.split())
        assert all(character.isprintable() or character == "\n" for character in output)


def test_a_name_that_is_no_text_is_shown_and_read(replay, tmp_path) -> None:
    log = os.fsencode(tmp_path) + b"/drive\xff.csv"
    pathlib.Path(os.fsdecode(log)).write_bytes((LOGS / "romraider.csv").read_bytes())
    document = replay(os.fsdecode(log), "--format", "json").json()
    assert document["logs"][0]["name"] == f"{tmp_path}/drive\\xff.csv"
    assert "drive\\xff.csv: romraider" in " ".join(replay(os.fsdecode(log)).out.split())


def test_numbers_and_their_units_stay_on_one_line_and_one_is_not_many(replay, tmp_path) -> None:
    log = tmp_path / f"{'long' * 8}.csv"
    names, *rows = (LOGS / "romraider.csv").read_text().splitlines()
    late = [f"{int(t) + 9000},{rest}" for t, rest in (row.split(",", 1) for row in rows[60:])]
    log.write_text("\n".join([names, *rows[:60], "broken,row", *late]))
    for length in range(30):
        shorter = log.rename(log.with_name(f"{'x' * length}.csv"))
        out = replay(shorter).out
        assert "121 rows" in out
        assert "1 gap in time" in " ".join(out.split())
        assert "left out  1 row: fewer fields than column names" in out
        log = shorter
    assert "lambda = A/F" in out
    assert "lambda_ =" not in out


def test_standard_input_and_packed_logs_are_read(replay, monkeypatch, tmp_path) -> None:
    plain = replay(LOGS / "ecutek.csv", "--format", "json").json()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((LOGS / "ecutek.csv").read_bytes())))
    piped = replay("-", "--format", "json").json()
    assert piped["logs"][0]["name"] == "stdin"
    packed = tmp_path / "drive.csv.gz"
    packed.write_bytes(gzip.compress((LOGS / "ecutek.csv").read_bytes()))
    assert plain["cells"] == piped["cells"] == replay(packed, "--format", "json").json()["cells"]

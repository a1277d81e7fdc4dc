"""``lowmaf replay`` from the command line: what it prints, writes, refuses and leaves alone."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
from replaying import runner

from daemon.cli import main
from daemon.output.progress import ProgressBar
from daemon.output.report import text_report
from drivers.logs.reader import LogReader
from lowmaf.document import table_document
from lowmaf.maf_table import default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch
from lowmaf.table_text import format_csv, parse_table

LOGS = pathlib.Path(__file__).resolve().parent / "recordings" / "logs"
TABLE_V = np.linspace(0.9, 3.0, 22)


def table_flow(volts: np.ndarray) -> np.ndarray:
    return 2.0 * volts**2.6


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("tables") / "stock.csv"
    path.write_text(format_csv(TABLE_V, table_flow(TABLE_V)))
    return path


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Twenty minutes in closed loop on a table that is 6 % too low below 1.7 V and right above."""
    random = np.random.default_rng(7)
    t_s = np.arange(0.0, 1200.0, 0.1)
    wander = np.interp(t_s, np.arange(0.0, 1220.0, 20.0), random.uniform(1.2, 2.2, 61))
    noise = np.interp(t_s, np.arange(0.0, 1204.0, 4.0), random.normal(0.0, 0.4, 301))
    short = np.interp(wander, [1.6, 1.8], [6.0, 0.0]) + noise
    names = "Time (msec),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL Fueling* (status),"
    names += "Coolant Temperature (C),Engine Speed (rpm),Mass Airflow Sensor Voltage (V)\n"
    rows = zip(t_s, short, wander, strict=True)
    text = "".join(f"{round(t * 1000)},{s:.3f},0,8,85,2000,{v:.4f}\n" for t, s, v in rows)
    path = tmp_path_factory.mktemp("logs") / "drive.csv"
    path.write_text(names + text)
    return path


@pytest.fixture
def replay(capsysbinary):
    return runner(capsysbinary)


def test_text_says_what_was_recognised_and_fits_a_terminal(replay, drive, stock, monkeypatch) -> None:
    monkeypatch.chdir(drive.parent)
    (drive.parent / "tactrix.csv").write_bytes((LOGS / "tactrix.csv").read_bytes())
    result = replay("drive.csv", "tactrix.csv", "--maf-table", stock)
    assert result.status == 0
    assert result.err == ""
    assert max(len(line) for line in result.out.splitlines()) <= 80
    for words in ("romraider, utf-8,", "12 000 rows", "tactrix", "IAT is read as °F", "measured",
                  "open loop: the trims say nothing", "held-out check",
                  "the filter min_ect_c is off"):  # fmt: skip
        assert words in " ".join(result.out.split()), words
    cells = [line for line in result.out.splitlines() if line.strip()[:5].replace(".", "").isdigit()]
    assert len(cells) >= TABLE_V.size


def test_json_is_the_documented_table(replay, drive, stock) -> None:
    document = replay(drive, LOGS / "ecutek.csv", "--maf-table", stock, "--format", "json").json()
    assert document["format"] == "lowmaf.table/1"
    samples = document["samples"]
    assert samples["seen"] == samples["accepted"] + sum(samples["rejected"].values()) == 12_120
    assert samples["pending"] == 0
    assert [log["rows"] for log in document["logs"]] == [12_000, 120]
    assert [log["format"] for log in document["logs"]] == ["romraider", "ecutek"]
    assert {"maf_v", "flow_gs", "correction_pct", "stderr_pct", "ci95_pct", "hits", "effective_hits", "state",
            "proposed_gs"} <= set(document["cells"][0])  # fmt: skip
    low = next(cell for cell in document["cells"] if cell["maf_v"] == pytest.approx(1.4))
    assert low["correction_pct"] == pytest.approx(6.0, abs=0.7)


def test_several_logs_give_what_the_core_gives_for_them_one_after_another(replay, drive, stock) -> None:
    paths = (drive, LOGS / "romraider.csv")
    document = replay(*paths, "--maf-table", stock, "--format", "json").json()
    pipeline = Pipeline(parse_table(stock.read_text(), "stock"))
    for number, path in enumerate(paths, start=1):
        pipeline.begin(number)
        batch = SampleBatch.concatenate(LogReader(path).batches())
        for start in range(0, len(batch), 997):
            pipeline.feed(batch.slice(start, min(start + 997, len(batch))))
        pipeline.finish()
    expected = table_document(pipeline.snapshot(pipeline.held_out()))
    assert document["cells"] == expected["cells"]
    assert document["held_out"] == expected["held_out"]


def test_csv_has_a_line_per_cell_and_reads_back_as_the_table(replay, drive, stock) -> None:
    result = replay(drive, "--maf-table", stock, "--format", "csv")
    assert len(result.out.splitlines()) == TABLE_V.size + 1
    np.testing.assert_array_equal(parse_table(result.out, "again").maf_v, TABLE_V)


def test_romraider_text_is_given_when_the_checks_pass(replay, drive, stock) -> None:
    result = replay(drive, "--maf-table", stock, "--format", "romraider")
    assert (result.status, result.err) == (0, "")
    table = parse_table(result.out, "new")
    np.testing.assert_array_equal(table.maf_v, TABLE_V)
    assert table.flow_gs is not None
    assert (np.diff(table.flow_gs) > 0).all()
    change = 100.0 * (table.flow_gs / table_flow(TABLE_V) - 1.0)
    assert change[5] == pytest.approx(6.0, abs=0.7)
    assert change[-1] == 0.0
    selection = replay(drive, "--maf-table", stock, "--format", "romraider-selection").out
    cells = selection.removeprefix("[Selection1D]\n").split("\t")
    assert len(cells) == TABLE_V.size
    assert cells[0] == cells[-1] == "x"
    assert float(cells[5]) == table.flow_gs[5]
    german = replay(drive, "--maf-table", stock, "--format", "romraider", "--decimal-comma").out
    assert german == result.out.replace(".", ",")


def test_romraider_text_is_refused_with_reasons_while_checks_do_not_pass(replay, stock) -> None:
    asked = (LOGS / "romraider.csv", "--maf-table", stock, "--format")
    for form in ("romraider", "romraider-selection"):
        result = replay(*asked, form)
        assert (result.status, result.out) == (1, "")
        assert "no table to flash: " in result.err
        assert "--unchecked" in result.err
    unchecked = replay(*asked, "romraider", "--unchecked")
    assert unchecked.status == 0
    assert unchecked.out.startswith("[Table2D]\n0.9\t")
    assert replay(*asked, "romraider", "--unchecked", "--estimator", "nearest").status == 0


def test_romraider_text_needs_a_table_with_flow(replay, drive) -> None:
    result = replay(drive, "--format", "romraider", "--unchecked")
    assert (result.status, result.out) == (1, "")
    assert "needs --maf-table" in result.err


def test_g_per_s_without_volts_needs_a_table(replay, stock) -> None:
    result = replay(LOGS / "btssm.csv")
    assert result.status == 1
    assert "needs --maf-table" in result.err
    document = replay(
        LOGS / "btssm.csv", "--maf-table", stock, "--format", "json", "--filters", "none"
    ).json()
    assert document["samples"]["accepted"] > 0
    assert any(warning["code"] == "voltage_from_flow" for warning in document["warnings"])


def test_a_log_behind_options_that_take_many_values_is_missed_in_words(replay) -> None:
    result = replay("--filters", "min_ect_c=60", LOGS / "ecutek.csv")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("lowmaf replay: a LOG is needed, before --filters and --columns")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--filters", "min_ect=60"], "min_ect_c"),
        (["--filters", "none", "min_ect_c=60"], "KEY=VALUE"),
        (["--filters", "settle_s=1", "--filters", "settle_s=2"], "given twice: settle_s=1 and settle_s=2"),
        (["--columns", "maf_v"], "'maf_v' is not ROLE=HEADER"),
        (["--columns", "maf_v=A", "--columns", "maf_v=B"], "maf_v is given twice: maf_v=A and maf_v=B"),
        (["--columns", "lambda_=A"], "no role 'lambda_'; roles are time"),
        (["--output", ""], "--output: the name of a file is needed"),
        (["--maf-table", ""], "--maf-table: the name of a file is needed"),
        ([""], "LOG: the name of a file is needed"),
        (["--columns", "volts=MAF"], "no role 'volts'"),
        (["--maf-table", "/nonexistent/table.csv"], "No such file"),
        (["--maf-table", LOGS / "ecutek.csv"], "--maf-table"),
        (["--estimator", "magic"], "magic"),
        (["--format", "pdf"], "pdf"),
        ([LOGS / "ecutek.csv"], "is given twice: its samples would count double"),
        ([LOGS / ".." / "logs" / "ecutek.csv"], "is given twice"),
        (["--output", LOGS / "ecutek.csv"], "is one of the files that are read or written"),
    ],
)
def test_wrong_usage_leaves_with_2_and_one_line(replay, arguments, words: str) -> None:
    path = LOGS / "ecutek.csv"
    before = hashlib.sha256(path.read_bytes()).digest()
    result = replay(path, *arguments)
    assert (result.status, result.out) == (2, "")
    assert words in result.err
    assert len(result.err.splitlines()) == 1
    assert hashlib.sha256(path.read_bytes()).digest() == before


def test_filters_and_columns_reach_the_core(replay) -> None:
    log = LOGS / "ecutek.csv"
    assert replay(log, "--format", "json").json()["samples"]["rejected"]["cold_engine"] == 0
    asked = ("--filters", "min_ect_c=95", "--filters", "settle_s=0")
    cold = replay(log, "--format", "json", *asked).json()["samples"]
    assert cold["accepted"] == 0
    assert cold["rejected"]["cold_engine"] > 0
    document = replay(log, "--columns", "maf_v=Engine Speed (RPM)", "--format", "json").json()
    assert document["samples"]["accepted"] == 0
    assert "--require-flag" in replay(LOGS / "cobb_no_flag.csv", "--require-flag").err


def test_output_is_written_whole_or_not_at_all(replay, drive, stock, tmp_path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")
    failed = replay(LOGS / "romraider.csv", "--format", "romraider", "--output", target)
    assert failed.status == 1
    assert target.read_text() == "old"
    written = replay(drive, "--maf-table", stock, "--format", "json", "--output", target)
    assert (written.status, written.out) == (0, "")
    assert json.loads(target.read_text("utf-8"))["logs"][0]["rows"] == 12_000
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_picture_is_written_beside_the_table(replay, drive, stock, tmp_path) -> None:
    target = tmp_path / "table.svg"
    result = replay(drive, "--maf-table", stock, "--plot", target, "--format", "json")
    assert (result.status, result.err) == (0, "")
    assert result.json()["format"] == "lowmaf.table/1"
    assert target.read_text("utf-8").startswith("<svg ")
    same = replay(drive, "--plot", target, "--output", target)
    assert same.status == 2
    assert replay(drive, "--plot", drive).status == 2
    assert replay(drive, "--plot", tmp_path / "table.pdf").status == 2
    assert [path.name for path in tmp_path.iterdir()] == ["table.svg"]


def test_an_output_that_cannot_be_written_is_one_line(replay, tmp_path) -> None:
    absent = tmp_path / "absent"
    for option, target, why in (
        ("--output", tmp_path, "this is a folder, not a file"),
        ("--output", absent / "result.txt", f"there is no folder {absent}"),
        ("--plot", absent / "table.svg", f"there is no folder {absent}"),
    ):
        result = replay("-", option, target)
        assert (result.status, result.out) == (1, ""), "before anything is read"
        assert result.err == f"lowmaf replay: {option} {target}: {why}\n"
    full = replay(LOGS / "ecutek.csv", "--output", "/dev/full")
    assert (full.status, full.out) == (1, "")
    assert full.err == "lowmaf replay: --output /dev/full: No space left on device\n"
    assert list(tmp_path.iterdir()) == []


def test_replay_starts_without_the_parts_that_it_does_not_need() -> None:
    code = (
        "import sys, daemon.commands.replay; "
        "print(*sorted({name.split('.')[0] for name in sys.modules} & "
        "{'fastapi', 'starlette', 'pydantic', 'uvicorn', 'can', 'serial', 'msgspec', 'aiosqlite', "
        "'asyncio'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == ""


def test_what_is_no_file_is_written_to_and_stays_what_it_is(drive, stock, tmp_path) -> None:
    pipe, file, link = tmp_path / "pipe", tmp_path / "file.json", tmp_path / "link.json"
    os.mkfifo(pipe)
    link.symlink_to(file)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for target in (pipe, link):
            assert main(["replay", str(drive), "--format", "romraider-selection", "--unchecked",
                         "--maf-table", str(stock), "--output", str(target)]) == 0  # fmt: skip
        assert os.read(reader, 12) == b"[Selection1D"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert file.read_text().startswith("[Selection1D]")


def test_an_interrupt_ends_cleanly_and_leaves_nothing_behind(drive, tmp_path) -> None:
    """Ctrl-C in the middle of a log without end: one line at most, no file, no traceback."""
    command = [sys.executable, "-m", "daemon", "replay", "-", "--output", str(tmp_path / "result.txt")]
    project = pathlib.Path(__file__).resolve().parents[1]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=project,
        # Whoever runs the tests in the background has interrupts ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdin is not None
        head, _, rows = drive.read_bytes().partition(b"\n")
        process.stdin.write(head + b"\n" + rows[:2_000_000])
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        process.stdin.close()
        process.stdin = None
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_stops_early_is_no_failure() -> None:
    command = f"{sys.executable} -m daemon replay {LOGS / 'ecutek.csv'} --format json | head -c 10"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False, timeout=60,
        cwd=pathlib.Path(__file__).resolve().parents[1],
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("{")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_progress_bar_shows_rate_and_remaining_time_on_a_terminal_only() -> None:
    now_s = [100.0]
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        now_s[0] = 100.0
        bar = ProgressBar(stream, 2, lambda: now_s[0])
        bar.show("early.csv", 1, 100)
        now_s[0] += 0.05
        bar.show("too soon.csv", 2, 100)
        now_s[0] += 29.95
        bar.show("a\x1b[2J.csv", 60_000_000, 120_000_000)
        bar.next_log()
        now_s[0] += 2.0
        bar.show("-", 5_000_000, None)
        bar.clear()
    assert pipe.getvalue() == ""
    shown = terminal.getvalue()
    assert "] 25 %, 2 MB/s, 1:30 left  a[2J.csv" in shown.replace("]  25", "] 25")
    assert "5.0 MB, 2 MB/s" in shown
    assert "too soon" not in shown
    assert max(len(line) for line in shown.split("\r\x1b[K")) <= 80
    assert shown.endswith("\r\x1b[K")


def test_a_report_of_nothing_is_still_a_report() -> None:
    document = table_document(Pipeline(default_axis()).snapshot())
    text = text_report(document, ["no cell is measured yet"])
    assert "0 seen, 0 counted" in text
    assert "not to flash yet: no cell is measured yet" in text
    assert text.count("empty") == 48

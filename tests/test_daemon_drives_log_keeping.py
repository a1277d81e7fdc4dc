"""``lowmaf replay --database``: logs become drives in the store, each once, whole or not at all."""

from __future__ import annotations

import asyncio
import io
import json
import pathlib
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from daemon.cli import main
from daemon.drives.earlier_drives import carry_on
from daemon.store.records import ClosedHow, SessionStart
from daemon.store.store import Store
from lowmaf.cells import block_to_bytes
from lowmaf.document import table_document
from lowmaf.maf_table import MafTable
from lowmaf.pipeline import Pipeline
from lowmaf.table_text import format_csv

LOGS = pathlib.Path(__file__).resolve().parent / "recordings" / "logs"
PROJECT = pathlib.Path(__file__).resolve().parents[1]
VOLTS = np.linspace(0.9, 3.0, 22)
STOCK = MafTable("stock", VOLTS, 2.0 * VOLTS**2.6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A MAF table and two drives, one of them with coarse volts and finer g/s."""
    folder = tmp_path_factory.mktemp("drives")
    assert STOCK.flow_gs is not None
    (folder / "stock.csv").write_text(format_csv(VOLTS, STOCK.flow_gs))
    names = "Time (msec),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL Fueling* (status),"
    names += (
        "Engine Speed (rpm),Throttle Opening Angle (%),Mass Airflow Sensor Voltage (V),Mass Airflow (g/s)\n"
    )
    for seed, name, digits in ((3, "first.csv", 4), (4, "second.csv", 2)):
        random = np.random.default_rng(seed)
        t_s = np.arange(0.0, 900.0, 0.1)
        volts = np.interp(t_s, np.arange(0.0, 920.0, 20.0), random.uniform(1.2, 2.2, 46))
        if digits == 2:
            volts = np.round(volts / 0.02) * 0.02
        noise = np.interp(t_s, np.arange(0.0, 904.0, 4.0), random.normal(0.0, 0.4, 226))
        short = np.interp(volts, [1.6, 1.8], [6.0, 0.0]) + noise
        flow = STOCK.flow_at(volts + random.uniform(-0.01, 0.01, t_s.size) * (digits == 2))
        loop = np.where((t_s % 300.0) < 280.0, 8, 10)
        rows = zip(t_s, short, loop, volts, flow, strict=True)
        text = (
            f"{round(t * 1000)},{s:.3f},-1.5,{c},2000,12,{v:.{digits}f},{g:.2f}\n" for t, s, c, v, g in rows
        )
        (folder / name).write_text(names + "".join(text))
    return folder


@pytest.fixture
def run(capsysbinary):
    def replay(*arguments: object) -> tuple[int, str, list[str]]:
        try:
            status = main(["replay", *map(str, arguments)])
        except SystemExit as left:
            status = int(left.code or 0)
        out, err = capsysbinary.readouterr()
        return status, out.decode(), err.decode().splitlines()

    return replay


def stored(database: pathlib.Path, look):
    """What ``look``, an async function of the open store, returns."""

    async def opened():
        async with await Store.open(database) as store:
            return await look(store)

    return asyncio.run(opened())


async def restored_cells(store: Store):
    """The table that the daemon would begin with."""
    table = store.current_table()
    assert table is not None
    pipeline = Pipeline(table, follow_changes=True)
    await carry_on(pipeline, store)
    document = table_document(pipeline.snapshot(pipeline.held_out()))
    return json.loads(json.dumps([document[key] for key in ("cells", "samples", "held_out", "lag_s")]))


async def sessions(store: Store):
    return await store.sessions()


def test_the_daemon_begins_with_the_table_of_the_replay_bit_for_bit(run, folder, tmp_path) -> None:
    database = tmp_path / "car.db"
    logs = [folder / "first.csv", folder / "second.csv"]
    status, out, err = run(
        *logs, "--maf-table", folder / "stock.csv", "--format", "json", "--database", database
    )
    assert status == 0
    assert err == [f"lowmaf replay: kept in {database}: {logs[0]} as session 1, {logs[1]} as session 2"]
    document = json.loads(out)
    assert document["samples"]["accepted"] > 10_000
    assert any("refined within its steps" in words for words in document["logs"][1]["inferred"])
    assert stored(database, restored_cells) == [
        document[key] for key in ("cells", "samples", "held_out", "lag_s")
    ]
    alone = run(*logs, "--maf-table", folder / "stock.csv", "--format", "json")
    assert json.loads(alone[1])["cells"] == document["cells"]


def test_the_cells_can_be_made_anew_from_the_kept_samples(run, folder, tmp_path) -> None:
    database = tmp_path / "car.db"
    run(folder / "second.csv", "--maf-table", folder / "stock.csv", "--database", database)

    async def look(store: Store) -> None:
        table = store.current_table()
        assert table is not None
        anew = Pipeline(table)
        anew.begin(1)
        async for batch in store.samples(1):
            assert {"throttle_pct", "rpm", "maf_gs"} <= batch.delivered
            anew.feed(batch)
        anew.finish()
        blocks = {
            key.block: block_to_bytes(table.cells, sums) for key, sums in anew.take_changed_blocks().items()
        }
        assert len(blocks) > 10
        assert blocks == await store.blocks(1)
        assert {label: n for label, n in anew.verdict_counts().items() if n} == await store.counts(1)

    stored(database, look)


def test_a_kept_log_is_a_drive_like_any_other(run, folder, tmp_path) -> None:
    database = tmp_path / "car.db"
    run(folder / "first.csv", "--filters", "settle_s=3", "--database", database)
    (drive,) = stored(database, sessions)
    assert (drive.driver, drive.name, drive.included) == ("replay", "first.csv", True)
    assert (drive.closed_how, drive.samples, drive.epoch) == (ClosedHow.CLOSED, 9000, 1)
    assert drive.duration_s == pytest.approx(899.9)
    assert drive.settings["filters"]["settle_s"] == 3.0
    assert drive.settings["log"]["name"] == str(folder / "first.csv")
    with sqlite3.connect(database) as connection:
        minutes = connection.execute("SELECT minute, counts FROM verdict_minutes ORDER BY minute").fetchall()
    assert [minute for minute, _ in minutes] == list(range(15))
    assert sum(sum(json.loads(counts).values()) for _, counts in minutes) == 9000


def test_a_log_that_is_there_is_not_kept_again_whatever_its_name(run, folder, tmp_path, monkeypatch) -> None:
    database, copy = tmp_path / "car.db", tmp_path / "copy.csv"
    first = run(folder / "first.csv", "--format", "json", "--database", database)
    copy.write_bytes((folder / "first.csv").read_bytes().replace(b"\n", b"\r\n"))
    before = stored(database, restored_cells)
    again = run(copy, "--format", "json", "--database", database)
    assert again[0] == 0
    assert again[2] == [f"lowmaf replay: {copy}: already in {database} as session 1: not kept again"]
    assert json.loads(again[1])["cells"] == json.loads(first[1])["cells"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(copy.read_bytes())))
    assert "stdin: already in" in run("-", "--database", database)[2][0]
    assert stored(database, restored_cells) == before
    both = run(copy, folder / "second.csv", "--database", database)
    assert both[2][0].startswith(f"lowmaf replay: {copy}: already in")
    assert both[2][1].endswith("second.csv as session 2")
    assert [drive.id for drive in stored(database, sessions)] == [1, 2]


def test_the_table_of_the_database_is_taken_and_no_other_allowed(run, folder, tmp_path) -> None:
    database, other = tmp_path / "car.db", tmp_path / "other.csv"
    run(folder / "first.csv", "--maf-table", folder / "stock.csv", "--database", database)
    document = json.loads(run(folder / "second.csv", "--format", "json", "--database", database)[1])
    assert document["maf_table"] == {"name": "stock", "revision": 1}
    other.write_text(format_csv(VOLTS, 1.1 * STOCK.flow_at(VOLTS)))
    status, out, (line,) = run(folder / "second.csv", "--maf-table", other, "--database", database)
    assert (status, out) == (2, "")
    assert f"other is none of the MAF tables in {database} (there now is stock, revision 1)" in line

    async def flash(store: Store) -> None:
        await store.put_table(MafTable("flashed", VOLTS, 1.1 * STOCK.flow_at(VOLTS)))

    stored(database, flash)
    earlier = ("--maf-table", folder / "stock.csv", "--format", "json", "--database", database)
    assert json.loads(run(folder / "first.csv", *earlier)[1])["maf_table"]["revision"] == 1
    newest = run(folder / "first.csv", "--format", "json", "--database", database)
    assert json.loads(newest[1])["maf_table"] == {"name": "flashed", "revision": 2}


def test_a_database_of_others_and_one_in_use_are_refused_before_anything_is_read(
    run, folder, tmp_path
) -> None:
    note, foreign = tmp_path / "note.txt", tmp_path / "foreign.db"
    note.write_text("not a database, but mine\n" * 10)
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for database, words in (
        (note, "not a SQLite database"),
        (foreign, "not a database of lowmaf"),
        (tmp_path / "absent" / "car.db", "there is no folder"),
        (tmp_path, "not a file"),
    ):
        status, out, (line,) = run(folder / "first.csv", "--database", database)
        assert (status, out) == (1, "")
        assert words in line
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    with asyncio.Runner() as runner:
        store = runner.run(Store.open(tmp_path / "car.db"))
        status, out, (line,) = run(folder / "first.csv", "--database", tmp_path / "car.db")
        runner.run(store.close())
    assert (tmp_path / "car.db").exists()
    assert (status, out) == (1, "")
    assert "in use by another lowmaf" in line
    assert run(folder / "first.csv", "--database", folder / "first.csv")[0] == 2


def test_what_fails_leaves_nothing_in_the_database_and_no_new_one(run, folder, tmp_path) -> None:
    database, bad, cold = tmp_path / "car.db", tmp_path / "bad.csv", tmp_path / "open.csv"
    bad.write_text("hello\n")
    cold.write_text((folder / "first.csv").read_text().replace(",8,2000,", ",10,2000,"))
    for arguments in ([bad], [cold], [folder / "first.csv", bad, "--strict"]):
        assert run(*arguments, "--database", database)[0] == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "open.csv"]
    run(folder / "first.csv", "--database", database)
    before = stored(database, restored_cells)
    assert run(folder / "second.csv", bad, "--strict", "--database", database)[0] == 1
    assert run(folder / "second.csv", cold, bad, "--database", database)[0] == 0
    assert [drive.name for drive in stored(database, sessions)] == ["first.csv", "second.csv"]
    assert stored(database, restored_cells) != before
    with sqlite3.connect(database) as connection:
        kept = {row[0] for row in connection.execute("SELECT DISTINCT session FROM sample_chunks")}
    assert kept == {drive.id for drive in stored(database, sessions)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_the_database_as_it_was(folder, tmp_path, number: signal.Signals) -> None:
    """The log comes through a pipe as long as the interrupt is awaited, so it is never read to its end."""
    database = tmp_path / "car.db"
    command = [sys.executable, "-m", "daemon", "replay", str(folder / "first.csv"), "-"]
    with subprocess.Popen(
        [*command, "--database", str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=PROJECT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        deadline = time.monotonic() + 30.0
        while not database.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_is_ignored_stays_ignored(run, folder, tmp_path, number: signal.Signals) -> None:
    """As under nohup, or in the background of a script. Every commit raises it here."""
    flush = Store.flush

    async def interrupted(store: Store) -> None:
        signal.raise_signal(number)
        await flush(store)

    before = signal.signal(number, signal.SIG_IGN)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Store, "flush", interrupted)
            status, _, err = run(folder / "first.csv", "--database", tmp_path / "car.db")
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
    assert status == 0
    assert err[-1].endswith("first.csv as session 1")


def test_an_interrupt_between_commits_undoes_what_was_kept(run, folder, tmp_path) -> None:
    database = tmp_path / "car.db"
    run(folder / "first.csv", "--database", database)
    before, flush, flushed = stored(database, restored_cells), Store.flush, []

    async def interrupted(store: Store) -> None:
        await flush(store)
        flushed.append(len(await store.sessions()))
        if len(flushed) == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Store, "flush", interrupted)
        status, out, _ = run(folder / "second.csv", "--database", database)
    assert (status, out) == (130, "")
    assert flushed[0] == 2, "it was there when the interrupt came"
    assert [drive.name for drive in stored(database, sessions)] == ["first.csv"]
    assert stored(database, restored_cells) == before


def test_a_log_whose_keeping_was_killed_is_kept_anew(run, folder, tmp_path) -> None:
    database = tmp_path / "car.db"
    run(folder / "first.csv", "--database", database)
    (drive,) = stored(database, sessions)

    async def begin(store: Store) -> None:
        start = SessionStart(
            driver="replay", maf_table_revision=1, epoch=1, estimator="curve", settings=drive.settings
        )
        session = await store.begin_session(start)
        store.write("UPDATE sessions SET included = 0 WHERE id = ?", session)
        store.write("DELETE FROM sessions WHERE id = 1")
        await store.flush()

    stored(database, begin)
    (left,) = stored(database, sessions)
    assert (left.closed_how, left.included) == (ClosedHow.CLOSED_INCORRECT, False)
    run(folder / "first.csv", "--database", database)
    (again,) = stored(database, sessions)
    assert (again.id, again.closed_how, again.included) == (3, ClosedHow.CLOSED, True)

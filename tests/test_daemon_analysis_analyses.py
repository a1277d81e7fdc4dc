"""Analyses end to end: real logs in real worker processes, their states, cancelling, limits, restarts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import log_samples
import pytest
from analysis_benches import Bench, analysing
from fakes import realistic_table

from daemon.analysis import analyses as analyses_module
from daemon.analysis.settings import AnalysisSettings
from daemon.analysis.worker_process import WorkerProcess
from daemon.log_replay import KeepNothing, Log, Reading, replay
from daemon.store.records import StoreError
from lowmaf.document import table_document
from lowmaf.filters import Filters
from lowmaf.pipeline import Pipeline


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with analysing(tmp_path / "car.sqlite3") as bench:
        yield bench


def long_log(rows: int = 150_000) -> bytes:
    """Takes a worker some tenths of a second."""
    line = "{},1.5,-1.5,8,85,1500,{}\n"
    names = (
        "Time (msec),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL Fueling* (status),"
        "Coolant Temperature (C),Engine Speed (rpm),Mass Airflow Sensor Voltage (V)\n"
    )
    return (names + "".join(line.format(50 * i, 1.5 + 0.001 * (i * 7 % 900)) for i in range(rows))).encode()


def table_by_hand(log: bytes, folder: Path, estimator: str, filters: Filters) -> dict[str, Any]:
    """The table that the same log gives without the service."""
    path = folder / "by_hand.csv"
    path.write_bytes(log)
    pipeline = Pipeline(realistic_table(), estimator=estimator, filters=filters)
    replayed = replay([Log("drive.csv", path)], pipeline, Reading({}), KeepNothing())
    document = table_document(replayed.snapshot, logs=[log.as_json() for log in replayed.summaries])
    return dict(json.loads(json.dumps(document)))


async def test_every_run_of_a_request_gives_the_table_that_replay_gives(bench: Bench, tmp_path: Path) -> None:
    log = log_samples.romraider()
    log_id = await bench.upload(log)
    runs = await bench.ask(
        [log_id],
        {"estimator": "curve"},
        {"estimator": "nearest", "filters": "none"},
        {"filters": {"min_ect_c": 90, "max_rpm": None}},
    )
    expected = [
        table_by_hand(log, tmp_path, "curve", Filters()),
        table_by_hand(log, tmp_path, "nearest", Filters.none()),
        table_by_hand(log, tmp_path, "curve", Filters(min_ect_c=90.0)),
    ]
    for run, table in zip(runs, expected, strict=True):
        found = await bench.until(run, "completed")
        assert found["error"] is None
        assert found["progress"] == 1.0
        assert found["push"] == {"state": "none", "attempts": 0, "error": None}
        found["table"]["maf_table"] = table["maf_table"]
        assert found["table"] == table
    assert found["logs"] == [{"id": log_id, "name": "drive.csv"}]
    assert found["filters"]["min_ect_c"] == 90.0
    assert expected[2]["samples"]["accepted"] == 0, "and yet the run completes, and says so:"
    assert "none of its" in found["notes"][0]


async def test_several_logs_make_one_table_and_one_that_is_given_again_counts_once(bench: Bench) -> None:
    first = await bench.upload(log_samples.romraider(), "a.csv")
    second = await bench.upload(log_samples.ecutek(), "b.csv")
    again = await bench.upload(log_samples.romraider(), "c.csv")
    (both,) = await bench.ask([first, second, again])
    found = await bench.until(both, "completed")
    assert [log["name"] for log in found["table"]["logs"]] == ["a.csv", "b.csv"]
    assert found["notes"] == ["c.csv: holds the same as a.csv: counted once"]


async def test_interim_tables_and_progress_are_told_while_a_run_goes_on(bench: Bench) -> None:
    (run,) = await bench.ask([await bench.upload(long_log())])
    seen = []
    async with asyncio.timeout(60.0):
        async with bench.client.stream("GET", f"/api/v1/analyses/{run}/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            text = (await answer.aread()).decode()  # in process the stream is read when it has ended
    for event in text.split("\n\n"):
        if "data: " in event:
            assert "event: analysis" in event
            seen.append(json.loads(event.partition("data: ")[2]))
    assert seen[-1]["status"] == "completed"
    assert seen[-1]["table"]["samples"]["seen"] == 150_000
    interim = [event for event in seen if event["status"] == "processing" and event["table"]]
    assert interim, "it is told how a run goes"
    progress = [event["progress"] for event in interim]
    assert progress == sorted(progress)
    assert 0.0 < progress[0] < 1.0
    counts = [event["table"]["samples"]["seen"] for event in interim]
    assert counts == sorted(counts)
    assert 0 < counts[0] < 150_000


async def test_cancelling_a_run_that_waits_and_one_that_goes_on(bench: Bench) -> None:
    log = await bench.upload(long_log())
    going, waiting = await bench.ask([log], {}, {})
    await bench.until(going, "processing")
    refused = await bench.client.delete(f"/api/v1/logs/{log}")
    assert refused.status_code == 409
    assert going in refused.json()["error"]["detail"]["analyses"]
    for run in (waiting, going):
        answer = await bench.client.delete(f"/api/v1/analyses/{run}")
        assert answer.status_code == 200
        assert answer.json()["status"] == "cancelled"
        assert answer.json()["table"] is None
        again = await bench.client.delete(f"/api/v1/analyses/{run}")
        assert (again.status_code, again.json()["status"]) == (200, "cancelled")
    (after,) = await bench.ask([await bench.upload()])
    assert (await bench.until(after, "completed"))["error"] is None, "the next one has a process again"
    ended = await bench.client.delete(f"/api/v1/analyses/{after}")
    assert (ended.status_code, ended.json()["error"]["code"]) == (409, "analysis_ended")
    assert (await bench.client.delete(f"/api/v1/logs/{log}")).status_code == 204


async def test_a_process_that_is_killed_costs_its_run_and_no_other(bench: Bench) -> None:
    doomed, next_one = await bench.ask([await bench.upload(long_log())], {}, {"filters": "none"})
    await bench.until(doomed, "processing")
    for pid in children_at_work():
        os.kill(pid, signal.SIGKILL)
    found = await bench.until(doomed, "failed")
    assert found["error"] == "the process that worked on it was ended by SIGKILL"
    assert (await bench.until(next_one, "completed"))["error"] is None


def children_at_work() -> Iterator[int]:
    """Processes of ours that analyse."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"daemon.analysis.worker" in command and parent == os.getpid():
            yield int(folder.name)


async def test_workers_are_of_least_priority_and_bounded(bench: Bench) -> None:
    await bench.until(*await bench.ask([await bench.upload()]), status="completed")
    found = list(children_at_work())
    assert len(found) == 2, "one that analyses and one that recognises"
    for pid in found:
        assert os.getpriority(os.PRIO_PROCESS, pid) == 19
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert "Max address space         1000000000           1000000000" in limits


async def test_a_run_that_takes_too_long_or_too_much_memory_fails(tmp_path: Path) -> None:
    settings = AnalysisSettings(limit_s=0.3)
    async with analysing(tmp_path / "car.sqlite3", settings) as bench:
        (run,) = await bench.ask([await bench.upload(long_log())])
        found = await bench.until(run, "failed")
        assert found["error"] == "it took longer than the 0.3 s allowed"


async def test_a_full_queue_answers_429_and_says_when_to_ask_again(tmp_path: Path) -> None:
    async with analysing(tmp_path / "car.sqlite3", AnalysisSettings(max_waiting=4)) as bench:
        log = await bench.upload(long_log())
        runs = await bench.ask([log], {}, {}, {})
        refused = await bench.client.post("/api/v1/analyses", json={"logs": [log], "runs": [{}, {}]})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "queue_full"
        assert refused.json()["error"]["detail"] == {"waiting": 3, "limit": 4}
        runs += await bench.ask([log], {})
        for run in runs:
            assert (await bench.client.delete(f"/api/v1/analyses/{run}")).status_code == 200
        assert len(await bench.ask([log], {}, {}, {}, {})) == 4


async def test_a_restart_carries_on(tmp_path: Path) -> None:
    database = tmp_path / "car.sqlite3"
    async with analysing(database) as bench:
        done = await bench.ask([await bench.upload()])
        table = (await bench.until(*done, "completed"))["table"]
        log = await bench.upload(long_log(), "long.csv")
        cut_off, waiting = await bench.ask([log], {}, {"estimator": "nearest"})
        await bench.until(cut_off, "processing")
    async with analysing(database) as bench:
        assert (await bench.look(*done))["table"] == table
        for run in (cut_off, waiting):
            found = await bench.until(run, "completed")
            assert found["table"]["samples"]["seen"] == 150_000
            assert found["logs"] == [{"id": log, "name": "long.csv"}]


async def test_lists_by_status_and_webhook(tmp_path: Path) -> None:
    async with analysing(tmp_path / "car.sqlite3") as bench:
        log = await bench.upload()
        first, second = await bench.ask([log], {}, {})
        for run in (first, second):
            await bench.until(run, "completed")
        (going, waiting) = await bench.ask([await bench.upload(long_log())], {}, {})
        await bench.until(going, "processing")

        async def listed(**asked: Any) -> list[str]:
            answer = await bench.client.get("/api/v1/analyses", params=asked)
            assert all("table" not in document for document in answer.json()["analyses"])
            return [document["id"] for document in answer.json()["analyses"]]

        assert await listed() == [waiting, going, second, first]
        assert await listed(limit=3) == [waiting, going, second]
        assert await listed(status="completed") == [second, first]
        assert await listed(status="processing") == [going]
        assert await listed(status="unstarted") == [waiting]
        assert await listed(webhook_url="http://nowhere.example/") == []
        unknown = await bench.client.get("/api/v1/analyses", params={"status": "done"})
        assert unknown.status_code == 422
        assert "completed_and_sent" in unknown.text


async def test_the_oldest_results_are_dropped(tmp_path: Path) -> None:
    async with analysing(tmp_path / "car.sqlite3", AnalysisSettings(max_kept=2)) as bench:
        log = await bench.upload()
        runs = await bench.ask([log], {}, {}, {})
        await bench.until(runs[-1], "completed")
        gone = await bench.client.get(f"/api/v1/analyses/{runs[0]}")
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "analysis_unknown")
        assert (await bench.look(runs[1]))["table"] is not None


async def test_a_database_that_takes_no_writes_acknowledges_nothing_and_keeps_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await bench.upload()

    async def fail(**_: object) -> None:
        raise StoreError("no room left on the disk")

    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "flush", fail)
        refused = await bench.client.post("/api/v1/analyses", json={"logs": [log], "runs": [{}]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "service_unavailable")
        assert "no room left" in refused.json()["error"]["message"]
    await bench.store.flush()
    assert (await bench.client.get("/api/v1/analyses")).json()["analyses"] == []


async def test_no_process_can_be_started_and_then_one_can(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await bench.upload()
    monkeypatch.setattr(analyses_module, "RETRY_S", 0.01)
    tries = 0
    start = asyncio.create_subprocess_exec

    async def scarce(*arguments: Any, **named: Any) -> asyncio.subprocess.Process:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError(11, "Resource temporarily unavailable")
        return await start(*arguments, **named)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", scarce)
    (run,) = await bench.ask([log])
    assert (await bench.until(run, "completed"))["error"] is None
    assert tries == 3


async def test_a_bug_ends_the_service_and_not_the_drive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    async with analysing(tmp_path / "car.sqlite3") as bench:
        log = await bench.upload()
        monkeypatch.setattr(WorkerProcess, "work", broken)
        await bench.ask([log])
        await bench.working
        answer = await bench.client.post("/api/v1/analyses", json={"logs": [log], "runs": [{}]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
        answer = await bench.client.post("/api/v1/logs", content=b"x")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
    assert "analyses are not carried out any more" in caplog.text


@pytest.mark.parametrize(
    ("order", "status", "words"),
    [
        ({"logs": ["nothing"], "runs": [{}]}, 404, "there is no uploaded log 'nothing'"),
        ({"logs": ["LOG", "LOG"], "runs": [{}]}, 422, "a log is given twice"),
        (
            {"logs": ["LOG"], "runs": [{}, {"estimator": "curvy"}]},
            422,
            "run 2: no estimator 'curvy'; nearest is 'curve'",
        ),
        (
            {"logs": ["LOG"], "runs": [{"filters": {"min_rmp": 5}}]},
            422,
            "run 1: no filter 'min_rmp'; nearest is 'min_rpm'",
        ),
        (
            {"logs": ["LOG"], "runs": [{"filters": {"min_rpm": "fast"}}]},
            422,
            "min_rpm = 'fast' is not a number",
        ),
        (
            {"logs": ["LOG"], "runs": [{"filters": {"min_rpm": [1]}}]},
            422,
            "'min_rpm' is a number, true, false, or null",
        ),
        (
            {"logs": ["LOG"], "runs": [{"filters": {"min_rpm": 9e9}}]},
            422,
            "min_rpm = 9e+09 1/min is impossible",
        ),
        (
            {"logs": ["LOG"], "runs": [{}], "webhook_url": "http://evil.example/"},
            403,
            "[webhooks] hosts allows none",
        ),
    ],
)
async def test_what_cannot_be_done_is_said_at_once(
    bench: Bench, order: dict[str, Any], status: int, words: str
) -> None:
    log = await bench.upload() if "LOG" in order["logs"] else ""
    order = {**order, "logs": [log if name == "LOG" else name for name in order["logs"]]}
    answer = await bench.client.post("/api/v1/analyses", json=order)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]["message"]
    assert (await bench.client.get("/api/v1/analyses")).json()["analyses"] == []

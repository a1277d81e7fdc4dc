"""The process that analyses: its frames, its limits, and what the daemon loads of all that."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import log_samples
import pytest

from daemon.analysis import worker as analysis_worker
from daemon.analysis import worker_process
from daemon.analysis.worker import Tell, serve
from daemon.analysis.worker_process import Frame, WorkerFailedError, WorkerProcess

MEMORY_BYTES = 1_000_000_000


def frames_of(answers: bytes) -> Iterator[tuple[str, Any]]:
    """Kind and payload of each frame."""
    stream = io.BytesIO(answers)
    while line := stream.readline():
        head = json.loads(line)
        yield head["kind"], json.loads(stream.read(head["bytes"]))


def recognising(path: Path) -> dict[str, Any]:
    log = {"path": str(path), "name": "drive.csv"}
    return {"work": "recognise", "log": log, "memory_bytes": 5_000_000, "log_limits": {}}


async def frames(worker: WorkerProcess, job: Mapping[str, Any], limit_s: float = 30.0) -> list[Frame]:
    async with contextlib.aclosing(worker.work(job, limit_s)) as told:
        return [frame async for frame in told]


def test_what_fails_is_a_frame_and_the_next_job_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "drive.csv").write_bytes(log_samples.romraider())
    (tmp_path / "none.csv").write_bytes(b"hello")
    answers = io.BytesIO()

    def greedy(_job: Mapping[str, Any], _tell: Tell) -> None:
        raise MemoryError

    monkeypatch.setattr(analysis_worker, "_WORK", {**analysis_worker._WORK, "greedy": greedy})
    jobs = [
        recognising(tmp_path / "none.csv"),
        {"work": "greedy", "memory_bytes": 5_000_000},
        recognising(tmp_path / "drive.csv"),
    ]
    serve(io.BytesIO(b"".join(json.dumps(job).encode() + b"\n" for job in jobs)), answers)
    (first, no_log), (second, no_memory), (third, found) = frames_of(answers.getvalue())
    assert (first, second, third) == ("failed", "failed", "result")
    assert no_log["error"].startswith("drive.csv: no line names columns")
    assert no_memory["error"] == "more memory would be needed than the 5 MB allowed"
    assert found["format"] == "romraider"


def test_what_a_log_says_of_itself_is_kept_short(tmp_path: Path) -> None:
    content = log_samples.romraider().replace(
        b"Coolant Temperature (C)", b"Coolant Temperature (C) " + b"x" * 9000
    )
    (tmp_path / "drive.csv").write_bytes(content)
    answers = io.BytesIO()
    serve(io.BytesIO(json.dumps(recognising(tmp_path / "drive.csv")).encode() + b"\n"), answers)
    ((_, found),) = frames_of(answers.getvalue())
    assert max(map(len, found["columns"].values())) <= 300
    assert len(json.dumps(found)) < 5000


async def test_memory_is_bounded_by_the_kernel(tmp_path: Path) -> None:
    """With less than it has already, the work fails in an orderly way or ends the process: both are said."""
    (tmp_path / "drive.csv").write_bytes(log_samples.romraider())
    worker = WorkerProcess(60_000_000)
    try:
        told = await frames(worker, recognising(tmp_path / "drive.csv"))
        words = json.loads(told[-1].payload)["error"]
    except WorkerFailedError as error:
        words = str(error)
    assert words.startswith(("more memory would be needed than the 60 MB", "the process that worked on it "))
    await worker.close()


async def test_an_idle_process_is_ended_and_another_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "drive.csv").write_bytes(log_samples.romraider())
    worker = WorkerProcess(MEMORY_BYTES)
    assert (await frames(worker, recognising(tmp_path / "drive.csv")))[-1].kind == "result"
    first = worker._process
    assert first is not None
    assert (await frames(worker, recognising(tmp_path / "drive.csv")))[-1].kind == "result"
    assert worker._process is first, "one process does one job after another"
    monkeypatch.setattr(worker_process, "IDLE_S", 0.0)
    assert (await frames(worker, recognising(tmp_path / "drive.csv")))[-1].kind == "result"
    assert await first.wait() == -signal.SIGKILL
    assert (await frames(worker, recognising(tmp_path / "drive.csv")))[-1].kind == "result"
    await worker.close()
    assert worker._process is not None
    assert worker._process.returncode == -signal.SIGKILL


async def test_ctrl_c_is_for_the_daemon_and_its_end_is_the_end(tmp_path: Path) -> None:
    (tmp_path / "drive.csv").write_bytes(log_samples.romraider())
    worker = WorkerProcess(MEMORY_BYTES)
    assert (await frames(worker, recognising(tmp_path / "drive.csv")))[-1].kind == "result"
    process = worker._process
    assert process is not None
    assert process.stdin is not None
    process.send_signal(signal.SIGINT)
    assert (await frames(worker, recognising(tmp_path / "drive.csv")))[-1].kind == "result"
    process.stdin.close()
    async with asyncio.timeout(10.0):
        assert await process.wait() == 0
    await worker.close()


def test_a_daemon_that_pushes_nothing_loads_nothing_for_it() -> None:
    program = (
        "import json, sys\n"
        "import daemon.runtime, daemon.planning\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ,
    )
    assert not set(json.loads(ended.stdout)) & {"httpx", "httpcore", "h2", "certifi"}

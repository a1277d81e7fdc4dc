"""Uploaded logs: streamed, recognised, limited, and never at a path that a sender chose."""

from __future__ import annotations

import asyncio
import gzip
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import log_samples
import pytest
from analysis_benches import Bench, analysing

from daemon.analysis import uploads as uploads_module
from daemon.analysis.settings import AnalysisSettings
from daemon.analysis.uploads import shown_name
from daemon.analysis.worker_process import WorkerFailedError, WorkerProcess
from daemon.serving.long_bodies import LongBodyLimits
from drivers.logs.limits import LogLimits

RECORDINGS = Path(__file__).resolve().parent / "recordings"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with analysing(tmp_path / "car.sqlite3", AnalysisSettings(max_upload_bytes=300_000)) as bench:
        yield bench


def files(folder: Path) -> list[str]:
    """Names of everything in the folder of uploads."""
    place = folder / "car.sqlite3-uploads"
    return sorted(path.name for path in place.iterdir()) if place.is_dir() else []


def error_of(answer: httpx.Response) -> tuple[int, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]


async def test_a_log_is_kept_and_what_was_recognised_is_said(bench: Bench, tmp_path: Path) -> None:
    content = log_samples.romraider()
    answer = await bench.client.post("/api/v1/logs?name=to%20work.csv", content=content)
    assert answer.status_code == 201
    log = answer.json()
    assert answer.headers["location"] == f"/api/v1/logs/{log['id']}"
    assert (log["name"], log["bytes"]) == ("to work.csv", len(content))
    assert log["recognised"]["format"] == "romraider"
    assert log["recognised"]["columns"]["maf_v"] == "Mass Airflow Sensor Voltage (V)"
    assert files(tmp_path) == [log["id"]]
    assert (tmp_path / "car.sqlite3-uploads" / log["id"]).read_bytes() == content
    assert (await bench.client.get(answer.headers["location"])).json() == log
    listed = (await bench.client.get("/api/v1/logs")).json()
    assert listed == {"logs": [log], "arriving": []}
    assert (await bench.client.delete(answer.headers["location"])).status_code == 204
    assert error_of(await bench.client.get(answer.headers["location"]))[:2] == (404, "log_unknown")
    assert error_of(await bench.client.delete(answer.headers["location"]))[:2] == (404, "log_unknown")
    assert files(tmp_path) == []


@pytest.mark.parametrize("packed", [False, True])
async def test_whatever_lowmaf_reads_can_be_uploaded(bench: Bench, packed: bool) -> None:
    content = log_samples.obd_utf16()
    log = await bench.upload(gzip.compress(content) if packed else content, "log")
    (run,) = await bench.ask([log], {"filters": "none"})
    assert (await bench.until(run, "completed"))["table"]["samples"]["seen"] == 80


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the body is empty"),
        (b"hello", "no line names columns"),
        (bytes(1000), ""),
        (b"Time,RPM\n1,2\n", "no column for"),
        (b"\x1f\x8b" + bytes(50), ""),
        (b"PK\x03\x04" + bytes(50), "zip archive cannot be read"),
    ],
)
async def test_what_is_no_log_is_refused_with_the_reason_and_not_kept(
    bench: Bench, tmp_path: Path, content: bytes, words: str
) -> None:
    status, code, message = error_of(await bench.client.post("/api/v1/logs?name=x.csv", content=content))
    assert (status, code) == (422, "log_unreadable")
    assert words in message
    assert str(tmp_path) not in message, "where it is kept concerns nobody"
    assert files(tmp_path) == []


LIMITED = [
    (LogLimits(line_bytes=500), "Time\n" + "x" * 1000, "no line end within 500 bytes"),
    (LogLimits(columns=5), None, "columns, and at most 5 are read"),
    (LogLimits(rows=50), None, "more than 50 rows"),
    (LogLimits(field_bytes=20), None, "the name of a column has"),
    (LogLimits(unpacked_bytes=1000), gzip.compress(log_samples.romraider()), "unpacks to more than 0.001 MB"),
]


@pytest.mark.parametrize(("limits", "content", "words"), LIMITED, ids=[case[2] for case in LIMITED])
async def test_how_much_of_a_log_is_read_is_the_owners_choice(
    tmp_path: Path, limits: LogLimits, content: bytes | str | None, words: str
) -> None:
    sent = log_samples.romraider() if content is None else content
    async with analysing(tmp_path / "car.sqlite3", AnalysisSettings(log_limits=limits)) as bench:
        answer = await bench.client.post("/api/v1/logs?name=x.csv", content=sent)
        if answer.status_code == 201:  # what is beyond the limit comes behind what is recognised
            (run,) = await bench.ask([answer.json()["id"]], {"filters": "none"})
            message = (await bench.until(run, "failed"))["error"]
        else:
            message = error_of(answer)[2]
    assert words in message


@pytest.mark.parametrize("announced", [True, False])
async def test_a_log_that_is_too_large_is_refused_as_soon_as_that_is_known(
    bench: Bench, tmp_path: Path, announced: bool
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield bytes(65536)

    headers = {"content-length": "300001"} if announced else {}
    answer = await bench.client.post("/api/v1/logs", content=endless(), headers=headers)
    assert error_of(answer)[:2] == (413, "body_too_large")
    assert answer.json()["error"]["detail"] == {"limit_bytes": 300_000}
    assert sent <= 10 * 65536
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-type": "multipart/form-data; boundary=x"}, "unsupported_media_type"),
        ({"content-type": "application/json"}, "unsupported_media_type"),
        ({"content-encoding": "gzip"}, "unsupported_content_coding"),
    ],
)
async def test_other_forms_are_refused_with_what_to_do(
    bench: Bench, headers: dict[str, str], code: str
) -> None:
    answer = await bench.client.post("/api/v1/logs", content=b"x", headers=headers)
    assert error_of(answer)[:2] == (415, code)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\logs\\drive.csv", "drive.csv"),
        ("a\x00b\nc\x1b[31m.csv", "abc[31m.csv"),
        ("..", ".."),
        ("/", "log"),
        ("x" * 500, "x" * 200),
        ("Größe 🚗.csv", "Größe 🚗.csv"),
    ],
)
def test_names_as_they_are_shown(name: str, shown: str) -> None:
    assert shown_name(name) == shown


async def test_names_are_never_paths(bench: Bench, tmp_path: Path) -> None:
    log = await bench.upload(name="../../../etc/cron.d/evil")
    assert (await bench.client.get(f"/api/v1/logs/{log}")).json()["name"] == "evil"
    assert files(tmp_path) == [log]


async def test_ids_are_no_paths_either(bench: Bench) -> None:
    await bench.upload()
    for log_id in ("..", "%2e%2e%2fcar.sqlite3", "*", "x" * 64):
        for ask in (bench.client.get, bench.client.delete):
            assert (await ask(f"/api/v1/logs/{log_id}")).status_code in (404, 405)


async def test_as_many_logs_as_are_allowed(tmp_path: Path) -> None:
    async with analysing(tmp_path / "car.sqlite3", AnalysisSettings(max_uploads=2)) as bench:
        first = await bench.upload()
        await bench.upload()
        status, code, message = error_of(await bench.client.post("/api/v1/logs", content=b"x"))
        assert (status, code) == (507, "no_room")
        assert "[storage] max_uploads" in message
        await bench.client.delete(f"/api/v1/logs/{first}")
        await bench.upload()


async def test_a_full_disk_refuses_uploads(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.service.uploads._min_free_bytes = 1e6
    usage = shutil.disk_usage("/")._replace(free=1_200_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    await bench.upload()
    answer = await bench.client.post("/api/v1/logs", content=bytes(250_000))
    assert error_of(answer)[:2] == (507, "no_room")


async def test_uploads_that_go_on_are_listed_and_limited(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "AT_ONCE", 1)
    goes_on, half = asyncio.Event(), asyncio.Event()
    content = log_samples.romraider()

    async def slowly() -> AsyncIterator[bytes]:
        yield content[:1000]
        half.set()
        await goes_on.wait()
        yield content[1000:]

    upload = asyncio.create_task(bench.service.uploads.take("slow.csv", slowly(), len(content)))
    await half.wait()
    listed = (await bench.client.get("/api/v1/logs")).json()
    assert listed == {
        "logs": [],
        "arriving": [{"name": "slow.csv", "bytes": 1000, "announced_bytes": len(content)}],
    }
    refused = await bench.client.post("/api/v1/logs", content=content)
    assert error_of(refused)[:2] == (429, "too_many_uploads")
    assert refused.headers["retry-after"] == "2"
    goes_on.set()
    assert (await upload)["bytes"] == len(content)
    assert (await bench.client.get("/api/v1/logs")).json()["arriving"] == []


async def test_an_upload_that_falls_silent_or_breaks_off_leaves_nothing(
    tmp_path: Path,
) -> None:

    async def silent() -> AsyncIterator[bytes]:
        yield b"Time"
        await asyncio.Event().wait()

    async def broken() -> AsyncIterator[bytes]:
        yield b"Time"
        raise ConnectionResetError

    quick = AnalysisSettings(bodies=LongBodyLimits(quiet_s=0.05))
    async with analysing(tmp_path / "car.sqlite3", quick) as bench:
        answer = await bench.client.post("/api/v1/logs", content=silent())
        assert error_of(answer)[:2] == (400, "upload_incomplete")
        with pytest.raises(Exception, match="kept"):
            await bench.service.uploads.take("x", broken(), None)
        assert files(tmp_path) == []
        assert (await bench.client.get("/api/v1/logs")).json() == {"logs": [], "arriving": []}


async def test_a_restart_keeps_logs_and_clears_what_was_cut_off(tmp_path: Path) -> None:
    database = tmp_path / "car.sqlite3"
    async with analysing(database) as bench:
        kept, lost = await bench.upload(), await bench.upload()
    folder = tmp_path / "car.sqlite3-uploads"
    (folder / lost).unlink()
    (folder / "0123456789abcdef.part").write_bytes(b"half")
    (folder / "0123456789abcdef").write_bytes(b"without a row")
    (folder / "notes.txt").write_text("somebody else's")
    async with analysing(database) as bench:
        listed = (await bench.client.get("/api/v1/logs")).json()["logs"]
        assert [log["id"] for log in listed] == [kept]
        assert files(tmp_path) == sorted([kept, "notes.txt"])


async def test_a_process_that_dies_over_a_log_costs_only_that_upload(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> Any:
        raise WorkerFailedError("the process that worked on it was ended by SIGSEGV")

    with monkeypatch.context() as patched:
        patched.setattr(WorkerProcess, "work", dies)
        answer = await bench.client.post("/api/v1/logs?name=evil.blf", content=b"LOGG")
    status, _, message = error_of(answer)
    assert (status, message) == (
        422,
        "evil.blf: it could not be recognised: the process that worked on it was ended by SIGSEGV",
    )
    assert files(tmp_path) == []
    await bench.upload()

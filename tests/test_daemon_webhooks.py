"""Pushes to a real receiver: all of it, in order, again where it failed, and only where it is allowed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import log_samples
import pytest
from analysis_benches import Bench, analysing
from test_daemon_analysis_analyses import long_log
from webhook_receiver import ANSWER, Behaviour, Received, receiving, takes_all

from daemon.analysis.settings import AnalysisSettings
from daemon.webhooks import pusher as webhook_pusher
from daemon.webhooks.chunks import MAX_CHUNK_BYTES
from daemon.webhooks.hosts import AllowedHosts


@pytest.fixture(autouse=True)
def _soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_pusher, "FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(webhook_pusher, "LAST_RETRY_S", 0.1)


@contextlib.asynccontextmanager
async def pushing(
    tmp_path: Path, behaviour: Behaviour = takes_all, **settings: Any
) -> AsyncIterator[tuple[Bench, str, Received]]:
    """A service that may push to a receiver, and the receiver's address."""
    async with receiving(behaviour) as (host, received):
        allowed = AnalysisSettings(hosts=AllowedHosts([host]), **settings)
        async with analysing(tmp_path / "car.sqlite3", allowed) as bench:
            yield bench, f"http://{host}/hook?token=x", received


async def test_the_final_table_arrives_whole_and_the_run_says_so(tmp_path: Path) -> None:
    async with pushing(tmp_path) as (bench, url, received):
        runs = await bench.ask([await bench.upload()], {}, {"estimator": "nearest"}, webhook_url=url)
        for run in runs:
            found = await bench.until(run, "completed_and_sent")
            assert found["push"] == {"state": "delivered", "attempts": 0, "error": None}
            assert received.whole(run)
            last = received.outputs(run)[-1]
            assert (last["id"], last["status"], last["progress"]) == (run, "completed", 1.0)
            assert last["table"] == found["table"]
        assert received.connections <= 2, "connections are kept open"
        listed = await bench.client.get("/api/v1/analyses", params={"webhook_url": url})
        assert [one["id"] for one in listed.json()["analyses"]] == runs[::-1]
        other = await bench.client.get("/api/v1/analyses", params={"webhook_url": url + "y"})
        assert other.json()["analyses"] == []


async def test_interim_tables_come_first_and_each_only_once(tmp_path: Path) -> None:
    async with pushing(tmp_path) as (bench, url, received):
        (run,) = await bench.ask([await bench.upload(long_log())], webhook_url=url)
        await bench.until(run, "completed_and_sent")
        outputs = received.outputs(run)
        assert [output["status"] for output in outputs[:-1]] == ["processing"] * (len(outputs) - 1)
        seen = [output["table"]["samples"]["seen"] for output in outputs]
        assert len(outputs) >= 2
        assert all(later > earlier for earlier, later in itertools.pairwise(seen[:-1]))
        assert outputs[-1]["status"] == "completed"
        assert [body["sequence"] for body in received.bodies] == list(range(len(received.bodies)))


async def test_a_slow_receiver_gets_fewer_interim_tables_and_the_final_one(tmp_path: Path) -> None:
    gate = asyncio.Event()

    def slowly(body: bytes, received: Received) -> bytes | None:
        received.take(body)
        return ANSWER if gate.is_set() else None  # closed without an answer: the chunk comes again

    async with pushing(tmp_path, slowly) as (bench, url, received):
        (run,) = await bench.ask([await bench.upload(long_log())], webhook_url=url)
        await bench.until(run, "completed")
        before = len(received.runs[run])
        assert before == 1, "nothing overtakes the first, which is tried again"
        gate.set()
        await bench.until(run, "completed_and_sent")
        assert received.whole(run)
        assert [output["status"] for output in received.outputs(run)] == ["processing", "completed"]


@pytest.mark.parametrize("kind", ["answers 500", "closes", "closes mid-body", "redirects", "hangs"])
async def test_what_fails_is_tried_again_until_it_arrives(tmp_path: Path, kind: str) -> None:
    tries: Counter[str] = Counter()

    def behaves(body: bytes, received: Received) -> bytes | None:
        chunk = json.loads(body)
        tries[f"{chunk['run_id']} {chunk['sequence']}"] += 1
        if tries.total() > 4:
            received.take(body)
            return ANSWER
        return {
            "answers 500": b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n",
            "closes": None,
            "closes mid-body": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\nhalf",
            "redirects": b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
            "hangs": b"",
        }[kind]

    async with pushing(tmp_path, behaves, push_timeout_s=0.3) as (bench, url, received):
        runs = await bench.ask([await bench.upload()], {}, {}, webhook_url=url)
        for run in runs:
            found = await bench.until(run, "completed_and_sent")
            assert found["push"] == {"state": "delivered", "attempts": 0, "error": None}
            assert received.whole(run)
        assert tries.total() == 4 + len(received.bodies), "four failed and the others arrived once"


async def test_giving_up_is_visible_and_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(body: bytes, received: Received) -> bytes | None:
        if json.loads(body)["run_id"] in doomed:
            return b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"
        received.take(body)
        return ANSWER

    doomed: list[str] = []
    async with pushing(tmp_path, refuses, push_attempts=3) as (bench, url, _):
        log = await bench.upload()
        url = f"{url}5ecret?key=5ecret"
        doomed += await bench.ask([log], webhook_url=url)
        (fine,) = await bench.ask([log], webhook_url=url)
        await bench.until(fine, "completed_and_sent")
        found = await bench.until(*doomed, "completed", push="given_up")
        assert found["push"] == {"state": "given_up", "attempts": 3, "error": "answered 503"}
        assert found["table"] is not None
    (told,) = [record.getMessage() for record in caplog.records if "gave up pushing" in record.getMessage()]
    assert httpx.URL(url).netloc.decode() in told
    assert "5ecret" not in caplog.text


async def test_a_receiver_that_is_gone_is_not_asked_again(tmp_path: Path) -> None:
    asked = 0

    def gone(body: bytes, received: Received) -> bytes | None:
        nonlocal asked
        asked += 1
        return b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"

    async with pushing(tmp_path, gone) as (bench, url, _):
        (run,) = await bench.ask([await bench.upload()], webhook_url=url)
        await bench.until(run, "completed", push="given_up")
        assert asked == 1


async def test_failed_and_cancelled_runs_are_told_too(tmp_path: Path) -> None:
    async with pushing(tmp_path, limit_s=0.2) as (bench, url, received):
        long = await bench.upload(long_log())
        failing, cancelled = await bench.ask([long], {}, {}, webhook_url=url)
        assert (await bench.client.delete(f"/api/v1/analyses/{cancelled}")).status_code == 200
        found = await bench.until(failing, "failed")
        await received.until(lambda: received.whole(failing) and received.whole(cancelled))
        last = received.outputs(failing)[-1]
        assert (last["status"], last["error"], last["table"]) == ("failed", found["error"], None)
        assert received.outputs(cancelled)[-1]["status"] == "cancelled"


async def test_what_was_not_delivered_is_delivered_after_a_restart_under_the_same_numbers(
    tmp_path: Path,
) -> None:
    """The receiver takes a chunk but the daemon never learns of it: it comes again as the same chunk."""
    first: dict[int, str] = {}

    def forgets(body: bytes, received: Received) -> bytes | None:
        chunk = json.loads(body)
        first.setdefault(chunk["sequence"], body.decode())
        assert first[chunk["sequence"]] == body.decode(), "a number always means the same chunk"
        if not answers:
            return None
        received.take(body)
        return ANSWER

    answers = False
    async with receiving(forgets) as (host, received):
        settings = AnalysisSettings(hosts=AllowedHosts([host]))
        async with analysing(tmp_path / "car.sqlite3", settings) as bench:
            (run,) = await bench.ask([await bench.upload(long_log())], webhook_url=f"http://{host}/")
            await bench.until(run, "completed")
            assert first
        answers = True
        async with analysing(tmp_path / "car.sqlite3", settings) as bench:
            await bench.until(run, "completed_and_sent")
        assert received.whole(run)
        assert received.outputs(run)[-1]["status"] == "completed"


async def test_a_host_that_is_no_longer_allowed_gets_nothing(tmp_path: Path) -> None:
    async with receiving(lambda _body, _received: None) as (host, received):
        allowed = AnalysisSettings(hosts=AllowedHosts([host]))
        async with analysing(tmp_path / "car.sqlite3", allowed) as bench:
            (run,) = await bench.ask([await bench.upload()], webhook_url=f"http://{host}/")
            await bench.until(run, "completed")
        connections = received.connections
        async with analysing(tmp_path / "car.sqlite3") as bench:
            found = await bench.until(run, "completed", push="given_up")
            assert "[webhooks] hosts allows none" in found["push"]["error"]
        assert received.connections == connections


async def test_large_output_goes_in_chunks_that_are_not_too_large(tmp_path: Path) -> None:
    """Notes of a hundred logs that are copies of one make the output large."""
    async with pushing(tmp_path) as (bench, url, received):
        log = log_samples.romraider()
        logs = [await bench.upload(log, "ü" * 190 + f"{i}.csv") for i in range(100)]
        (run,) = await bench.ask(logs, webhook_url=url)
        found = await bench.until(run, "completed_and_sent")
        assert len(found["notes"]) == 99
        assert received.outputs(run)[-1]["notes"] == found["notes"]
        assert len(received.bodies) >= 2
        assert max(received.sizes) <= MAX_CHUNK_BYTES
        assert [body["last"] for body in received.bodies] == [False] * (len(received.bodies) - 1) + [True]

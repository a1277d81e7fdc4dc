"""Uploaded logs that count in the table: once, as if driven; refused whole where they cannot count."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fakes import realistic_table
from test_daemon_live_hub import settings as hub_settings

from daemon.analysis.log_samples import FlowComparison, packed_samples, unpacked_samples
from daemon.analysis.log_sessions import LogSessions
from daemon.analysis.orders import Defaults
from daemon.analysis.service import AnalysisService
from daemon.analysis.settings import AnalysisSettings
from daemon.drives.earlier_drives import relearn
from daemon.drives.kept_sessions import KeptSessions
from daemon.ingest.session_writer import UPLOAD, SessionWriter
from daemon.live.hub import Hub
from daemon.log_replay import KeepNothing, Log, Reading, replay
from daemon.store.store import Store
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch
from lowmaf.settings import CurveSettings
from web.app import create_app

ROWS = 6000
HEADER = (
    "Time (msec),Mass Airflow Sensor Voltage (V),Mass Airflow (g/s),A/F Correction #1 (%),"
    "A/F Learning #1 (%),CL/OL Fueling* (status),Coolant Temperature (C)\n"
)


def log_of(*, loop: int = 8, ect_c: int = 88, flow_times: float = 1.0) -> bytes:
    """Ten minutes of steady closed loop at ten samples a second, 3 % lean all over."""
    table = realistic_table()
    volts = np.round(1.6 + 0.4 * np.sin(np.arange(ROWS) / 90.0), 2)
    flow = flow_times * table.flow_at(volts)
    rows = (
        f"{100 * at},{v:.2f},{g:.2f},{1.5 + 0.1 * (at % 3)},1.5,{loop},{ect_c}\n"
        for at, (v, g) in enumerate(zip(volts.tolist(), flow.tolist(), strict=True))
    )
    return (HEADER + "".join(rows)).encode()


@dataclass
class Car:
    """A daemon's parts that uploads and the table need, and a client of their routes."""

    hub: Hub
    store: Store
    client: httpx.AsyncClient

    async def upload(self, content: bytes, name: str = "drive.csv") -> str:
        answer = await self.client.post("/api/v1/logs", params={"name": name}, content=content)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def add(self, log: str) -> tuple[int, dict[str, Any]]:
        answer = await self.client.post(f"/api/v1/logs/{log}/session")
        return answer.status_code, answer.json()


@pytest.fixture
async def car(tmp_path: Path) -> AsyncIterator[Car]:
    async with await Store.open(tmp_path / "car.sqlite3", commit_interval_s=0.2) as store:
        hub = Hub(hub_settings(table=await store.put_table(realistic_table())), store)
        service = AnalysisService(
            store, AnalysisSettings(), lambda: Defaults("curve", Filters(), CurveSettings()), 0.0
        )
        sessions = KeptSessions(
            store, lambda session: session.id == hub.session(), lambda: relearn(hub, store), "curve"
        )
        desk = LogSessions(
            service.uploads,
            store,
            SessionWriter(store),
            sessions,
            lambda: hub.session_start(UPLOAD),
            limit_s=60.0,
        )
        app = create_app(hub, version="1", sessions=sessions, logs=service.uploads, log_sessions=desk)
        working = asyncio.create_task(service.analyses.run())
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        try:
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost", timeout=60.0
            ) as client:
                yield Car(hub, store, client)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


async def test_a_log_counts_as_if_it_had_been_driven_and_is_taken_out_again(car: Car, tmp_path: Path) -> None:
    content = log_of()
    status, session = await car.add(await car.upload(content, "to work.csv"))
    assert status == 201
    assert (session["driver"], session["name"], session["counts"]) == ("upload", "to work.csv", True)
    assert session["samples"] == ROWS
    assert session["samples_kept"] == ROWS
    assert session["duration_s"] == pytest.approx(ROWS / 10 - 0.1)
    assert session["log"]["name"] == "to work.csv"
    learned = car.hub.snapshot()
    assert learned.counts.accepted == session["accepted"] > 5000

    log = tmp_path / "drive.csv"
    log.write_bytes(content)
    pipeline = Pipeline(car.hub.pipeline.table)
    replayed = replay([Log(log.name, log)], pipeline, Reading({}), KeepNothing())
    np.testing.assert_array_equal(learned.correction_pct, replayed.snapshot.correction_pct)
    np.testing.assert_array_equal(learned.stderr_pct, replayed.snapshot.stderr_pct)

    taken_out = await car.client.patch(f"/api/v1/sessions/{session['id']}", json={"included": False})
    assert taken_out.json()["counts"] is False
    assert car.hub.snapshot().counts.seen == 0


async def test_the_same_log_counts_once_however_often_it_is_sent(car: Car) -> None:
    content = log_of()
    first, copy = await car.upload(content), await car.upload(content.replace(b"\n", b"\r\n"), "copy.csv")
    (status, session), (again, same) = [await car.add(log) for log in (first, copy)]
    assert (status, again) == (201, 200)
    assert same["id"] == session["id"]
    assert len(await car.store.sessions()) == 1
    await car.client.patch(f"/api/v1/sessions/{session['id']}", json={"included": False})
    status, session = await car.add(first)
    assert (status, session["included"], session["counts"]) == (200, True, True)
    one, other = await asyncio.gather(car.add(first), car.add(copy))
    assert one[0] == other[0] == 200
    assert car.hub.snapshot().counts.seen == ROWS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (log_of(loop=10), "none of its 6000 samples counts, 6000 of them because: open loop"),
        (log_of(ect_c=20), "none of its 6000 samples counts, 6000 of them because: coolant is too cold"),
        (log_of(flow_times=1.4), "its air flow is 1.40 times what the MAF table '2006 turbo, stock intake'"),
    ],
    ids=["open loop", "cold", "another car"],
)
async def test_a_log_that_cannot_count_is_refused_and_nothing_of_it_stays(
    car: Car, content: bytes, words: str
) -> None:
    status, answer = await car.add(await car.upload(content))
    assert status == 422
    assert answer["error"]["message"].startswith(f"drive.csv: {words}")
    await car.store.flush()
    assert await car.store.sessions() == []
    assert [row async for row in car.store.samples(1)] == []
    assert car.hub.snapshot().counts.seen == 0


async def test_a_log_that_is_not_there_is_refused(car: Car, tmp_path: Path) -> None:
    status, answer = await car.add("0" * 16)
    assert (status, answer["error"]["code"]) == (404, "log_unknown")
    log = await car.upload(log_of())
    (tmp_path / "car.sqlite3-uploads" / log).unlink()
    status, answer = await car.add(log)
    assert status == 422
    assert await car.store.sessions() == []


async def test_a_log_goes_in_while_the_car_drives_and_the_drive_goes_on(car: Car) -> None:
    car.hub.source_connected("test")
    batch = SampleBatch(
        np.arange(50) / 10,
        {
            name: np.full(50, value)
            for name, value in
            {"maf_v": 1.8, "stft_pct": 1.5, "ltft_pct": 3.0, "fuel_loop": 2.0, "rpm": 2000.0}.items()
        },
    )  # fmt: skip
    car.hub.take(batch)
    driving = car.hub.session()
    status, session = await car.add(await car.upload(log_of()))
    assert status == 201
    assert car.hub.session() == driving != session["id"]
    counts = car.hub.snapshot().counts
    assert counts.seen + counts.pending == ROWS + 50


def test_samples_cross_from_one_process_to_the_other_bit_for_bit() -> None:
    batch = SampleBatch(
        np.array([0.1, 0.2]), {"maf_v": np.array([1.1, math.nan]), "rpm": np.array([1.0, 2.0])}
    )
    there = unpacked_samples(packed_samples(batch))
    np.testing.assert_array_equal(there.t_s, batch.t_s)
    np.testing.assert_array_equal(there["maf_v"], batch["maf_v"])
    assert there.channels.keys() == batch.channels.keys()


def test_a_log_fits_the_table_where_nothing_can_be_compared() -> None:
    table = realistic_table()
    volts = np.array([1.5, 2.5])
    assert table.flow_gs is not None
    for comparison, batch in (
        (FlowComparison(MafTable("volts", table.maf_v, None, 1)), {"maf_v": volts, "maf_gs": volts}),
        (FlowComparison(table), {"maf_v": volts}),
        (FlowComparison(table), {"maf_v": volts, "maf_gs": np.full(2, math.nan)}),
        (FlowComparison(table), {"maf_v": volts, "maf_gs": 1.1 * table.flow_at(volts)}),
    ):
        comparison.take(SampleBatch(np.array([0.0, 1.0]), batch))
        assert comparison.words() is None

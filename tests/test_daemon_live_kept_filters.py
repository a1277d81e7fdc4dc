"""Limits that are changed on the page: from now on, kept over a restart, and back as configured."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import FakeBoard, realistic_table
from test_daemon_live_hub import settings as hub_settings
from test_daemon_live_hub import steady

from daemon.drives.drive_review import HubReview
from daemon.drives.session_rebuild import RebuildOutcome, rebuild
from daemon.live.hub import Hub
from daemon.live.kept_filters import KeptFilters, filters_in_use
from daemon.store.records import StoreError
from daemon.store.store import Store
from lowmaf.filters import Filters
from web.app import create_app

CONFIGURED = Filters(min_ect_c=70.0, max_rpm=5000.0)


@dataclass
class Car:
    hub: Hub
    store: Store
    client: httpx.AsyncClient

    async def change(self, **body: Any) -> tuple[int, dict[str, Any]]:
        answer = await self.client.patch("/api/v1/settings", json=body)
        return answer.status_code, answer.json()

    def limits(self) -> tuple[float, float]:
        filters = self.hub.pipeline.filters
        assert filters == self.hub.settings.filters
        return filters.min_ect_c, filters.max_rpm


@pytest.fixture
async def car(tmp_path: Path) -> AsyncIterator[Car]:
    async with await Store.open(tmp_path / "car.sqlite3") as store:
        table = await store.put_table(realistic_table())
        hub = Hub(hub_settings(table=table, filters=CONFIGURED, configured=CONFIGURED), store)
        app = create_app(
            hub, version="1", review=HubReview(hub, store), filters=KeptFilters(hub, store, CONFIGURED)
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield Car(hub, store, client)


def shown(settings: dict[str, Any], name: str) -> tuple[Any, Any]:
    """Value in use and configured value."""
    (limit,) = [limit for limit in settings["filters"] if limit["name"] == name]
    return limit["value"], limit["configured"]


async def test_a_changed_limit_holds_from_now_on_and_the_drive_goes_on_as_a_new_session(car: Car) -> None:
    car.hub.source_connected("test")
    for second in range(60):
        car.hub.take(steady(second, 1.0, ect_c=65.0))
    assert car.hub.snapshot().counts.accepted == 0
    status, settings = await car.change(filters={"min_ect_c": 60, "max_rpm": None})
    assert status == 200
    assert shown(settings, "min_ect_c") == (60.0, 70.0)
    assert shown(settings, "max_rpm") == (None, 5000.0)
    assert shown(settings, "settle_s") == (1.5, 1.5)
    for second in range(60, 120):
        car.hub.take(steady(second, 1.0, ect_c=65.0))
    car.hub.source_ended()
    await car.store.flush()
    before, after = await car.store.sessions()
    assert (before.samples, before.accepted) == (600, 0)
    assert after.samples == 600
    assert after.accepted > 500
    for session in (before, after):
        assert (await rebuild(car.store, session)).outcome is RebuildOutcome.SAME


async def test_a_change_while_no_drive_goes_on_begins_none(car: Car) -> None:
    assert (await car.change(filters={"min_ect_c": 60.5}))[0] == 200
    await car.change(filters={"min_ect_c": 60.5})
    assert car.limits() == (60.5, 5000.0)
    assert await car.store.sessions() == []


async def test_what_was_changed_outlives_a_restart_until_it_is_as_configured_again(car: Car) -> None:
    await car.change(filters={"min_ect_c": 60, "max_rpm": None, "allow_loop_fault": True})
    changed = await filters_in_use(car.store, CONFIGURED)
    assert changed == car.hub.settings.filters
    assert (changed.min_ect_c, changed.max_rpm, changed.allow_loop_fault) == (60.0, float("inf"), True)
    other = Filters(min_ect_c=75.0, settle_s=3.0)
    assert await filters_in_use(car.store, other) == Filters(
        min_ect_c=60.0, settle_s=3.0, allow_loop_fault=True
    )
    status, settings = await car.change(configured=["min_ect_c", "allow_loop_fault"])
    assert (status, shown(settings, "min_ect_c")) == (200, (70.0, 70.0))
    await car.change(configured=["max_rpm"])
    assert car.hub.settings.filters == CONFIGURED
    assert await filters_in_use(car.store, other) == other


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"filters": {"min_etc_c": 60}}, "no filter 'min_etc_c'; nearest is 'min_ect_c'"),
        ({"configured": ["min_etc_c"]}, "no filter 'min_etc_c'; nearest is 'min_ect_c'"),
        ({"filters": {"min_ect_c": 900}}, "min_ect_c = 900 °C is impossible: allowed are -50 to 150"),
        ({"filters": {"min_rpm": 6000}}, "min_rpm = 6000 is above max_rpm = 5000"),
        ({"filters": {"min_ect_c": "warm"}}, "min_ect_c = '' is not a number"),
        ({"filters": {"min_ect_c": True}}, "min_ect_c = 'true' is not a number"),
        ({"filters": {"min_ect_c": 10**400}}, "too large a number"),
        ({"filters": {"min_ect_c": 60}, "configured": ["min_ect_c"]}, "min_ect_c is given twice"),
        ({"filters": {}}, "a change looks like"),
        ({}, "a change looks like"),
        ({"filters": [1]}, "a change looks like"),
        ({"configured": [1]}, "a change looks like"),
        ({"estimator": "nearest"}, "a change looks like"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_changes(
    car: Car, body: dict[str, Any], words: str
) -> None:
    status, answer = await car.change(**body)
    assert status == 422
    assert words in answer["error"]["message"]
    assert car.hub.settings.filters == CONFIGURED
    assert await car.store.remembered("changed_filters") is None


async def test_what_cannot_be_kept_does_not_hold(car: Car, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails() -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(car.store, "flush", fails)
    status, answer = await car.change(filters={"min_ect_c": 60})
    assert status == 503
    assert "the disk is full" in answer["error"]["message"]
    assert car.hub.settings.filters == CONFIGURED


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ('{"min_ect_c": "60.0", "crc32": 1}', "was damaged on the disk"),
        ("no JSON", "was damaged on the disk"),
        ('{"of_another_version": "1.0"}', "do not fit the configuration: no filter 'of_another_version'"),
        ('{"min_rpm": "5500.0"}', "do not fit the configuration: min_rpm = 5500 is above max_rpm"),
    ],
)
async def test_what_does_not_fit_leaves_the_configuration(
    car: Car, kept: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    car.store.write("INSERT INTO meta VALUES ('changed_filters', ?)", kept)
    await car.store.flush()
    with caplog.at_level(logging.WARNING):
        assert await filters_in_use(car.store, CONFIGURED) == CONFIGURED
    assert words in caplog.text


async def test_without_a_desk_nothing_is_offered(car: Car) -> None:
    app = create_app(FakeBoard(), version="1", review=HubReview(car.hub, car.store))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        assert (await client.get("/api/v1/settings")).json()["filters_change"] is False
        assert (await client.patch("/api/v1/settings", json={})).status_code == 405

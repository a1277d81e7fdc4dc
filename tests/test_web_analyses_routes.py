"""Routes of analyses over a stand-in desk: shapes, errors, events, over a real server where it matters."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from fakes import FakeBoard, serving

from web import analysis_events
from web.analysis_desk import AnalysisOrder, AnalysisStatus, RunOrder
from web.app import create_app
from web.service_errors import AnalysisUnknownError


class FakeDesk:
    """A desk with one run, whose document a test sets."""

    closed = False

    def __init__(self) -> None:
        self.orders: list[AnalysisOrder] = []
        self.document: dict[str, Any] = {
            "id": "a",
            "status": "unstarted",
            "progress": 0.0,
            "table": None,
            "webhook_url": None,
        }
        self.event = asyncio.Event()

    def change(self, **changes: Any) -> None:
        self.document = {**self.document, **changes}
        event, self.event = self.event, asyncio.Event()
        event.set()

    async def ask(self, order: AnalysisOrder) -> list[str]:
        self.orders.append(order)
        return [f"id{number}" for number in range(len(order.runs))]

    async def analyses(
        self, *, webhook_url: str | None, status: AnalysisStatus | None, limit: int
    ) -> list[Mapping[str, Any]]:
        return [{"webhook_url": webhook_url, "status": status, "limit": limit}]

    async def analysis(self, analysis_id: str) -> Mapping[str, Any]:
        if analysis_id != "a":
            raise AnalysisUnknownError(f"there is no analysis {analysis_id!r}")
        return self.document

    async def cancel(self, analysis_id: str) -> Mapping[str, Any]:
        await self.analysis(analysis_id)
        self.change(status="cancelled")
        return self.document

    def news(self, _analysis_id: str) -> asyncio.Event:
        return self.event


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
async def client(desk: FakeDesk) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(FakeBoard(), version="1", analyses=desk)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as opened:
        yield opened


async def test_an_order_is_acknowledged_with_an_id_per_run(client: httpx.AsyncClient, desk: FakeDesk) -> None:
    asked = {
        "logs": ["x", "y"],
        "runs": [{}, {"estimator": "nearest", "filters": "none"}, {"filters": {"min_rpm": None}}],
        "webhook_url": "http://hooks.example/",
    }
    answer = await client.post("/api/v1/analyses", json=asked)
    assert (answer.status_code, answer.json()) == (202, {"ids": ["id0", "id1", "id2"]})
    runs = [RunOrder(None, {}), RunOrder("nearest", None), RunOrder(None, {"min_rpm": None})]
    assert desk.orders == [AnalysisOrder(["x", "y"], runs, "http://hooks.example/")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[]", "an analysis looks like"),
        ("{", "the body is not JSON"),
        ('{"logs": ["a"], "runs": ' + "[" * 100 + "]" * 100 + "}", "a run is an object"),
        ("[" * 30_000, "the body is not JSON"),
        ('{"logs": "a", "runs": [{}]}', "logs is an array of ids"),
        ('{"logs": [1], "runs": [{}]}', "logs is an array of ids"),
        ('{"logs": [], "runs": [{}]}', "logs has 0 ids; 1 to 100 are allowed"),
        ('{"logs": ["a"]}', "runs is an array of 1 to 6 objects, met none"),
        ('{"logs": ["a"], "runs": []}', "met 0"),
        ('{"logs": ["a"], "runs": [{},{},{},{},{},{},{}]}', "met 7"),
        ('{"logs": ["a"], "runs": [5]}', "a run is an object, met 5"),
        ('{"logs": ["a"], "runs": [{"filter": {}}]}', "a run has no 'filter'; keys are estimator, filters"),
        ('{"logs": ["a"], "runs": [{"estimator": 5}]}', "estimator is a text, met 5"),
        ('{"logs": ["a"], "runs": [{"filters": "all"}]}', "filters is an object or \"none\", met 'all'"),
        ('{"logs": ["a"], "runs": [{}], "webhook_url": 5}', "webhook_url is a text"),
        ('{"logs": ["a"], "runs": [{}], "webhook": "x"}', "an analysis has no 'webhook'"),
        (b'{"logs": ["\xff"]}', "the body is not JSON"),
    ],
)
async def test_orders_of_another_shape_are_refused_with_what_is_allowed(
    client: httpx.AsyncClient, desk: FakeDesk, body: str | bytes, words: str
) -> None:
    answer = await client.post("/api/v1/analyses", content=body, headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "invalid_request")
    assert words in error["message"]
    assert len(error["message"]) < 600
    assert desk.orders == []


async def test_wrong_content_type_and_too_large_a_body(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/analyses", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    answer = await client.post(
        "/api/v1/analyses", content=b" " * 70_000, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413


async def test_lists_pass_on_what_was_asked(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/analyses?webhook_url=http://x/&status=failed&limit=7")
    assert answer.json() == {"analyses": [{"webhook_url": "http://x/", "status": "failed", "limit": 7}]}
    for query in ("limit=0", "limit=1001", "limit=x", "status=gone", "webhook_url=" + "x" * 2001):
        assert (await client.get(f"/api/v1/analyses?{query}")).status_code == 422


SECRET = "https://user:word@hooks.example:8443/T0ken/abc?key=5ecret#part"


@pytest.mark.parametrize(
    ("address", "shown"), [("127.0.0.1", SECRET), ("192.168.4.20", "https://hooks.example:8443")]
)
async def test_whoever_may_only_look_sees_no_more_of_a_webhook_than_its_host(
    desk: FakeDesk, address: str, shown: str
) -> None:
    desk.change(webhook_url=SECRET, status="completed")
    transport = httpx.ASGITransport(
        create_app(FakeBoard(), version="1", analyses=desk), client=(address, 50000)
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        listed = await client.get("/api/v1/analyses", params={"webhook_url": SECRET})
        assert listed.json()["analyses"][0]["webhook_url"] == shown
        assert (await client.get("/api/v1/analyses/a")).json()["webhook_url"] == shown
        (data,) = re.findall("data: (.*)", (await client.get("/api/v1/analyses/a/events")).text)
        assert json.loads(data)["webhook_url"] == shown


async def test_what_there_is_not(client: httpx.AsyncClient) -> None:
    for method, path in (("GET", "b"), ("GET", "b/events"), ("DELETE", "b")):
        answer = await client.request(method, f"/api/v1/analyses/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "analysis_unknown")
    head = await client.head("/api/v1/analyses/a/events")
    assert (head.status_code, head.headers["allow"]) == (405, "GET")


async def test_pages_of_other_origins_may_not_ask_or_cancel(client: httpx.AsyncClient) -> None:
    for method, path in (("POST", ""), ("DELETE", "/a")):
        headers = {"origin": "http://evil.example"}
        answer = await client.request(method, f"/api/v1/analyses{path}", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")


async def test_events_follow_a_run_until_it_has_ended(
    desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis_events, "QUIET_S", 0.02)
    seen: list[dict[str, Any]] = []
    comments = 0
    async with (
        serving(create_app(FakeBoard(), version="1", analyses=desk)) as url,
        httpx.AsyncClient() as client,
        asyncio.timeout(30.0),
        client.stream("GET", f"{url}api/v1/analyses/a/events") as answer,
    ):
        assert answer.headers["cache-control"] == "no-store"
        async for line in answer.aiter_lines():
            if line.startswith(":"):
                comments += 1
            if line.startswith("data: "):
                seen.append(json.loads(line[6:]))
            if seen and comments >= 2 and seen[-1]["status"] == "unstarted":
                desk.change(status="processing", progress=0.5, table={"cells": []})
            elif seen and seen[-1]["status"] == "processing":
                desk.change(status="completed", progress=1.0)
    assert [event["status"] for event in seen] == ["unstarted", "processing", "completed"]
    assert seen[1]["table"] == {"cells": []}


async def test_the_end_of_the_service_ends_its_streams(desk: FakeDesk) -> None:
    async with (
        serving(create_app(FakeBoard(), version="1", analyses=desk)) as url,
        httpx.AsyncClient() as client,
        asyncio.timeout(30.0),
        client.stream("GET", f"{url}api/v1/analyses/a/events") as answer,
    ):
        lines = answer.aiter_lines()
        assert await anext(lines) == "id: 1"
        desk.closed = True
        desk.change()
        rest = [line async for line in lines]
    assert not [line for line in rest if line == "id: 2"]

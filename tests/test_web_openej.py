"""The OpenEJ service over HTTP: its answers, damaged bodies, and pages of other origins."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fakes import FakeBoard

from web.app import create_app
from web.cross_origin import OpenEjOrigins

ORIGIN = "http://localhost"
FRONTEND = "https://openej.example"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(FakeBoard(), version="1.2.3", openej_origins=["https://OpenEJ.example"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as opened:
        yield opened


def error_of(response: httpx.Response) -> dict[str, object]:
    """The error of a response, after checking its shape."""
    document = response.json()
    assert set(document) == {"error"}
    assert set(document["error"]) == {"code", "message", "detail"}
    return document["error"]


def row(time_ms: float, maf_v: float | None, short: float = 1.0) -> dict[str, float | None]:
    return {
        "time": time_ms,
        "af_correction_short": short,
        "af_correction_learning": 0.5,
        "intake_air_temp": 20.0,
        "mass_airflow_voltage": maf_v,
        "cl_ol_status": 8,
    }


@pytest.mark.parametrize("path", ["/api/analyze/0/", "/api/analyze/0"])
async def test_openej_answers_48_rows(client: httpx.AsyncClient, path: str) -> None:
    response = await client.post(
        path, json=[row(0, 1.25), row(100, None), row(200, 1.25), row(300, 1.25, 3.0)]
    )
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    cells = response.json()
    assert len(cells) == 48
    assert cells[8] == {"MafVoltage": 1.25, "Correction": 2.17, "Frequency": 3}


async def test_openej_takes_an_empty_list(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/analyze/0/", json=[])
    assert response.status_code == 200
    assert {(cell["Correction"], cell["Frequency"]) for cell in response.json()} == {(0.0, 0)}


@pytest.mark.parametrize("body", [b"{}", b"nonsense", b"[1, 2]", b"", b"null", b"\xff\xfe"])
async def test_openej_says_what_is_wrong_with_a_body(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/api/analyze/0/", content=body)
    assert response.status_code == 422
    assert error_of(response)["code"] == "invalid_request"


async def test_openej_refuses_an_announced_body_above_its_limit_unread(client: httpx.AsyncClient) -> None:
    headers = {"content-length": str(100_000_001)}
    response = await client.post("/api/analyze/0/", content=b"[]", headers=headers)
    assert response.status_code == 413
    error_of(response)


@pytest.mark.parametrize("short", ["1e308", "-1e308", "1e400", "9" * 5000])
async def test_openej_skips_a_row_whose_trims_have_no_finite_sum(
    client: httpx.AsyncClient, short: str
) -> None:
    learning = "-1e308" if short.startswith("-") else "1e308"
    damaged = (
        f'{{"time": 100, "af_correction_short": {short}, "af_correction_learning": {learning}, '
        '"intake_air_temp": 20, "mass_airflow_voltage": 1.25, "cl_ol_status": 8}'
    )
    good = json.dumps(row(0, 1.25))
    response = await client.post("/api/analyze/0/", content=f"[{good}, {damaged}]")
    assert response.status_code == 200
    cells = response.json()
    assert cells[8] == {"MafVoltage": 1.25, "Correction": 1.5, "Frequency": 1}
    assert sum(cell["Frequency"] for cell in cells) == 1
    assert all(isinstance(cell["Correction"], float) for cell in cells)


async def test_openej_errors_give_no_advice_on_python(client: httpx.AsyncClient) -> None:
    for body in ("9" * 5000, "[" + "9" * 5000 + "]", "[" * 100_000):
        message = str(error_of(await client.post("/api/analyze/0/", content=body))["message"])
        assert "a JSON array of objects is needed" in message
        assert "sys." not in message
    message = str(error_of(await client.post("/api/analyze/0/", content=b'["\xff"]'))["message"])
    assert "codec" not in message


# ---- pages of other origins


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/api/analyze/0", "POST"),
        ("/api/analyze/0/", "POST"),
        ("/heartbeat/0", "GET"),
        ("/heartbeat/0/", "GET"),
    ],
)
async def test_an_allowed_origin_may_ask_and_read(client: httpx.AsyncClient, path: str, method: str) -> None:
    preflight = await client.options(
        path,
        headers={
            "origin": FRONTEND,
            "access-control-request-method": method,
            "access-control-request-headers": "content-type",
            "access-control-request-private-network": "true",
        },
    )
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == FRONTEND
    assert method in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] == "content-type"
    assert preflight.headers["access-control-allow-private-network"] == "true"
    assert "access-control-allow-credentials" not in preflight.headers
    content = b"[]" if method == "POST" else None
    answer = await client.request(method, path, content=content, headers={"origin": FRONTEND})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == FRONTEND
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "origin",
    [
        "http://openej.example",
        "https://openej.example:444",
        "https://openej.example.evil.example",
        "https://www.openej.example",
        "null",
        "",
    ],
)
async def test_no_other_origin_may_ask_or_read(client: httpx.AsyncClient, origin: str) -> None:
    headers = {"origin": origin, "access-control-request-method": "POST"}
    preflight = await client.options("/api/analyze/0/", headers=headers)
    assert preflight.status_code == 405
    assert "access-control-allow-origin" not in preflight.headers
    refused = await client.post("/api/analyze/0/", json=[], headers={"origin": origin})
    assert refused.status_code == 403
    assert error_of(refused)["code"] == "origin_not_allowed"
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize("path", ["/api/v1/commands", "/api/v1/table", "/", "/api/analyze/0/x"])
async def test_an_allowed_origin_gets_at_nothing_else(client: httpx.AsyncClient, path: str) -> None:
    headers = {"origin": FRONTEND, "access-control-request-method": "POST"}
    preflight = await client.options(path, headers=headers)
    assert preflight.status_code in (404, 405)
    assert "access-control-allow-origin" not in preflight.headers
    refused = await client.post(path, json={"command": "reset"}, headers={"origin": FRONTEND})
    assert refused.status_code == 403


async def test_without_configuration_no_origin_is_allowed() -> None:
    app = create_app(FakeBoard(), version="1.2.3")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client:
        answer = await client.get("/heartbeat/0/", headers={"origin": FRONTEND})
        assert "access-control-allow-origin" not in answer.headers
        assert "vary" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["*", "openej.example", "https://openej.example/", "https://a b", "ftp://openej.example", ""]
)
def test_what_is_no_origin_is_refused_at_start(origin: str) -> None:
    with pytest.raises(ValueError, match="like https://openej"):
        OpenEjOrigins([origin])

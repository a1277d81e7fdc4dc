"""Which names the server answers to, who may change things, and the headers of every response."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fakes import FakeBoard

from web.app import create_app
from web.security import SECURITY_HEADERS, Guard, HostRule


@pytest.fixture
def board() -> FakeBoard:
    return FakeBoard()


@pytest.fixture
async def client(board: FakeBoard) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(board, version="1.2.3", host_names=["Garage.Example."])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://192.168.4.1:8000"
    ) as opened:
        yield opened


@pytest.mark.parametrize(
    "host",
    [
        "192.168.4.1:8000",
        "127.0.0.1",
        "[::1]:8000",
        "[fe80::1]",
        "localhost:8000",
        "LOCALHOST",
        "lowmaf.local:8000",
        "lowmaf.local.",
        "garage.example:80",
    ],
)
async def test_own_names_are_answered(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/api/v1/table", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "192.168.4.1.evil.example",
        "localhost.evil.example",
        "evil-local",
        "local",
        "2130706433",
        "0x7f.1",
        "127.0.0.1@evil.example",
        "[::1",
        "::1",
        "",
        "localhost:8000:1",
        "a b.local",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/v1/table", "/api/v1/stream", "/static/app.js", "/metrics"])
async def test_foreign_names_are_not_answered(client: httpx.AsyncClient, host: str, path: str) -> None:
    response = await client.get(path, headers={"host": host})
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "host_not_allowed"


@pytest.mark.parametrize("hosts", [[], [b"localhost", b"evil.example"]])
async def test_exactly_one_host_is_needed(board: FakeBoard, hosts: list[bytes]) -> None:
    app = create_app(board, version="1.2.3")
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/v1/table",
        "query_string": b"",
        "headers": [(b"host", host) for host in hosts],
    }
    await app(scope, receive, send)
    assert sent[0]["status"] == 400


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://192.168.4.1",
        "http://192.168.4.1:8001",
        "http://localhost:8000",
        "null",
        "ftp://192.168.4.1:8000",
        "http://192.168.4.1:8000.evil.example",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/commands", "/api/analyze/0/"])
async def test_foreign_pages_change_nothing(
    client: httpx.AsyncClient, board: FakeBoard, origin: str, path: str
) -> None:
    response = await client.post(path, json={"command": "reset"}, headers={"origin": origin})
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "origin_not_allowed"
    assert board.commands == []


@pytest.mark.parametrize("origin", [None, "http://192.168.4.1:8000", "https://192.168.4.1:8000"])
async def test_own_pages_and_scripts_may_command(
    client: httpx.AsyncClient, board: FakeBoard, origin: str | None
) -> None:
    headers = {"origin": origin} if origin else {}
    response = await client.post("/api/v1/commands", json={"command": "reset"}, headers=headers)
    assert response.status_code == 200
    assert len(board.commands) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/static/page.css", 200),
        ("GET", "/api/v1/table", 200),
        ("GET", "/api/v1/table?format=csv", 200),
        ("GET", "/nothing", 404),
        ("POST", "/api/v1/commands", 415),
        ("PUT", "/api/v1/table", 405),
    ],
)
async def test_every_response_carries_the_security_headers(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    for name, value in SECURITY_HEADERS.items():
        assert response.headers.get_list(name) == [value]
    assert "access-control-allow-origin" not in response.headers
    policy = response.headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy


async def test_refusals_carry_the_security_headers(client: httpx.AsyncClient) -> None:
    response = await client.get("/", headers={"host": "evil.example"})
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_what_is_not_http_passes_untouched() -> None:
    passed = []

    async def app(scope: object, receive: object, send: object) -> None:
        passed.append(scope)

    await Guard(app, HostRule())({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert passed == [{"type": "lifespan"}]

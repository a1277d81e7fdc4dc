"""Who may do what: this machine, paired devices, scripts, and everybody else of the network."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from paired_app import CAR, PHONE, PairedApp, paired_app
from starlette.routing import Route

from web.access import COOKIE, AccessSettings
from web.app import create_app
from web.rate_limit import MOST_ADDRESSES, RateLimit
from web.request_body import BodyLimits

UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE")
OPENEJ = {"/api/analyze/0", "/api/analyze/0/"}
PAUSE = {"command": "pause"}
ROW = [{"time": 0, "af_correction_short": 1, "af_correction_learning": 1, "intake_air_temp": 20,
        "mass_airflow_voltage": 2.0, "cl_ol_status": 8}]  # fmt: skip


@pytest.fixture
async def car(tmp_path: Path) -> AsyncIterator[PairedApp]:
    async with paired_app(tmp_path) as opened:
        yield opened


def routes(app: httpx.ASGITransport | object) -> list[tuple[str, set[str]]]:
    """Every path of the router, its parameters filled in, with the methods that it takes."""
    found = [route for route in app.routes if isinstance(route, Route)]  # type: ignore[attr-defined]
    assert len(found) > 35, "not all routes were added"
    return [(re.sub(r"\{[^}]+\}", "1", route.path), set(route.methods or ())) for route in found]


async def test_no_unsafe_route_is_open_to_the_network(car: PairedApp) -> None:
    async with car.client() as client:
        for path, methods in routes(car.app):
            for method in {*methods, *UNSAFE} - {"GET", "HEAD"}:
                if path in OPENEJ and method == "POST":
                    continue
                bodies: list[dict[str, object]] = [{}, {"json": {"command": "reset"}}, {"content": b"\xff"}]
                for body in bodies:
                    response = await client.request(method, path, **body)  # type: ignore[arg-type]
                    assert response.status_code in (401, 403), f"{method} {path} is open"
                    assert response.json()["error"]["message"]
                    if response.status_code == 401:
                        assert response.headers["www-authenticate"].startswith("Bearer")
    assert car.board.commands == []
    assert car.devices.devices() == []


def test_the_walk_sees_the_routes_of_everything_that_can_be_offered() -> None:
    parts = set(inspect.signature(create_app).parameters) - {"board", "version", "front"}
    names = {"host_names", "openej_origins"}  # offer no routes
    given = set(re.findall(r"^            (\w+)=", inspect.getsource(paired_app), re.MULTILINE))
    assert parts - names <= given


async def test_the_walk_finds_a_route_that_is_open(car: PairedApp) -> None:
    """Nothing a route says of itself opens it, and unknown paths are not open either."""

    @car.app.post("/api/v1/forgotten")
    async def forgotten() -> dict[str, str]:
        raise AssertionError("reached")

    async with car.client() as client:
        assert (await client.post("/api/v1/forgotten")).status_code == 401
        assert (await client.post("/nothing/here")).status_code == 401


@pytest.mark.parametrize(
    ("address", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:8000", 200),
        ("127.0.0.7", "localhost:8000", 200),
        ("::1", "[::1]:8000", 200),
        ("::ffff:127.0.0.1", "localhost", 200),
        ("127.0.0.1", f"{CAR}:8000", 200),  # lowmaf's own commands, where it listens on that address only
        ("127.0.0.1", "lowmaf.local:8000", 401),  # anybody on the network may say that this name is here
        ("127.0.0.1", "192.168.4.77:8000", 401),
        (PHONE, "127.0.0.1:8000", 401),
        (PHONE, "localhost:8000", 401),
        (CAR, f"{CAR}:8000", 401),
        ("fe80::1%wlan0", f"{CAR}:8000", 401),
        ("nonsense", f"{CAR}:8000", 401),
    ],
)
async def test_only_somebody_at_the_machine_needs_no_pairing(
    car: PairedApp, address: str, host: str, status: int
) -> None:
    async with car.client(address, host=host) as client:
        assert (await client.post("/api/v1/commands", json=PAUSE)).status_code == status


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip", "via", "x-forwarded-host"])
async def test_who_comes_through_a_proxy_is_not_at_the_machine(car: PairedApp, header: str) -> None:
    async with car.client("127.0.0.1", host="127.0.0.1", **{header: "127.0.0.1"}) as client:
        assert (await client.post("/api/v1/commands", json=PAUSE)).status_code == 401


async def test_without_devices_only_this_machine_changes_things(car: PairedApp) -> None:
    alone = create_app(car.board, version="1.2.3")
    for address, status in (("127.0.0.1", 200), (PHONE, 401)):
        transport = httpx.ASGITransport(alone, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{CAR}") as client:
            assert (await client.post("/api/v1/commands", json=PAUSE)).status_code == status
            assert (await client.get("/api/v1/table")).status_code == 200


async def test_reading_is_open_but_for_what_is_the_owners(car: PairedApp) -> None:
    async with car.client() as client:
        for path in ("/", "/static/app.js", "/api/v1/table", "/api/v1/status", "/metrics"):
            assert (await client.get(path)).status_code == 200, path
        for path in ("/api/v1/devices", "/api/v1/diagnosis"):
            assert (await client.get(path)).status_code == 401, path
            assert (await client.head(path)).status_code == 401, path


async def test_reading_may_need_pairing_too(tmp_path: Path) -> None:
    async with paired_app(tmp_path, AccessSettings(read_requires_pairing=True)) as car:
        assert car.app.state.hot_paths is None, "the short way asks nobody who he is"
        async with car.client() as client:
            for path, methods in routes(car.app):
                if "GET" in methods and path not in ("/", "/static/1", "/heartbeat/0", "/heartbeat/0/"):
                    assert (await client.get(path)).status_code == 401, path
            assert (await client.get("/")).status_code == 200
            assert (await client.get("/static/app.js")).status_code == 200
            token = await car.token()
            assert (await client.get("/api/v1/table", headers=token)).status_code == 200
        async with car.client("127.0.0.1") as here:
            assert (await here.get("/api/v1/table")).status_code == 200


async def test_a_stream_ends_when_its_reader_is_revoked(tmp_path: Path) -> None:
    async with paired_app(tmp_path, AccessSettings(read_requires_pairing=True)) as car:
        headers = [(b"host", CAR.encode()), (b"authorization", (await car.token())["authorization"].encode())]
        scope = {"type": "http", "method": "GET", "path": "/api/v1/stream", "query_string": b"",
                 "headers": headers, "client": (PHONE, 1), "server": (CAR, 8000)}  # fmt: skip
        first, sent = asyncio.Event(), list[bytes]()

        async def receive() -> dict[str, object]:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: dict[str, object]) -> None:
            sent.append(bytes(message.get("body", b"")))  # type: ignore[call-overload]
            first.set()

        reading = asyncio.create_task(car.app(scope, receive, send))  # type: ignore[arg-type]
        await first.wait()
        (device,) = car.devices.devices()
        await car.devices.revoke(device.id)
        async with asyncio.timeout(20.0):
            await reading
        assert sent[-1] == b""


async def test_a_bearer_token_is_a_key_until_it_is_revoked(car: PairedApp) -> None:
    token = await car.token()
    async with car.client(**token) as client:
        assert (await client.post("/api/v1/commands", json=PAUSE)).status_code == 200
        refused = await client.get("/api/v1/devices")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_for_tokens")
        assert (await client.post("/api/v1/devices", json={"kind": "device"})).status_code == 403
        (device,) = car.devices.devices()
        assert (await client.delete(f"/api/v1/devices/{device.id}")).status_code == 403
        await car.devices.revoke(device.id)
        refused = await client.post("/api/v1/commands", json=PAUSE)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "credential_unknown")


@pytest.mark.parametrize(
    "presented",
    ["", "x", "Bearer", "Bearer ", "Basic {}", "Bearer {}x", "Bearer lowmaf_{id}_", "Bearer lowmaf_{id}_AAAA",
     "Bearer lowmaf__", "Bearer lowmaf_0_" + "A" * 300, "Bearer \xe9"],
)  # fmt: skip
async def test_what_is_no_token_lets_nobody_in(car: PairedApp, presented: str) -> None:
    whole = (await car.token())["authorization"].removeprefix("Bearer ")
    text = presented.format(whole, id=car.devices.devices()[0].id)
    async with car.client() as client:
        response = await client.post(
            "/api/v1/commands", json=PAUSE, headers=[(b"authorization", text.encode("latin-1"))]
        )
        assert response.status_code == 401


async def test_a_cookie_among_others_is_found_and_a_mangled_one_is_not(car: PairedApp) -> None:
    whole = (await car.token())["authorization"].removeprefix("Bearer ")
    async with car.client() as client:
        for cookies, status in (
            (f"theme=dark; {COOKIE}={whole}; other=1", 200),
            (f"broken{{,; {COOKIE}={whole}", 200),
            (f"{COOKIE}={whole[:-1]}", 401),
            (f"not_{COOKIE}={whole}", 401),
        ):
            answer = await client.post("/api/v1/commands", json=PAUSE, headers={"cookie": cookies})
            assert answer.status_code == status, cookies


async def test_the_openej_service_is_open_but_not_for_a_flood(tmp_path: Path) -> None:
    settings = AccessSettings(openej_per_min=6.0)
    async with paired_app(tmp_path, settings) as car, car.client() as client:
        answers = [await client.post("/api/analyze/0/", json=ROW) for _ in range(8)]
        assert [answer.status_code for answer in answers] == [200] * 6 + [429] * 2
        assert answers[-1].json()["error"]["code"] == "too_many_requests"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
        async with car.client("192.168.4.21") as other:
            assert (await other.post("/api/analyze/0/", json=ROW)).status_code == 200
        token = await car.token()
        assert (await client.post("/api/analyze/0", json=ROW, headers=token)).status_code == 200


async def test_the_openej_service_can_be_switched_off(tmp_path: Path) -> None:
    async with paired_app(tmp_path, AccessSettings(openej_offered=False)) as car:
        for address in ("127.0.0.1", PHONE):
            async with car.client(address) as client:
                answer = await client.post("/api/analyze/0/", json=ROW)
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "service_off")


async def test_only_two_strangers_use_the_openej_service_at_once(car: PairedApp) -> None:
    """A body may have 100 MB and is held whole."""
    hold = asyncio.Event()

    async def slow_body() -> AsyncIterator[bytes]:
        yield b"["
        await hold.wait()
        yield b"]"

    async def post(address: str) -> int:
        async with car.client(address) as client:
            return (await client.post("/api/analyze/0/", content=slow_body())).status_code

    held = [asyncio.create_task(post(f"192.168.4.{number}")) for number in (30, 31)]
    for _ in range(20):
        await asyncio.sleep(0)
    async with car.client() as client:
        answer = await client.post("/api/analyze/0/", json=ROW)
        assert answer.status_code == 429
        hold.set()
        assert await asyncio.gather(*held) == [200, 200]
        assert (await client.post("/api/analyze/0/", json=ROW)).status_code == 200


async def test_an_address_that_asks_without_end_is_told_to_wait(tmp_path: Path) -> None:
    async with paired_app(tmp_path, AccessSettings(requests_per_s=1.0)) as car, car.client() as client:
        answers = [(await client.get("/heartbeat/0/")).status_code for _ in range(8)]
        assert answers[:5] == [200] * 5
        assert answers[-1] == 429
        async with car.client("192.168.4.21") as other, car.client("127.0.0.1") as here:
            assert (await other.get("/heartbeat/0/")).status_code == 200
            assert {(await here.get("/heartbeat/0/")).status_code for _ in range(20)} == {200}


def test_a_rate_limit_fills_again_and_forgets_the_longest_unseen() -> None:
    now_s = 0.0
    limit = RateLimit(per_s=0.5, burst=2.0, clock=lambda: now_s)
    assert [limit.take("a") for _ in range(3)] == [0.0, 0.0, 2.0]
    assert limit.take("b") == 0.0
    now_s = 1.0
    assert limit.take("a") == pytest.approx(1.0)
    now_s = 3.0
    assert limit.take("a") == 0.0
    for number in range(MOST_ADDRESSES):
        limit.take(f"c{number}")
    assert len(limit._buckets) == MOST_ADDRESSES
    assert limit.take("a") == 0.0, "begins anew"


async def drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.01)


async def test_a_body_that_comes_too_slowly_is_given_up(tmp_path: Path) -> None:
    slow = AccessSettings(bodies=BodyLimits(wait_s=0.2))
    async with paired_app(tmp_path, slow) as car, car.client() as client, asyncio.timeout(10.0):
        answer = await client.post("/api/analyze/0/", content=drip())
        assert (answer.status_code, answer.json()["error"]["code"]) == (408, "body_too_slow")
        assert "[limits] body_wait_s" in answer.json()["error"]["message"]
        assert (await client.post("/api/analyze/0/", json=ROW)).status_code == 200


async def test_a_body_has_the_longer_the_more_of_it_comes(tmp_path: Path) -> None:
    slow = AccessSettings(bodies=BodyLimits(wait_s=0.2, least_bytes_per_s=1.0))
    content = json.dumps(ROW).encode()

    async def in_pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 20):
            yield content[at : at + 20]
            await asyncio.sleep(0.05)

    async with paired_app(tmp_path, slow) as car, car.client() as client:
        assert 0.05 * len(content) / 20 > slow.bodies.wait_s
        assert (await client.post("/api/analyze/0/", content=in_pieces())).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "media_type", "limits"),
    [
        ("POST", "/api/v1/pair", "application/json", BodyLimits(json_bytes=500)),
        ("POST", "/api/v1/commands", "application/json", BodyLimits(json_bytes=500)),
        ("PUT", "/api/v1/maf-table", "text/csv", BodyLimits(table_bytes=500)),
    ],
)
async def test_how_much_a_body_has_is_the_owners_choice(
    tmp_path: Path, method: str, path: str, media_type: str, limits: BodyLimits
) -> None:
    async with paired_app(tmp_path, AccessSettings(bodies=limits)) as car:
        headers = {**await car.token(), "content-type": media_type}
        async with car.client(**headers) as client:
            within = await client.request(method, path, content=b" " * 500)
            beyond = await client.request(method, path, content=b" " * 501)
    assert within.status_code not in {413, 500}
    assert (beyond.status_code, beyond.json()["error"]["detail"]) == (413, {"limit_bytes": 500})


async def test_the_size_of_a_log_for_the_openej_service_is_the_owners_choice(tmp_path: Path) -> None:
    async with paired_app(tmp_path, AccessSettings(openej_max_bytes=500)) as car, car.client() as client:
        assert (await client.post("/api/analyze/0/", json=ROW * 2)).status_code == 200
        answer = await client.post("/api/analyze/0/", json=ROW * 20)
        assert (answer.status_code, answer.json()["error"]["detail"]) == (413, {"limit_bytes": 500})

"""The routes of kept drives, over real drives in a store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kept_drives import Kept, drive, kept
from test_web_app import error_of

from daemon.store.records import StoreError
from web.app import create_app

SESSIONS = "/api/v1/sessions"


@pytest.fixture
async def car(tmp_path: Path) -> AsyncIterator[Kept]:
    async with kept(tmp_path / "car.sqlite3") as opened:
        await opened.driven(1)
        await opened.driven(2)
        yield opened


@pytest.fixture
async def client(car: Kept) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(car.hub, version="1.2.3", sessions=car.sessions)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as opened:
        yield opened


async def test_drives_are_listed_with_an_etag_that_changes_with_them(client: httpx.AsyncClient) -> None:
    response = await client.get(SESSIONS)
    assert response.status_code == 200
    first, second = response.json()["sessions"]
    assert set(first) == {
        "id", "name", "driver", "started", "clock", "duration_s", "state", "samples", "accepted",
        "maf_table_revision", "epoch", "included", "counts", "counts_not_because", "log",
    }  # fmt: skip
    assert (first["id"], second["id"]) == (1, 2)
    assert (first["state"], first["counts"], first["counts_not_because"]) == ("ended", True, None)
    assert first["samples"] == len(drive(1))
    tag = {"if-none-match": response.headers["etag"]}
    assert (await client.get(SESSIONS, headers=tag)).status_code == 304
    await client.patch(f"{SESSIONS}/1", json={"name": "to work"})
    again = await client.get(SESSIONS, headers=tag)
    assert again.status_code == 200
    assert again.json()["sessions"][0]["name"] == "to work"


async def test_one_drive_has_its_verdicts_minutes_and_settings(client: httpx.AsyncClient) -> None:
    response = await client.get(f"{SESSIONS}/2")
    document = response.json()
    assert document["format"] == "lowmaf.session/1"
    assert sum(verdict["count"] for verdict in document["verdicts"]) == document["samples_kept"]
    assert [minute["minute"] for minute in document["minutes"]] == [0, 1, 2]
    assert document["settings"]["filters"]["min_ect_c"] == "-inf"
    tag = {"if-none-match": response.headers["etag"]}
    assert (await client.get(f"{SESSIONS}/2", headers=tag)).status_code == 304
    head = await client.head(f"{SESSIONS}/2")
    assert head.status_code == 200


async def test_a_drive_is_left_out_of_the_table_and_taken_in_again(
    client: httpx.AsyncClient, car: Kept
) -> None:
    before = (await client.get("/api/v1/table")).json()
    answer = await client.patch(f"{SESSIONS}/2", json={"included": False, "name": "towing"})
    assert answer.status_code == 200
    assert (answer.json()["included"], answer.json()["name"]) == (False, "towing")
    without = (await client.get("/api/v1/table")).json()
    assert without["samples"]["seen"] == len(drive(1))
    assert without["revision"] > before["revision"]
    assert (await client.patch(f"{SESSIONS}/2", json={"included": True})).json()["counts"] is True
    again = (await client.get("/api/v1/table")).json()
    assert again["cells"] == before["cells"]
    assert (await client.patch(f"{SESSIONS}/2", json={"name": None})).json()["name"] is None
    assert car.hub.snapshot().counts.seen == 2 * len(drive(1))


async def test_a_drive_is_deleted_once(client: httpx.AsyncClient) -> None:
    answer = await client.delete(f"{SESSIONS}/1")
    assert (answer.status_code, answer.content) == (204, b"")
    gone = await client.delete(f"{SESSIONS}/1")
    assert gone.status_code == 404
    assert error_of(gone)["message"] == "there is no session 1; there are 2 to 2"


async def test_a_drive_is_made_anew(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{SESSIONS}/1/rebuild")
    assert answer.json() == {
        "id": 1,
        "outcome": "same",
        "message": f"{len(drive(1))} samples give the kept cells",
    }


@pytest.mark.parametrize(
    ("query", "media_type", "name"),
    [
        ("", "text/csv; charset=utf-8", "lowmaf-session-1.csv"),
        ("?format=csv", "text/csv; charset=utf-8", "lowmaf-session-1.csv"),
        ("?format=json", "application/json", "lowmaf-session-1.json"),
    ],
)
async def test_a_drive_is_exported_as_a_file(
    client: httpx.AsyncClient, query: str, media_type: str, name: str
) -> None:
    answer = await client.get(f"{SESSIONS}/1/export{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    if media_type == "application/json":
        assert len(answer.json()["rows"]) == len(drive(1))
    else:
        assert answer.text.count("\n") == len(drive(1)) + 1


async def test_the_drive_that_goes_on_is_refused_with_what_to_do(
    client: httpx.AsyncClient, car: Kept
) -> None:
    going_on = car.begin(drive(3))
    await car.store.flush()
    address = f"{SESSIONS}/{going_on}"
    for answer in (
        await client.patch(address, json={"included": False}),
        await client.delete(address),
        await client.post(f"{address}/rebuild"),
    ):
        assert answer.status_code == 409
        assert error_of(answer)["code"] == "session_goes_on"
    assert (await client.patch(address, json={"name": "now"})).json()["state"] == "driving"
    assert (await client.get(f"{address}/export")).status_code == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "the body is not JSON"),
        (b"[]", "a change looks like"),
        (b"{}", "a change looks like"),
        (b'{"included": 1}', "included is true or false, met 1"),
        (b'{"included": null}', "included is true or false, met None"),
        (b'{"name": 7}', "at most 80 printable characters"),
        (b'{"name": "a\\nb"}', "at most 80 printable characters"),
        (json.dumps({"name": "x" * 81}).encode(), "at most 80 printable characters"),
        (b'{"include": true}', "met include; a change looks like"),
        (b'{"included": false, "id": 3}', "met id; a change looks like"),
    ],
)
async def test_a_change_that_makes_no_sense_changes_nothing(
    client: httpx.AsyncClient, body: bytes, says: str
) -> None:
    before = (await client.get(SESSIONS)).json()
    answer = await client.patch(f"{SESSIONS}/1", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert says in str(error_of(answer)["message"])
    assert (await client.get(SESSIONS)).json() == before


async def test_a_change_is_sent_as_json_and_is_small(client: httpx.AsyncClient) -> None:
    answer = await client.patch(f"{SESSIONS}/1", content=b"{}", headers={"content-type": "text/plain"})
    assert (answer.status_code, error_of(answer)["code"]) == (415, "unsupported_media_type")
    headers = {"content-type": "application/json"}
    answer = await client.patch(f"{SESSIONS}/1", content=b" " * 70_000, headers=headers)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("number", "status"), [("3", 404), ("2147483647", 404), ("0", 422), ("-1", 422), ("x", 422), ("1e3", 422),
                           ("99999999999999999999999", 422)]
)  # fmt: skip
async def test_numbers_that_are_not_there(client: httpx.AsyncClient, number: str, status: int) -> None:
    for method, path in (
        ("GET", ""), ("DELETE", ""), ("PATCH", ""), ("GET", "/export"), ("POST", "/rebuild"),
    ):  # fmt: skip
        body: dict[str, Any] = {"json": {"name": "x"}} if method == "PATCH" else {}
        answer = await client.request(method, f"{SESSIONS}/{number}{path}", **body)
        assert answer.status_code == status
        error_of(answer)


async def test_an_unknown_format_says_what_there_is(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{SESSIONS}/1/export?format=xlsx")
    assert answer.status_code == 422
    assert "allowed: 'csv' or 'json'" in str(error_of(answer)["message"])


async def test_a_database_that_fails_is_said(
    client: httpx.AsyncClient, car: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise StoreError("car.sqlite3: cannot be read: disk I/O error")

    monkeypatch.setattr(car.store, "sessions", fails)
    answer = await client.get(SESSIONS)
    assert answer.status_code == 503
    assert error_of(answer)["code"] == "database_unavailable"


async def test_the_newest_hour_of_verdicts_is_told(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/verdicts")).json()
    assert [(minute["session"], minute["minute"]) for minute in document["minutes"]] == [
        (session, minute) for session in (1, 2) for minute in (0, 1, 2)
    ]
    assert sum(verdict["count"] for verdict in document["verdicts"]) == 2 * len(drive(1))
    assert document["verdicts"][0]["words"] == "counted"

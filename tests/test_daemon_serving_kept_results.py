"""Published results: what was published stays as it was, under its address, also after a restart."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fakes import FakeBoard, realistic_snapshot, serving

from daemon.serving.kept_results import KeptResults
from daemon.store.store import Store
from lowmaf.snapshot import DataWarning
from web.app import create_app


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path / "car.sqlite3") as opened:
        yield opened


@pytest.fixture
def board() -> FakeBoard:
    return FakeBoard()


@pytest.fixture
async def client(store: Store, board: FakeBoard) -> AsyncIterator[httpx.AsyncClient]:
    shelf = KeptResults(store, max_results=3)
    async with (
        serving(create_app(board, version="1", results=shelf)) as url,
        httpx.AsyncClient(base_url=url) as asking,
    ):
        yield asking


async def test_a_result_stays_as_it_was_while_the_table_goes_on(
    client: httpx.AsyncClient, board: FakeBoard, store: Store
) -> None:
    table = await client.get("api/v1/table")
    romraider = await client.get("api/v1/table?format=romraider-selection")
    published = await client.post("api/v1/results", json={"name": "after the new intake"})
    assert published.status_code == 201
    address = published.headers["location"]
    assert published.json()["address"] == address
    board.next_revision()
    for _ in range(2):  # read from the database, then at hand
        kept = await client.get(address)
        assert kept.content == table.content != (await client.get("api/v1/table")).content
    assert (await client.get(address, params={"format": "romraider-selection"})).text == romraider.text
    again = await client.get(address, headers={"if-none-match": kept.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    async with (
        serving(create_app(board, version="1", results=KeptResults(store, max_results=3))) as other,
        httpx.AsyncClient(base_url=other) as asking,
    ):
        assert (await asking.get(address)).content == table.content
        assert [head["name"] for head in (await asking.get("api/v1/results")).json()["results"]] == [
            "after the new intake"
        ]


async def test_a_table_that_was_not_fit_to_flash_stays_so(
    client: httpx.AsyncClient, board: FakeBoard
) -> None:
    leak = DataWarning("air_leak_suspected", "Air leaks in behind the sensor.", blocks_flash=True)
    board.newest = dataclasses.replace(realistic_snapshot(revision=50), warnings=(leak,))
    address = (await client.post("api/v1/results")).headers["location"]
    board.newest = realistic_snapshot(revision=51)
    refused = await client.get(address, params={"format": "romraider"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_fit_to_flash")
    assert refused.json()["error"]["detail"]["reasons"] == ["Air leaks in behind the sensor."]
    assert (await client.get(address, params={"format": "romraider", "unchecked": 1})).status_code == 200


async def test_none_is_dropped_for_a_new_one_and_a_deleted_address_leads_nowhere(
    client: httpx.AsyncClient,
) -> None:
    addresses = [(await client.post("api/v1/results")).headers["location"] for _ in range(3)]
    full = await client.post("api/v1/results")
    assert (full.status_code, full.json()["error"]["code"]) == (507, "no_room")
    assert "max_results" in full.json()["error"]["message"]
    assert (await client.get(addresses[0])).status_code == 200
    assert (await client.delete(addresses[0])).status_code == 204
    for method in ("GET", "DELETE"):
        gone = await client.request(method, addresses[0])
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "result_unknown")
    assert (await client.post("api/v1/results")).status_code == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"[]", 422),
        (b'{"name": 5}', 422),
        (b'{"title": "x"}', 422),
        (b'{"name": "a\\u0007"}', 422),
        (b'{"name": "' + b"x" * 81 + b'"}', 422),
        (b'{"name": "' + b"x" * 70_000 + b'"}', 413),
        (b"{}", 201),
    ],
)
async def test_a_name_is_short_and_printable(body: bytes, status: int, client: httpx.AsyncClient) -> None:
    response = await client.post("api/v1/results", content=body, headers={"content-type": "application/json"})
    assert response.status_code == status
    if status != 201:
        assert response.json()["error"]["message"]


async def test_damage_on_the_disk_is_said(client: httpx.AsyncClient, store: Store) -> None:
    address = (await client.post("api/v1/results")).headers["location"]
    store.write("UPDATE published_results SET refusals = '[\"altered\"]'")
    await store.flush()
    damaged = await client.get(address)
    assert damaged.status_code == 503
    assert "damaged" in damaged.json()["error"]["message"]

"""The MAF table in the ECU over HTTP: understood or refused with the reason, and learning goes on with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from fakes import FakeBoard, realistic_table
from kept_drives import drive, kept
from test_web_app import error_of

from lowmaf.maf_table import default_axis
from lowmaf.table_text import format_csv, format_romraider
from web.app import create_app

ROUTE = "/api/v1/maf-table"
TABLE = realistic_table()
TEXT = {"content-type": "text/plain"}
JSON = {"content-type": "application/json"}
assert TABLE.flow_gs is not None
FLASHED_GS = TABLE.flow_gs * 1.03


@pytest.fixture
def board() -> FakeBoard:
    return FakeBoard()


@pytest.fixture
async def client(board: FakeBoard) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(board, version="1"), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as opened:
        yield opened


async def test_the_table_in_the_ecu_is_told_with_an_etag(client: httpx.AsyncClient) -> None:
    response = await client.get(ROUTE)
    document = response.json()
    assert (document["name"], document["revision"]) == (TABLE.name, 1)
    assert document["maf_v"] == TABLE.maf_v.tolist()
    again = await client.get(ROUTE, headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("form", ["romraider", "csv", "json"])
async def test_a_flashed_table_is_understood_in_every_form(
    client: httpx.AsyncClient, board: FakeBoard, form: str
) -> None:
    document = {"maf_v": TABLE.maf_v.tolist(), "flow_gs": FLASHED_GS.tolist()}
    sent = {
        "romraider": {"content": format_romraider(TABLE.maf_v, FLASHED_GS), "headers": TEXT},
        "csv": {"content": format_csv(TABLE.maf_v, FLASHED_GS), "headers": {"content-type": "text/csv"}},
        "json": {"json": document},
    }[form]
    preview = await client.put(f"{ROUTE}?preview=1&name=stage+1", **sent)  # type: ignore[arg-type]
    assert preview.status_code == 200, preview.text
    understood = preview.json()
    assert understood["preview"] is True
    assert (understood["table"]["name"], understood["table"]["revision"]) == ("stage 1", None)
    assert understood["table"]["flow_gs"] == FLASHED_GS.tolist()
    assert understood["compared"]["median_ratio"] == pytest.approx(1.03)
    assert understood["compared"]["largest_change_pct"] == pytest.approx(3.0)
    assert board.newest.table.revision == 1, "a preview changes nothing"
    answer = (await client.put(ROUTE, **sent)).json()  # type: ignore[arg-type]
    assert (answer["changed"], answer["ended_session"], answer["table"]["revision"]) == (True, 7, 2)
    assert (await client.get(ROUTE)).json()["name"] == "pasted table"


async def test_the_proposal_is_confirmed_as_it_stands(client: httpx.AsyncClient, board: FakeBoard) -> None:
    revision = board.newest.revision
    body = {"confirm_proposal": True, "revision": revision}
    answer = await client.put(ROUTE, json=body)
    assert answer.status_code == 200
    assert board.newest.proposed_gs is not None
    assert answer.json()["table"]["flow_gs"] == board.newest.proposed_gs.tolist()
    board.next_revision()
    answer = await client.put(ROUTE, json=body)
    assert answer.status_code == 409
    assert error_of(answer)["code"] == "proposal_changed"
    assert error_of(answer)["detail"] == {"revision": revision + 1}


async def test_without_flow_there_is_no_proposal_to_confirm(
    client: httpx.AsyncClient, board: FakeBoard
) -> None:
    axis = default_axis()
    board.newest = replace(board.newest, table=axis, proposed_gs=None)
    answer = await client.put(ROUTE, json={"confirm_proposal": True, "revision": board.newest.revision})
    assert (answer.status_code, error_of(answer)["code"]) == (409, "no_flow")
    answer = await client.put(ROUTE, content=format_csv(axis.maf_v, axis.maf_v * 2.0), headers=TEXT)
    assert answer.json()["compared"]["median_ratio"] is None


@pytest.mark.parametrize(
    ("body", "headers", "says"),
    [
        (b"", TEXT, "the text is empty"),
        (b"hello", TEXT, "no line of numbers"),
        (b"1\t2\t3\n10\t20", TEXT, "line 1 has 3 volts but line 2 has 2 flow values"),
        (b"1,10\n2,abc\n3,30", TEXT, "line 2, cell 2: the value 'abc' is not a number"),
        (b"1,10\n2,nan", TEXT, "line 2, cell 2"),
        (b"3,30\n2,20\n1,10", TEXT, "volts must rise"),
        (b"1,30\n2,20\n3,10", TEXT, "flow must not fall"),
        (b"1,10\n9,20", TEXT, "volts must lie in 0 to 5.5 V"),
        (b"[Selection1D]\n1\t2", TEXT, "has no volts"),
        (b"\xff\xfe\x00", TEXT, "not UTF-8 text"),
        (b"{", JSON, "not readable as JSON"),
        (b'{"maf_v": [1, 2]}', JSON, "no flow"),
        (b"[" * 50_000, JSON, "too deeply nested"),
        (b'{"confirm_proposal": true}', JSON, "confirmed by"),
        (b'{"confirm_proposal": false, "revision": 42}', JSON, "confirmed by"),
        (b'{"confirm_proposal": true, "revision": true}', JSON, "confirmed by"),
        (b'{"confirm_proposal": true, "revision": 42, "name": "x"}', JSON, "confirmed by"),
    ],
)
async def test_nonsense_is_refused_with_the_reason(
    client: httpx.AsyncClient, board: FakeBoard, body: bytes, headers: dict[str, str], says: str
) -> None:
    answer = await client.put(ROUTE, content=body, headers=headers)
    assert answer.status_code == 422
    assert says in str(error_of(answer)["message"])
    assert board.newest.table.revision == 1


async def test_a_table_in_the_wrong_unit_is_seen(client: httpx.AsyncClient, board: FakeBoard) -> None:
    text = format_romraider(TABLE.maf_v, FLASHED_GS * 3.6)
    answer = await client.put(f"{ROUTE}?preview=1", content=text, headers=TEXT)
    assert (answer.status_code, error_of(answer)["code"]) == (422, "maf_table_unlikely")
    assert "is it in kg/h?" in str(error_of(answer)["message"])
    answer = await client.put(f"{ROUTE}?unchecked=1", content=text, headers=TEXT)
    assert answer.status_code == 200
    assert board.newest.table.revision == 2


async def test_a_table_is_text_or_json_and_small(client: httpx.AsyncClient) -> None:
    answer = await client.put(ROUTE, content=b"1,2", headers={"content-type": "application/pdf"})
    assert (answer.status_code, error_of(answer)["code"]) == (415, "unsupported_media_type")
    answer = await client.put(ROUTE, content=b" " * 1_000_001, headers=TEXT)
    assert answer.status_code == 413
    for name in ("x" * 81, "a%0Ab"):
        text = format_romraider(TABLE.maf_v, FLASHED_GS)
        answer = await client.put(f"{ROUTE}?name={name}", content=text, headers=TEXT)
        assert (answer.status_code, error_of(answer)["code"]) == (422, "invalid_request")


async def test_learning_goes_on_with_the_flashed_table(tmp_path: Path) -> None:
    async with kept(tmp_path / "car.sqlite3") as car:
        await car.driven(1)
        going_on = car.begin(drive(2).slice(0, 600))
        app = create_app(car.hub, version="1", sessions=car.sessions)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            before = (await client.get("/api/v1/table")).json()
            known = [cell["proposed_gs"] for cell in before["cells"]]
            body = {"confirm_proposal": True, "revision": before["revision"]}
            answer = (await client.put(f"{ROUTE}?name=first+flash", json=body)).json()
            assert (answer["changed"], answer["carried_over"]) == (True, True)
            assert answer["ended_session"] == going_on
            assert answer["table"]["flow_gs"] == known
            after = (await client.get("/api/v1/table")).json()
            assert after["maf_table"] == {"name": "first flash", "revision": 2}
            assert after["session"] == going_on + 1
            moved = np.array([cell["proposed_gs"] != cell["flow_gs"] for cell in before["cells"]])
            assert moved.any()
            left = np.array([cell["correction_pct"] for cell in after["cells"]], dtype=np.float64)[moved]
            asked = np.array([cell["correction_pct"] for cell in before["cells"]], dtype=np.float64)[moved]
            assert np.abs(left).mean() < 0.5 * np.abs(asked).mean(), "the flash has taken effect"
            again = (await client.put(ROUTE, json={"maf_v": TABLE.maf_v.tolist(), "flow_gs": known})).json()
            assert again["changed"] is False

"""Every route over a fake board, in process."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest
from fakes import FakeBoard, realistic_snapshot

from lowmaf.document import table_document
from lowmaf.maf_table import default_axis
from lowmaf.snapshot import CellState, DataWarning, Snapshot
from web.app import create_app

ORIGIN = "http://localhost"


@pytest.fixture
def board() -> FakeBoard:
    return FakeBoard()


@pytest.fixture
async def client(board: FakeBoard) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(board, version="1.2.3"), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as opened:
        yield opened


def error_of(response: httpx.Response) -> dict[str, object]:
    """The error of a response, after checking its shape."""
    document = response.json()
    assert set(document) == {"error"}
    assert set(document["error"]) == {"code", "message", "detail"}
    assert response.headers["content-type"] == "application/json"
    assert document["error"]["message"]
    return document["error"]


# ---- the table


async def test_table_is_the_document_with_nulls_for_unknown_values(
    client: httpx.AsyncClient, board: FakeBoard
) -> None:
    response = await client.get("/api/v1/table")
    assert response.status_code == 200
    document = response.json()
    assert document["format"] == "lowmaf.table/1"
    assert document["session"] == 7
    assert document["revision"] == board.newest.revision
    assert len(document["cells"]) == 54
    assert document["cells"][-1]["state"] == "empty"
    assert document["cells"][-1]["correction_pct"] is None
    assert document["cells"][5]["correction_pct"] == board.newest.correction_pct[5]


async def test_table_is_not_sent_again_while_unchanged(client: httpx.AsyncClient, board: FakeBoard) -> None:
    first = await client.get("/api/v1/table")
    etag = first.headers["etag"]
    assert etag.startswith('"')
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = await client.get("/api/v1/table", headers={"if-none-match": sent})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    board.next_revision()
    changed = await client.get("/api/v1/table", headers={"if-none-match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


async def test_etag_tells_another_session_from_this_one(client: httpx.AsyncClient, board: FakeBoard) -> None:
    first = await client.get("/api/v1/table")
    board.session_number = 8
    second = await client.get("/api/v1/table")
    assert second.json()["session"] == 8
    assert second.headers["etag"] != first.headers["etag"]


async def test_two_daemons_at_the_same_revision_do_not_share_an_etag() -> None:
    etags = set()
    for seed in (1, 2):
        app = create_app(FakeBoard(realistic_snapshot(seed=seed)), version="1.2.3")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as opened:
            etags.add((await opened.get("/api/v1/table")).headers["etag"])
    assert len(etags) == 2


async def test_table_is_encoded_once_per_revision(
    client: httpx.AsyncClient, board: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []

    def counted(snapshot: Snapshot, session: int | None, cells: object) -> dict[str, object]:
        encoded.append(snapshot.revision)
        return table_document(snapshot, session, cells=cells)

    monkeypatch.setattr("web.current_table.table_document", counted)
    for _ in range(5):
        await client.get("/api/v1/table")
    assert encoded == [42]
    board.next_revision()
    await client.get("/api/v1/table")
    assert encoded == [42, 43]


async def test_csv_has_a_line_per_cell(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/v1/table?format=csv")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    lines = response.text.splitlines()
    assert lines[0].startswith("maf_v,flow_gs,correction_pct")
    assert len(lines) == 55
    etag = response.headers["etag"]
    again = await client.get("/api/v1/table?format=csv", headers={"if-none-match": etag})
    assert again.status_code == 304


async def test_romraider_table_is_the_proposed_flow(client: httpx.AsyncClient, board: FakeBoard) -> None:
    response = await client.get("/api/v1/table?format=romraider")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    head, volts, flow = response.text.split("\n")
    assert head == "[Table2D]"
    assert [float(cell) for cell in volts.split("\t")] == board.newest.table.maf_v.tolist()
    assert board.newest.proposed_gs is not None
    assert [float(cell) for cell in flow.split("\t")] == board.newest.proposed_gs.tolist()
    assert "\r" not in response.text


async def test_romraider_selection_leaves_all_but_measured_cells(
    client: httpx.AsyncClient, board: FakeBoard
) -> None:
    response = await client.get("/api/v1/table?format=romraider-selection")
    head, row = response.text.rstrip("\n").split("\n")
    assert head == "[Selection1D]"
    stays = [state is not CellState.MEASURED for state in board.newest.states]
    assert [cell == "x" for cell in row.split("\t")] == stays


@pytest.mark.parametrize("table_format", ["romraider", "romraider-selection"])
async def test_table_to_flash_is_refused_with_reasons_unless_unchecked(
    client: httpx.AsyncClient, board: FakeBoard, table_format: str
) -> None:
    leak = DataWarning("air_leak_suspected", "Idle is lean by 9 %: look for an air leak.", blocks_flash=True)
    board.newest = dataclasses.replace(realistic_snapshot(43, passed=False), warnings=(leak,))
    refused = await client.get(f"/api/v1/table?format={table_format}")
    assert refused.status_code == 409
    error = error_of(refused)
    assert error["code"] == "not_fit_to_flash"
    reasons = error["detail"]["reasons"]
    assert len(reasons) == 2
    assert leak.message in reasons
    assert "etag" not in refused.headers
    given = await client.get(f"/api/v1/table?format={table_format}&unchecked=1")
    assert given.status_code == 200
    assert given.text.startswith("[")


async def test_table_to_flash_needs_flow_even_unchecked(client: httpx.AsyncClient, board: FakeBoard) -> None:
    axis = default_axis()
    cells = slice(0, axis.cells)
    board.newest = dataclasses.replace(
        board.newest,
        table=axis,
        correction_pct=board.newest.correction_pct[cells],
        stderr_pct=board.newest.stderr_pct[cells],
        hits=board.newest.hits[cells],
        effective_hits=board.newest.effective_hits[cells],
        states=board.newest.states[cells],
        proposed_gs=None,
    )
    response = await client.get("/api/v1/table?format=romraider&unchecked=1")
    assert response.status_code == 409
    assert error_of(response)["code"] == "no_flow"


async def test_unknown_format_names_those_that_exist(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/v1/table?format=xml")
    assert response.status_code == 422
    message = str(error_of(response)["message"])
    assert message == (
        "query.format: met 'xml'; allowed: 'json', 'csv', 'romraider' or 'romraider-selection'"
    )
    long = await client.get(f"/api/v1/table?format={'x' * 5000}")
    assert len(str(error_of(long)["message"])) < 200
    flag = await client.get("/api/v1/table?unchecked=maybe")
    assert str(error_of(flag)["message"]).startswith("query.unchecked: met 'maybe'; ")


# ---- state


async def test_status_says_what_was_counted_in_words(client: httpx.AsyncClient, board: FakeBoard) -> None:
    document = (await client.get("/api/v1/status")).json()
    assert document["version"] == "1.2.3"
    assert document["link"]["state"] == "running"
    verdicts = {entry["verdict"]: entry for entry in document["verdicts"]}
    assert verdicts["accepted"]["count"] == board.newest.counts.accepted
    assert verdicts["open_loop"]["words"] == "open loop: the trims say nothing"
    assert sum(entry["count"] for entry in document["verdicts"]) == board.newest.counts.seen
    assert document["truth"]["rmse_pct"] == 0.84


async def test_status_takes_numpy_and_nan_from_the_board(client: httpx.AsyncClient, board: FakeBoard) -> None:
    board.set_status(storage={"bytes": np.int64(5), "used": float("nan")}, truth=None)
    document = (await client.get("/api/v1/status")).json()
    assert document["storage"] == {"bytes": 5, "used": None}
    assert document["truth"] is None


async def test_health_is_503_with_the_reason_when_the_pipeline_stands(
    client: httpx.AsyncClient, board: FakeBoard
) -> None:
    well = await client.get("/healthz")
    assert (well.status_code, well.json()) == (200, {"status": "ok"})
    board.set_status(healthy=False, unhealthy_because="no sample for 12 s although the link is up")
    ill = await client.get("/healthz")
    assert ill.status_code == 503
    assert error_of(ill)["message"] == "no sample for 12 s although the link is up"


@pytest.mark.parametrize("path", ["/heartbeat/0/", "/heartbeat/0"])
async def test_heartbeat_is_text(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")


# ---- commands


async def test_command_reaches_the_hub_with_its_arguments(
    client: httpx.AsyncClient, board: FakeBoard
) -> None:
    response = await client.post("/api/v1/commands", json={"command": "reset", "cells": [3, 4]})
    assert (response.status_code, response.json()) == (200, {"done": "reset"})
    (command,) = board.commands
    assert (command.name, command.arguments) == ("reset", {"cells": [3, 4]})


async def test_refused_command_says_what_is_allowed(client: httpx.AsyncClient, board: FakeBoard) -> None:
    response = await client.post("/api/v1/commands", json={"command": "flash"})
    assert response.status_code == 422
    error = error_of(response)
    assert error["code"] == "command_refused"
    assert "pause, resume" in str(error["message"])
    assert board.commands == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"{}", b'{"command": 3}', b'{"command": "\xff"}', b"[" * 100_000]
)
async def test_body_that_is_no_command_is_refused(
    client: httpx.AsyncClient, board: FakeBoard, body: bytes
) -> None:
    headers = {"content-type": "application/json"}
    response = await client.post("/api/v1/commands", content=body, headers=headers)
    if len(body) <= 64 * 1024:
        assert response.status_code == 422
        assert error_of(response)["code"] == "invalid_request"
    else:
        assert response.status_code == 413
    assert board.commands == []


async def test_deeply_nested_command_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    response = await client.post("/api/v1/commands", content=b"[" * 60_000, headers=headers)
    assert response.status_code == 422
    assert error_of(response)["code"] == "invalid_request"


async def test_command_as_a_form_is_refused(client: httpx.AsyncClient, board: FakeBoard) -> None:
    response = await client.post("/api/v1/commands", data={"command": "reset"})
    assert response.status_code == 415
    error_of(response)
    assert board.commands == []


@pytest.mark.parametrize("announced", [True, False])
async def test_too_large_a_body_is_refused(client: httpx.AsyncClient, announced: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 20_000

    content = b" " * 100_000 if announced else chunks()
    headers = {"content-type": "application/json"}
    response = await client.post("/api/v1/commands", content=content, headers=headers)
    assert response.status_code == 413
    assert error_of(response)["detail"] == {"limit_bytes": 64_000}


# ---- errors, schema, static files


async def test_unknown_path_and_method_answer_in_the_error_shape(client: httpx.AsyncClient) -> None:
    missing = await client.get("/api/v1/nothing")
    assert missing.status_code == 404
    assert error_of(missing)["detail"] == {"path": "/api/v1/nothing"}
    wrong = await client.put("/api/v1/status")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "GET, HEAD"
    assert error_of(wrong)["detail"] == {"method": "PUT", "allowed": ["GET", "HEAD"]}
    stream = await client.put("/api/v1/stream")
    assert stream.headers["allow"] == "GET"
    command = await client.get("/api/v1/commands")
    assert command.headers["allow"] == "POST"
    asset = await client.get("/static/nothing.js")
    assert asset.status_code == 404
    error_of(asset)


async def test_unexpected_failure_tells_nothing_and_keeps_the_security_headers(
    client: httpx.AsyncClient, board: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(board, "status", fail)
    response = await client.get("/api/v1/status")
    assert response.status_code == 500
    assert error_of(response)["code"] == "internal_error"
    assert "secret" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_schema_lists_the_routes_and_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    assert {"/api/v1/table", "/api/v1/stream", "/api/v1/status", "/api/v1/commands", "/metrics"} <= set(
        schema["paths"]
    )
    formats = schema["paths"]["/api/v1/table"]["get"]["parameters"][0]
    assert "romraider" in json.dumps(formats) + json.dumps(schema["components"])
    for page in ("/docs", "/redoc"):
        assert (await client.get(page)).status_code == 404


@pytest.mark.parametrize("path", ["/", "/api/v1/table", "/api/v1/status", "/metrics", "/static/app.js"])
async def test_head_is_answered_like_get(client: httpx.AsyncClient, path: str) -> None:
    head = await client.head(path)
    assert head.status_code == 200
    assert head.headers["content-type"] == (await client.get(path)).headers["content-type"]


async def test_page_and_modules_are_checked_before_each_use(client: httpx.AsyncClient) -> None:
    for path, kind in (
        ("/", "text/html"),
        ("/static/app.js", "javascript"),
        ("/static/page.css", "text/css"),
    ):
        response = await client.get(path)
        assert response.status_code == 200
        assert kind in response.headers["content-type"]
        assert response.headers["cache-control"] == "no-cache"
        etag = response.headers["etag"]
        again = await client.get(path, headers={"if-none-match": etag})
        assert again.status_code == 304


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py"])
async def test_static_files_do_not_lead_out_of_their_folder(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404

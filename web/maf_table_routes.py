"""Routes of the MAF table in the ECU: see it, and tell what was flashed."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from lowmaf.maf_table import MafTable, MafTableError
from lowmaf.table_text import parse_table
from web.board import Board
from web.documents import encode_json
from web.errors import ApiError
from web.json_body import media_type
from web.rendition import Rendition
from web.request_body import limits_of, read_body

LONGEST_NAME = 80
LIKELY_RATIO = (0.5, 2.0)
"""Median of new over old flow. Outside, the unit is wrong or the table is another car's: kg/h give 3.6."""

_ALLOWED = (
    "the body is the table as copied from RomRaider or EcuFlash, two-column or two-row CSV, JSON such as "
    '{"maf_v": [...], "flow_gs": [...]}, or {"confirm_proposal": true, "revision": 42}'
)
_TEXT_TYPES = frozenset({"text/plain", "text/csv", "application/json"})


def add_maf_table_routes(app: FastAPI, board: Board) -> None:
    """Adds the routes to ``app``."""

    @app.get("/api/v1/maf-table", summary="The MAF table in the ECU now", response_class=Response)
    async def get_maf_table(request: Request) -> Response:
        table = board.snapshot().table
        rendition = Rendition.of(encode_json(_document(table)), "application/json", table.revision)
        status, headers, body = rendition.answer(request.headers.get("if-none-match"))
        response = Response(body, status)
        response.raw_headers = headers
        return response

    @app.put(
        "/api/v1/maf-table",
        summary="The table that was flashed: pasted, or the proposal as it stands",
        description=f"{_ALLOWED}. preview=1 says what was understood and changes nothing; unchecked=1 takes "
        "a table whose flow is not like the present one's.",
        response_class=Response,
        responses={
            409: {"description": "the proposal has changed since, or there is none"},
            422: {"description": "no MAF table; says which line and cell"},
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "text/plain": {"schema": {"type": "string"}},
                    "text/csv": {"schema": {"type": "string"}},
                    "application/json": {"schema": {}},
                },
            }
        },
    )
    async def put_maf_table(
        request: Request, name: str = "", preview: bool = False, unchecked: bool = False
    ) -> Response:
        before = board.snapshot().table
        text = await _text(request)
        table = _confirmed(board, text, name) or _pasted(text, name)
        comparison = compared(table, before)
        if not unchecked:
            _refuse_unlikely(comparison)
        if preview:
            understood = {**_document(table), "revision": None}
            return _json({"table": understood, "preview": True, "compared": comparison})
        change = await board.flash(table)
        return _json(
            {
                "table": _document(change.table),
                "preview": False,
                "changed": change.changed,
                "carried_over": change.carried_over,
                "ended_session": change.ended,
                "compared": comparison,
            }
        )


def compared(table: MafTable, before: MafTable) -> dict[str, Any]:
    """How a table differs from the one before: all null where one of the two has no flow.

    ``median_ratio`` and ``largest_change_pct`` are over the new table's breakpoints within the range of
    both with flow above zero.
    """
    same_axis = bool(np.array_equal(table.maf_v, before.maf_v))
    nothing = {"same_axis": same_axis, "median_ratio": None, "largest_change_pct": None, "at_maf_v": None}
    if table.flow_gs is None or before.flow_gs is None:
        return nothing
    old_gs = before.flow_at(table.maf_v)
    both = (table.flow_gs > 0.0) & (old_gs > 0.0)
    both &= (table.maf_v >= before.maf_v[0]) & (table.maf_v <= before.maf_v[-1])
    if not both.any():
        return nothing
    ratio = table.flow_gs[both] / old_gs[both]
    largest = int(np.abs(ratio - 1.0).argmax())
    return {
        "same_axis": same_axis,
        "median_ratio": float(np.median(ratio)),
        "largest_change_pct": 100.0 * float(ratio[largest] - 1.0),
        "at_maf_v": float(table.maf_v[both][largest]),
    }


def _refuse_unlikely(comparison: dict[str, Any]) -> None:
    ratio = comparison["median_ratio"]
    low, high = LIKELY_RATIO
    if ratio is None or low <= ratio <= high:
        return
    hint = "; is it in kg/h? Say so in its header" if 3.2 < ratio < 4.0 else ""
    raise ApiError(
        422,
        "maf_table_unlikely",
        f"the flow is {ratio:.2f} times that of the present table (median; {low:g} to {high:g} is likely)"
        f"{hint}. unchecked=1 takes it all the same",
        comparison,
    )


async def _text(request: Request) -> str:
    body = await read_body(request, limits_of(request).table_bytes)
    given = media_type(request)
    if given not in _TEXT_TYPES:
        message = (
            f"a MAF table is sent as text/plain, text/csv or application/json, not as {given or 'nothing'}"
        )
        raise ApiError(415, "unsupported_media_type", message)
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ApiError(
            422, "maf_table_unreadable", f"the body is not UTF-8 text ({error}); {_ALLOWED}"
        ) from None


def _confirmed(board: Board, text: str, name: str) -> MafTable | None:
    """The proposal as it stands, if that is what the body confirms."""
    try:
        document = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(document, dict) or "confirm_proposal" not in document:
        return None
    revision = document.get("revision")
    whole = isinstance(revision, int) and not isinstance(revision, bool)
    if document["confirm_proposal"] is not True or not whole or len(document) != 2:
        raise ApiError(
            422,
            "invalid_request",
            'a proposal is confirmed by {"confirm_proposal": true, "revision": N} and nothing else; '
            "N is the revision of the table that was flashed",
        )
    snapshot = board.snapshot()
    if snapshot.proposed_gs is None:
        raise ApiError(409, "no_flow", "there is no proposal: the MAF table has no flow (g/s)")
    if snapshot.revision != revision:
        raise ApiError(
            409,
            "proposal_changed",
            f"revision {revision} is not the table of now, which is {snapshot.revision}: paste the table "
            "that was flashed",
            {"revision": snapshot.revision},
        )
    table = snapshot.table
    return MafTable(_name(name) or table.name, table.maf_v, snapshot.proposed_gs)


def _pasted(text: str, name: str) -> MafTable:
    try:
        table = parse_table(text, _name(name) or "pasted table")
    except MafTableError as error:
        raise ApiError(422, "maf_table_unreadable", f"{error}. {_ALLOWED}") from error
    if table.flow_gs is None:
        raise ApiError(
            422, "maf_table_unreadable", f"there are volts but no flow (g/s) beside them. {_ALLOWED}"
        )
    return table


def _name(name: str) -> str:
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise ApiError(422, "invalid_request", f"a name has at most {LONGEST_NAME} printable characters")
    return name.strip()


def _document(table: MafTable) -> dict[str, Any]:
    return {
        "name": table.name,
        "revision": table.revision,
        "maf_v": table.maf_v.tolist(),
        "flow_gs": None if table.flow_gs is None else table.flow_gs.tolist(),
    }


def _json(document: Any) -> Response:
    return Response(
        encode_json(document), headers={"cache-control": "no-store"}, media_type="application/json"
    )

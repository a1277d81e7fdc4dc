"""Routes of the drives and logs that are kept: list, look, name, leave out, delete, export."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from web.documents import encode_json
from web.errors import ApiError
from web.json_body import read_json_object
from web.rendition import Rendition
from web.session_shelf import (
    SessionChange,
    SessionRefusedError,
    SessionShelf,
    SessionsUnavailableError,
    SessionUnknownError,
)

LONGEST_NAME = 80
_NO_STORE = {"cache-control": "no-store"}
_ALLOWED = (
    'a change looks like {"name": "to work"} or {"included": false} or both; '
    "included says whether the drive counts in the table"
)

Number = Annotated[int, Path(alias="id", ge=1, le=2**31 - 1)]
_ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"description": "there is no such session"},
    409: {"description": "it goes on now"},
    503: {"description": "the database cannot be read or written now"},
}


class SampleFormat(StrEnum):
    """What ``?format=`` of an export takes."""

    CSV = "csv"
    JSON = "json"


_MEDIA_TYPES = {SampleFormat.CSV: "text/csv; charset=utf-8", SampleFormat.JSON: "application/json"}


def add_session_routes(app: FastAPI, shelf: SessionShelf) -> None:
    """Adds the routes to ``app``."""

    @app.get("/api/v1/sessions", summary="Drives and logs that are kept", response_class=Response)
    async def list_sessions(request: Request) -> Response:
        with session_errors_answered():
            sessions = await shelf.sessions()
        return _tagged(request, {"sessions": sessions})

    @app.get(
        "/api/v1/sessions/{id}",
        summary="One of them: verdicts in total and per minute, changes of the link",
        response_class=Response,
        responses={**_ERRORS, 304: {"description": "unchanged"}},
    )
    async def get_session(request: Request, number: Number) -> Response:
        with session_errors_answered():
            session = await shelf.session(number)
        return _tagged(request, session)

    @app.patch(
        "/api/v1/sessions/{id}",
        summary="Name it, or leave it out of the table or take it in again, exactly",
        response_class=Response,
        responses=_ERRORS,
        openapi_extra=_json_body({"name": {"type": ["string", "null"]}, "included": {"type": "boolean"}}),
    )
    async def change_session(request: Request, number: Number) -> Response:
        change = _change(await read_json_object(request, what="a change of a session", allowed=_ALLOWED))
        with session_errors_answered():
            session = await shelf.change(number, change)
        return _json(session)

    @app.delete(
        "/api/v1/sessions/{id}",
        summary="Delete it with all that was learned from it",
        status_code=204,
        response_class=Response,
        responses=_ERRORS,
    )
    async def delete_session(number: Number) -> Response:
        with session_errors_answered():
            await shelf.delete(number)
        return Response(status_code=204, headers=_NO_STORE)

    @app.post(
        "/api/v1/sessions/{id}/rebuild",
        summary="Make its cells anew from the kept samples",
        response_class=Response,
        responses=_ERRORS,
    )
    async def rebuild_session(number: Number) -> Response:
        with session_errors_answered():
            return _json(await shelf.rebuild(number))

    @app.get(
        "/api/v1/sessions/{id}/export",
        summary="Its samples, as RomRaider's kind of CSV or as JSON",
        response_class=Response,
        responses=_ERRORS,
    )
    async def export_session(
        number: Number, sample_format: Annotated[SampleFormat, Query(alias="format")] = SampleFormat.CSV
    ) -> Response:
        with session_errors_answered():
            pieces = await shelf.export(number, sample_format)
        name = f"lowmaf-session-{number}.{sample_format}"
        headers = {**_NO_STORE, "content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(pieces, headers=headers, media_type=_MEDIA_TYPES[sample_format])


def _change(document: dict[str, Any]) -> SessionChange:
    unknown = sorted(map(str, document.keys() - {"name", "included"}))
    if unknown or not document:
        met = f"met {', '.join(unknown)}; " if unknown else ""
        raise ApiError(422, "invalid_request", f"{met}{_ALLOWED}")
    included, name = document.get("included"), document.get("name")
    if "included" in document and not isinstance(included, bool):
        raise ApiError(422, "invalid_request", f"included is true or false, met {included!r:.60}")
    if "name" in document:
        name = "" if name is None else name
        if not isinstance(name, str) or len(name) > LONGEST_NAME or not (name.isprintable()):
            raise ApiError(
                422, "invalid_request", f"a name has at most {LONGEST_NAME} printable characters, or is null"
            )
    return SessionChange(name, included)


@contextlib.contextmanager
def session_errors_answered() -> Iterator[None]:
    """Turns a refusal of the shelf into the answer that says it."""
    try:
        yield
    except SessionUnknownError as error:
        raise ApiError(404, "session_unknown", str(error)) from error
    except SessionRefusedError as error:
        raise ApiError(409, "session_goes_on", str(error)) from error
    except SessionsUnavailableError as error:
        raise ApiError(503, "database_unavailable", str(error)) from error


def _tagged(request: Request, document: Any) -> Response:
    """JSON with its ETag; 304 where the client has it already."""
    rendition = Rendition.of(encode_json(document), "application/json", 0)
    status, headers, body = rendition.answer(request.headers.get("if-none-match"))
    response = Response(body, status)
    response.raw_headers = headers
    return response


def _json(document: Any) -> Response:
    return Response(encode_json(document), headers=_NO_STORE, media_type="application/json")


def _json_body(properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

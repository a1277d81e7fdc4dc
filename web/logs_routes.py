"""Routes of uploaded logs: upload, list, look, delete. The body of an upload is the log itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from web.documents import encode_json
from web.errors import ApiError
from web.json_body import media_type
from web.log_shelf import LogSessionDesk, LogShelf
from web.service_errors import service_errors_answered
from web.session_routes import session_errors_answered

_NO_STORE = {"cache-control": "no-store"}
_NOT_A_LOG = ("multipart/", "application/json", "text/html")

LogId = Annotated[str, Path(alias="id", max_length=64)]
_ERRORS: dict[int | str, dict[str, Any]] = {404: {"description": "there is no such log"}}


def add_logs_routes(app: FastAPI, shelf: LogShelf) -> None:
    """Adds the routes to ``app``."""

    @app.post(
        "/api/v1/logs",
        summary="Upload a log: the body is the file; says what was recognised",
        status_code=201,
        response_class=Response,
        responses={
            413: {"description": "larger than is allowed"},
            415: {"description": "not sent as it is: a form, or with a content coding"},
            422: {"description": "no log that can give a table; says why"},
            429: {"description": "too many uploads at once"},
            507: {"description": "no room for more"},
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def upload_log(request: Request, name: Annotated[str, Query(max_length=1000)] = "log") -> Response:
        _refuse_other_forms(request)
        announced = request.headers.get("content-length", "")
        announced_bytes = int(announced) if announced.isascii() and announced.isdigit() else None
        with service_errors_answered():
            document = await shelf.take(name, _chunks(request), announced_bytes)
        headers = {**_NO_STORE, "location": f"/api/v1/logs/{document['id']}"}
        return Response(encode_json(document), 201, headers=headers, media_type="application/json")

    @app.get(
        "/api/v1/logs", summary="Uploaded logs, and uploads that go on with progress", response_class=Response
    )
    async def list_logs() -> Response:
        with service_errors_answered():
            return _json(await shelf.logs())

    @app.get(
        "/api/v1/logs/{id}",
        summary="What is known of an uploaded log",
        response_class=Response,
        responses=_ERRORS,
    )
    async def get_log(log_id: LogId) -> Response:
        with service_errors_answered():
            return _json(await shelf.log(log_id))

    @app.delete(
        "/api/v1/logs/{id}",
        summary="Delete an uploaded log that no analysis needs any more",
        status_code=204,
        response_class=Response,
        responses={**_ERRORS, 409: {"description": "an analysis that has not ended needs it"}},
    )
    async def delete_log(log_id: LogId) -> Response:
        with service_errors_answered():
            await shelf.delete(log_id)
        return Response(status_code=204, headers=_NO_STORE)


def add_log_session_route(app: FastAPI, desk: LogSessionDesk) -> None:
    """Adds the route that makes an uploaded log count in the table."""

    @app.post(
        "/api/v1/logs/{id}/session",
        summary="Keep an uploaded log as a session that counts in the table; the same log counts once",
        status_code=201,
        response_class=Response,
        responses={
            **_ERRORS,
            200: {"description": "the same log is a session already; it counts now"},
            422: {"description": "the log cannot count; says why"},
            503: {"description": "the database cannot be written now"},
            507: {"description": "no room for more"},
        },
    )
    async def add_log_session(log_id: LogId) -> Response:
        with service_errors_answered(), session_errors_answered():
            added = await desk.add(log_id)
        headers = {**_NO_STORE, "location": f"/api/v1/sessions/{added.session['id']}"}
        status = 201 if added.is_new else 200
        return Response(encode_json(added.session), status, headers=headers, media_type="application/json")


def _refuse_other_forms(request: Request) -> None:
    given = media_type(request)
    if given.startswith(_NOT_A_LOG):
        raise ApiError(
            415,
            "unsupported_media_type",
            f"the body of an upload is the log itself, not {given}: "
            "curl --data-binary @drive.csv 'http://…/api/v1/logs?name=drive.csv'",
        )
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise ApiError(
            415,
            "unsupported_content_coding",
            f"a body with content-encoding {coding!r:.40} is not taken; a packed log is sent as the .gz or "
            ".zip that it is, without that header",
        )


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk


def _json(document: Any) -> Response:
    return Response(encode_json(document), headers=_NO_STORE, media_type="application/json")

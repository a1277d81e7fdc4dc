"""The route to which another logger pushes samples."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from web.direct_route import answer_directly
from web.documents import encode_json
from web.errors import ApiError
from web.ingest_desk import IngestDesk, IngestFormat
from web.json_body import media_type
from web.service_errors import service_errors_answered

LONGEST_NAME = 80

_FORMATS = {
    "application/x-ndjson": IngestFormat.NDJSON,
    "application/ndjson": IngestFormat.NDJSON,
    "application/jsonl": IngestFormat.NDJSON,
    "application/x-jsonlines": IngestFormat.NDJSON,
    "text/csv": IngestFormat.CSV,
}
_HOW = (
    "curl -H 'Content-Type: text/csv' --data-binary @drive.csv http://…/api/v1/ingest, or "
    "application/x-ndjson with one JSON object per line"
)


def add_ingest_route(app: FastAPI, desk: IngestDesk) -> None:
    """Adds the route to ``app``."""

    @app.post(
        "/api/v1/ingest",
        summary="Samples of another logger, as NDJSON or CSV of any length: kept as a session of its own",
        response_class=Response,
        responses={
            400: {"description": "the body stopped coming"},
            415: {"description": "neither NDJSON nor CSV, or with a content coding"},
            422: {"description": "no samples that can give a table; says why"},
            429: {"description": "too many bodies at once"},
            503: {"description": "the database cannot be written now"},
            507: {"description": "no room for more"},
        },
        openapi_extra={
            "parameters": [
                {
                    "name": "name",
                    "in": "query",
                    "required": False,
                    "schema": {"type": "string", "maxLength": LONGEST_NAME, "default": ""},
                }
            ],
            "requestBody": {
                "required": True,
                "content": {str(kind): {"schema": {"type": "string"}} for kind in IngestFormat},
            },
        },
    )
    async def ingest(request: Request) -> Response:
        body_format = _format_of(request)
        shown = _name_in(request)
        with service_errors_answered():
            ingested = await desk.take(body_format, _chunks(request), shown)
        return Response(
            encode_json(ingested.document()),
            headers={"cache-control": "no-store"},
            media_type="application/json",
        )

    answer_directly(app, ingest)


def _name_in(request: Request) -> str:
    """What the session is to be called, without what cannot be shown."""
    name = request.query_params.get("name", "")
    if len(name) > LONGEST_NAME:
        message = f"query.name: met {len(name)} characters; at most {LONGEST_NAME} are allowed"
        raise ApiError(422, "invalid_request", message)
    return "".join(character for character in name if character.isprintable()).strip()


def _format_of(request: Request) -> IngestFormat:
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        message = f"a body with content-encoding {coding!r:.40} is not taken; send it as it is"
        raise ApiError(415, "unsupported_content_coding", message)
    given = media_type(request)
    if given not in _FORMATS:
        message = f"samples are sent as {' or '.join(IngestFormat)}, not as {given or 'nothing'}: {_HOW}"
        raise ApiError(415, "unsupported_media_type", message)
    return _FORMATS[given]


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk

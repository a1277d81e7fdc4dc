"""Routes of published results: publish the table as it stands, list, look, delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from web.current_table import CurrentTable, TableFormat
from web.documents import encode_json
from web.errors import ApiError
from web.json_body import read_json_object
from web.rendition import answered
from web.results import PublishedResults, ResultShelf
from web.service_errors import service_errors_answered

LONGEST_NAME = 80
_NO_STORE = {"cache-control": "no-store"}
_ALLOWED = 'a result is published with {"name": "after the new intake"}, or with no body at all'

ResultId = Annotated[str, Path(alias="id", max_length=64)]
_ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"description": "there is no such result"},
    503: {"description": "the database cannot be read or written now"},
}


def add_results_routes(
    app: FastAPI, table: CurrentTable, shelf: ResultShelf, published: PublishedResults
) -> None:
    """Adds the routes to ``app``."""

    @app.post(
        "/api/v1/results",
        summary="Publish the table as it stands under a lasting address",
        status_code=201,
        response_class=Response,
        responses={503: _ERRORS[503], 507: {"description": "as many are kept as are allowed"}},
        openapi_extra={
            "requestBody": {
                "required": False,
                "content": {
                    "application/json": {
                        "schema": {"type": "object", "properties": {"name": {"type": "string"}}}
                    }
                },
            }
        },
    )
    async def publish_result(request: Request) -> Response:
        name = await _name_of(request)
        document, refusals = table.document()
        with service_errors_answered():
            head = await shelf.publish(name, encode_json(document), refusals)
        headers = {**_NO_STORE, "location": f"/api/v1/results/{head.id}"}
        return Response(encode_json(head.document()), 201, headers=headers, media_type="application/json")

    @app.get("/api/v1/results", summary="Published results, oldest first", response_class=Response)
    async def list_results() -> Response:
        with service_errors_answered():
            heads = await shelf.results()
        return Response(
            encode_json({"results": [head.document() for head in heads]}),
            headers=_NO_STORE,
            media_type="application/json",
        )

    @app.get(
        "/api/v1/results/{id}",
        summary="A published table, as it stood",
        response_class=Response,
        responses={
            **_ERRORS,
            304: {"description": "unchanged"},
            409: {"description": "not fit to be flashed; says why"},
        },
    )
    async def get_result(
        request: Request,
        result_id: ResultId,
        table_format: Annotated[TableFormat, Query(alias="format")] = TableFormat.JSON,
        unchecked: bool = False,
    ) -> Response:
        with service_errors_answered():
            renditions = await published.renditions(result_id, table_format, unchecked=unchecked)
        return answered(renditions, request)

    @app.delete(
        "/api/v1/results/{id}",
        summary="Delete a published result; its address leads nowhere from then on",
        status_code=204,
        response_class=Response,
        responses=_ERRORS,
    )
    async def delete_result(result_id: ResultId) -> Response:
        with service_errors_answered():
            await published.delete(result_id)
        return Response(status_code=204, headers=_NO_STORE)


async def _name_of(request: Request) -> str:
    """The name in the body; '' without a body."""
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return ""
    document = await read_json_object(request, what="the name of a result", allowed=_ALLOWED)
    name = document.pop("name", "")
    if document or not isinstance(name, str):
        raise ApiError(422, "invalid_request", _ALLOWED)
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise ApiError(422, "invalid_request", f"a name has at most {LONGEST_NAME} printable characters")
    return name.strip()

"""Routes of what the daemon runs with: look, and change the limits that samples must keep."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from lowmaf.filters import FilterError
from web.documents import encode_json
from web.errors import ApiError
from web.filter_desk import FilterChange, FilterDesk
from web.json_body import read_json_object
from web.review import DriveReview
from web.service_errors import service_errors_answered

_ALLOWED = (
    'a change looks like {"filters": {"min_ect_c": 60, "max_rpm": null}} or {"configured": ["min_ect_c"]} or '
    "both; null switches a limit off, configured names those that are to be as the configuration says again"
)
_BODY = {
    "type": "object",
    "properties": {
        "filters": {"type": "object", "additionalProperties": {"type": ["number", "boolean", "null"]}},
        "configured": {"type": "array", "items": {"type": "string"}},
    },
    "additionalProperties": False,
    "minProperties": 1,
}


def add_settings_routes(app: FastAPI, review: DriveReview, filters: FilterDesk | None) -> None:
    """Adds the routes to ``app``: to look, and where there are ``filters``, to change those."""

    @app.get(
        "/api/v1/settings",
        summary="What the daemon runs with: filters, estimator, machine, storage",
        response_class=Response,
    )
    async def get_settings() -> Response:
        return _settings()

    def _settings() -> Response:
        document = {**review.settings(), "filters_change": filters is not None, "offers": _offers(app)}
        return Response(
            encode_json(document), headers={"cache-control": "no-store"}, media_type="application/json"
        )

    if filters is None:
        return

    @app.patch(
        "/api/v1/settings",
        summary="Change limits that samples must keep, from now on; the configuration file stays as it is",
        response_class=Response,
        responses={
            422: {"description": "no such limit, or one that is impossible"},
            503: {"description": "the database cannot be written now"},
        },
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}},
    )
    async def change_settings(request: Request) -> Response:
        document = await read_json_object(request, what="a change of settings", allowed=_ALLOWED)
        with service_errors_answered():
            try:
                await filters.change(_change(document))
            except FilterError as error:
                raise ApiError(422, "invalid_request", str(error)) from error
        return _settings()


def _change(document: dict[str, Any]) -> FilterChange:
    limits, configured = document.pop("filters", {}), document.pop("configured", [])
    if document or not isinstance(limits, dict) or not isinstance(configured, list):
        raise ApiError(422, "invalid_request", _ALLOWED)
    if not (limits or configured) or not all(isinstance(name, str) for name in configured):
        raise ApiError(422, "invalid_request", _ALLOWED)
    return FilterChange([f"{name}={_text(name, value)}" for name, value in limits.items()], configured)


def _text(name: str, value: Any) -> str:
    if value is None:
        return "off"
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        return repr(float(value)) if isinstance(value, int | float) else ""
    except OverflowError:
        raise ApiError(422, "invalid_request", f"the limit {name!r:.60} is too large a number") from None


def _offers(app: FastAPI) -> list[str]:
    """Which kinds of things there are below ``/api/v1``: not every daemon has them all."""
    paths = [str(getattr(route, "path", "")) for route in app.routes]
    return sorted({path.split("/")[3] for path in paths if path.startswith("/api/v1/")})

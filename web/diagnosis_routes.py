"""``GET /api/v1/diagnosis``: what goes with a report of a fault, without secrets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from web.documents import encode_json


def add_diagnosis_route(app: FastAPI, diagnose: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
    """Adds the route to ``app``, behind :class:`web.access.Access`."""

    @app.get(
        "/api/v1/diagnosis",
        summary="Everything that helps to find a fault, as a file to send along; no secrets",
        response_class=Response,
    )
    async def get_diagnosis() -> Response:
        headers = {
            "cache-control": "no-store",
            "content-disposition": 'attachment; filename="lowmaf-diagnosis.json"',
        }
        return Response(encode_json(await diagnose()), headers=headers, media_type="application/json")

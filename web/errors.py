"""The one error shape of every route: ``{"error": {"code", "message", "detail"}}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

_STREAMS = re.compile(r"/api/v1/stream|/api/v1/analyses/[^/]+/events")
"""Everywhere else :class:`web.app.HeadAsGet` answers HEAD where there is a GET."""


class ApiError(Exception):
    """A request that is answered with an error. ``code`` is stable, ``message`` is for a person."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        detail: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.detail = dict(detail or {})
        self.headers = dict(headers or {})


def is_stream(path: str) -> bool:
    """Whether what is there is a stream of events, which has no HEAD."""
    return _STREAMS.fullmatch(path) is not None


def error_response(
    status: int,
    code: str,
    message: str,
    detail: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The error shape as a response."""
    body = msgspec.json.encode({"error": {"code": code, "message": message, "detail": dict(detail or {})}})
    return Response(
        body,
        status,
        {"cache-control": "no-store", **(headers or {})},
        media_type="application/json",
    )

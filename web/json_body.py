"""Request bodies that are JSON objects, and what is said of those that are not."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request

from web.errors import ApiError
from web.request_body import limits_of, read_body


def media_type(request: Request) -> str:
    """The body's media type without parameters, in lower case; '' where none is given."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json_object(request: Request, *, what: str, allowed: str) -> dict[str, Any]:
    """The body. ``what`` it is and what is ``allowed`` are said in errors.

    Raises:
        ApiError: 413 too large, 415 not sent as JSON, 422 not a JSON object.
    """
    body = await read_body(request, limits_of(request).json_bytes)
    given = media_type(request)
    if given != "application/json":
        message = f"{what} is sent as application/json, not as {given or 'nothing'}"
        raise ApiError(415, "unsupported_media_type", message)
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(422, "invalid_request", f"the body is not JSON ({error}); {allowed}") from error
    if not isinstance(document, dict):
        raise ApiError(422, "invalid_request", allowed)
    return document

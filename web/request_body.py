"""Reading a request's body as it arrives, up to a limit."""

from __future__ import annotations

from starlette.requests import Request

from web.errors import ApiError


async def read_body(request: Request, limit: int) -> bytearray:
    """The whole body, at most ``limit`` bytes.

    Raises:
        ApiError: 413 as soon as the body is known to be larger.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > limit:
        raise _too_large(int(announced), limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(len(body), limit)
    return body


def _too_large(size: int, limit: int) -> ApiError:
    return ApiError(
        413,
        "body_too_large",
        f"the body has {size} bytes or more; {limit} are allowed",
        {"limit_bytes": limit},
    )

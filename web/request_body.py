"""Reading a request's body as it arrives, up to a limit."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from web.errors import ApiError

GRACE_S = 20.0
SLOWEST_BYTES_PER_S = 10_000.0
"""A body may take :data:`GRACE_S`, and as long as it takes at this pace: none is held open for ever."""


async def read_body(request: Request, limit: int) -> bytearray:
    """The whole body, at most ``limit`` bytes.

    Raises:
        ApiError: 413 as soon as the body is known to be larger; 408 where it comes too slowly.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > limit:
        raise _too_large(int(announced), limit)
    body = bytearray()
    begun_s = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(GRACE_S) as deadline:
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _too_large(len(body), limit)
                deadline.reschedule(begun_s + GRACE_S + len(body) / SLOWEST_BYTES_PER_S)
    except TimeoutError:
        raise _too_slow(len(body)) from None
    return body


def _too_slow(size: int) -> ApiError:
    return ApiError(
        408,
        "body_too_slow",
        f"only {size} bytes of the body came in {GRACE_S + size / SLOWEST_BYTES_PER_S:.0f} s",
        {"received_bytes": size},
        {"connection": "close"},
    )


def _too_large(size: int, limit: int) -> ApiError:
    return ApiError(
        413,
        "body_too_large",
        f"the body has {size} bytes or more; {limit} are allowed",
        {"limit_bytes": limit},
    )

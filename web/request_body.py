"""Reading a request's body as it arrives, up to a limit."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from web.errors import ApiError

_LIMITS = "lowmaf.body_limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """What is taken of bodies that are held whole.

    ``json_bytes``: of a command or the like. ``table_bytes``: of a pasted MAF table. One may take ``wait_s``,
    and as long beyond as it takes at ``least_bytes_per_s``: none is held open for ever.
    """

    json_bytes: int = 64_000
    table_bytes: int = 1_000_000
    wait_s: float = 20.0
    least_bytes_per_s: float = 10_000.0


def keep_to(limits: BodyLimits, scope: MutableMapping[str, Any]) -> None:
    """Says what holds for the body of this request."""
    scope[_LIMITS] = limits


def limits_of(request: Request) -> BodyLimits:
    """What holds for the body of this request; the defaults where nothing was said."""
    limits: BodyLimits = request.scope.get(_LIMITS, BodyLimits())
    return limits


async def read_body(request: Request, limit: int) -> bytearray:
    """The whole body, at most ``limit`` bytes.

    Raises:
        ApiError: 413 as soon as the body is known to be larger; 408 where it comes too slowly.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > limit:
        raise _too_large(int(announced), limit)
    limits = limits_of(request)
    body = bytearray()
    until_s = asyncio.get_running_loop().time() + limits.wait_s
    try:
        async with asyncio.timeout_at(until_s) as deadline:
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _too_large(len(body), limit)
                deadline.reschedule(until_s + len(body) / limits.least_bytes_per_s)
    except TimeoutError:
        raise _too_slow(len(body), limits) from None
    return body


def _too_slow(size: int, limits: BodyLimits) -> ApiError:
    return ApiError(
        408,
        "body_too_slow",
        f"only {size} bytes of the body came in {limits.wait_s + size / limits.least_bytes_per_s:.3g} s "
        "([limits] body_wait_s and body_kb_per_s)",
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

"""Bodies that are read as they arrive: how long one may be quiet, and how long it may last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LongBodyLimits:
    """Nothing may come for ``quiet_s``; all of it has to within ``lasts_s``."""

    quiet_s: float = 30.0
    lasts_s: float = 86_400.0


async def kept_up(
    chunks: AsyncIterator[bytes], limits: LongBodyLimits, given_up: Callable[[str], Exception]
) -> AsyncIterator[bytes]:
    """The chunks, as long as they come.

    Raises:
        Exception: what ``given_up`` makes of the words, where the body takes too long.
    """
    now_s = asyncio.get_running_loop().time
    until_s = now_s() + limits.lasts_s
    while True:
        quiet_until_s = now_s() + limits.quiet_s
        try:
            async with asyncio.timeout_at(min(quiet_until_s, until_s)):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            words = (
                f"nothing came for {limits.quiet_s:g} s ([limits] quiet_s)"
                if quiet_until_s <= until_s
                else f"it was not whole after {limits.lasts_s:g} s ([limits] long_body_s)"
            )
            raise given_up(f"{words}: it is given up") from None
        yield chunk

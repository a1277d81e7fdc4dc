"""The web application, made when something is first asked that the hot paths do not answer.

FastAPI with pydantic is a quarter of the daemon's memory and of its start, and a drive needs none of it: the
page, the stream and the table are answered without.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)


class AppOnDemand:
    """An ASGI application that ``make`` gives. It is called in a thread, once; after a failure again."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._making: asyncio.Task[ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = await self._made()
        await app(scope, receive, send)

    async def _made(self) -> ASGIApp:
        if self._making is None:
            self._making = asyncio.create_task(asyncio.to_thread(self._timed), name="web application")
        try:
            return await asyncio.shield(self._making)
        except Exception:
            self._making = None
            raise

    def _timed(self) -> ASGIApp:
        began_s = time.monotonic()
        app = self._make()
        gc.freeze()  # it stays: to look through it again and again would hold up samples and answers
        logger.debug("the web application was made in %.2f s", time.monotonic() - began_s)
        return app

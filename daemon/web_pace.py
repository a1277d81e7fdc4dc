"""Before the ordinary routes: a client that asks faster than it may is told to wait."""

from __future__ import annotations

import math

from starlette.types import ASGIApp, Receive, Scope, Send

from daemon.web_connections import Connections
from daemon.web_limits import client_of
from web.errors import error_response
from web.security import SECURITY_HEADERS


class Paced:
    """ASGI middleware: 429 with Retry-After to a client that makes too many requests per second."""

    def __init__(self, app: ASGIApp, connections: Connections) -> None:
        self._app = app
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        if scope["type"] == "http" and peer is not None:
            wait_s = self._connections.wait_s(client_of(peer[0]))
            if wait_s > 0.0:
                words = "this client makes more requests than one may ([web] max_requests_per_s_per_client)"
                headers = {**SECURITY_HEADERS, "retry-after": str(max(1, math.ceil(wait_s)))}
                answer = error_response(429, "too_many_requests", words, headers=headers)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

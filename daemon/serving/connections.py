"""The open connections of the server: counted, and closed when they dawdle."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import msgspec

from daemon.serving.limits import ConnectionCount, Refusal, WebLimits
from daemon.serving.turns import Turns
from web.answer_bytes import answer_head
from web.security import RAW_SECURITY_HEADERS

SWEEP_S = 0.5
"""Deadlines are looked at this often."""

REFUSED_AT_ONCE = 100
"""So many connections that are not served may wait for their request to be told so."""

RETRY_AFTER_S = 2
_LATER = (429, 503)
"""What another attempt may have better luck with."""


class Connection(Protocol):
    """One of them."""

    @property
    def transport(self) -> asyncio.Transport:
        """What it is written to."""
        ...


class Connections:
    """Every open connection is idle, sends the head of a request, or has one that is being worked on.

    Those of the first two kinds are kept in the order in which their time began, so that a look at
    the first of each finds all that have run out.
    """

    def __init__(self, limits: WebLimits) -> None:
        self.turns = Turns()
        self._limits = limits
        self._count = ConnectionCount(limits)
        self._now_s = time.monotonic()
        self._idle: dict[Connection, float] = {}
        self._heads: dict[Connection, float] = {}
        self._stalled: dict[Connection, float] = {}

    def __len__(self) -> int:
        return self._count.connections

    # ---- what connections tell

    def begin(self, connection: Connection, client: str | None) -> Refusal | None:
        """A connection was made; why it is not to be served, if so. It has the time of a head to ask."""
        refusal = self._count.add(client)
        self.has_begun_a_head(connection)
        return refusal

    @property
    def overrun(self) -> bool:
        """Whether there are so many that those which are not served cannot even be waited for."""
        return self._count.connections > self._limits.connections + REFUSED_AT_ONCE

    def end(self, connection: Connection, client: str | None) -> None:
        """A connection was closed."""
        self._count.remove(client)
        self._stalled.pop(connection, None)
        self.works(connection)

    def idles(self, connection: Connection) -> None:
        """Its request is answered."""
        self._heads.pop(connection, None)
        self._idle.pop(connection, None)
        self._idle[connection] = self._now_s

    def has_begun_a_head(self, connection: Connection) -> None:
        """The first bytes of a request are there; more of them do not give it more time."""
        self._idle.pop(connection, None)
        self._heads.setdefault(connection, self._now_s)

    def works(self, connection: Connection) -> None:
        """Its request is being worked on."""
        self._idle.pop(connection, None)
        self._heads.pop(connection, None)

    def stalls(self, connection: Connection) -> None:
        """Its client does not take what it asked for."""
        self._stalled[connection] = self._now_s

    def flows(self, connection: Connection) -> None:
        """Its client takes it again."""
        self._stalled.pop(connection, None)

    # ---- time

    async def watch(self) -> None:
        """Closes what has run out of time. Runs until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self._now_s = time.monotonic()
            for connection in self._expired(self._idle, self._limits.idle_s):
                connection.transport.close()
            for connection in self._expired(self._heads, self._limits.head_s):
                connection.transport.close()
            for connection in self._expired(self._stalled, self._limits.stalled_s):
                connection.transport.abort()

    def _expired(self, since_s: dict[Connection, float], limit_s: float) -> list[Connection]:
        expired = []
        for connection, began_s in since_s.items():
            if self._now_s - began_s < limit_s:
                break
            expired.append(connection)
        for connection in expired:
            del since_s[connection]
        return expired

    # ---- refusals

    def refusal(self, refusal: Refusal, date: bytes) -> bytes:
        """The whole answer to a connection or request that is not served."""
        status, code, words = refusal.value
        body = msgspec.json.encode({"error": {"code": code, "message": words, "detail": {}}})
        headers = [
            (b"date", date),
            (b"cache-control", b"no-store"),
            *([(b"retry-after", str(RETRY_AFTER_S).encode())] if status in _LATER else []),
            (b"content-length", str(len(body)).encode()),
            (b"content-type", b"application/json"),
            *RAW_SECURITY_HEADERS,
            (b"connection", b"close"),
        ]
        return answer_head(status, headers) + body

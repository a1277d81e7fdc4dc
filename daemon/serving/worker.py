"""A process that answers what a crowd asks for, beside the daemon and on the same port.

``python -m daemon.serving.worker LISTENER HANDOVER`` is started by :mod:`daemon.serving.workers` with two
open sockets, by their numbers, and told on standard input what there is to be answered. A connection on which
anything else is asked goes to the daemon, which answers it as if it had come there. It ends when its input
does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from dataclasses import replace
from email.utils import formatdate
from typing import cast

from daemon.serving.connections import Connections
from daemon.serving.handover import LONGEST, Giver
from daemon.serving.limits import allowed_connections, client_of
from daemon.serving.publications import (
    ACCEPTED_AT_ONCE,
    Begin,
    NewResult,
    NewTable,
    Publication,
    ResultGone,
    received,
)
from web.access import AccessSettings, request_limit
from web.hot_paths import HotPaths
from web.rendition import Renditions
from web.security import HostRule

BACKLOG = 4096
_JSON = "application/json"


class Published:
    """What the daemon has told: the table and results, as bytes."""

    def __init__(self) -> None:
        self._table: Renditions | None = None
        self._results: dict[str, Renditions] = {}

    def newest_json(self) -> Renditions | None:
        """The newest table; None before the first."""
        return self._table

    def at_hand(self, result_id: str) -> Renditions | None:
        """A published result; None where the daemon may have it."""
        return self._results.get(result_id)

    def take(self, news: Publication) -> None:
        """The daemon tells something."""
        if isinstance(news, NewTable):
            self._table = Renditions(news.body, _JSON, news.revision)
        elif isinstance(news, NewResult):
            self._results[news.id] = Renditions(news.body, _JSON, 0)
        elif isinstance(news, ResultGone):
            self._results.pop(news.id, None)


class Crowd:
    """What all connections of this process share."""

    def __init__(self, hot_paths: HotPaths, connections: Connections, giver: Giver) -> None:
        self.hot_paths = hot_paths
        self.connections = connections
        self.giver = giver
        self.date = b""
        self.buffer = memoryview(bytearray(LONGEST))

    async def keep_time(self) -> None:
        """Makes the Date header of answers. Runs until cancelled."""
        while True:
            self.date = formatdate(usegmt=True).encode()
            await asyncio.sleep(1.0)


class CrowdProtocol(asyncio.BufferedProtocol):
    """One connection, until something is asked that only the daemon can answer."""

    __slots__ = ("_address", "_client", "_crowd", "transport")

    def __init__(self, crowd: Crowd) -> None:
        self.transport: asyncio.Transport
        self._crowd = crowd
        self._address = ""
        self._client: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(0)  # what is handed over has nothing left to be sent
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        self._client = client_of(self._address)
        if self._crowd.connections.begin(self, self._client) is not None:
            self._hand_over(b"")  # the daemon says why it is not served, if it is not

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._crowd.buffer

    def buffer_updated(self, nbytes: int) -> None:
        crowd = self._crowd
        request = bytes(crowd.buffer[:nbytes])
        answer = crowd.hot_paths.answer(request, crowd.date, self._address)
        if isinstance(answer, bytes):
            crowd.connections.idles(self)
            self.transport.write(answer)
        else:
            self._hand_over(request)

    def pause_writing(self) -> None:
        self._crowd.connections.stalls(self)
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._crowd.connections.flows(self)
        self.transport.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._crowd.connections.end(self, self._client)

    def _hand_over(self, begun: bytes) -> None:
        self._crowd.giver.give(self.transport.get_extra_info("socket").fileno(), begun)
        self.transport.abort()  # closes this process's side of it only


async def serve(listener: socket.socket, handover: socket.socket, pipe: asyncio.StreamReader) -> None:
    """Answers until the daemon tells nothing more."""
    begin = await received(pipe)
    if not isinstance(begin, Begin):
        return
    published = Published()
    published_before = await received(pipe)  # from then on there is something to answer
    if published_before is not None:
        published.take(published_before)
    limits = replace(begin.limits, connections=allowed_connections(begin.limits.connections))
    hot_paths = HotPaths(
        published,
        published,
        None,
        HostRule(begin.host_names),
        request_limit(AccessSettings(requests_per_s=begin.requests_per_s)),
    )
    crowd = Crowd(hot_paths, Connections(limits), Giver(handover))
    keeping = [asyncio.create_task(crowd.keep_time()), asyncio.create_task(crowd.connections.watch())]
    await asyncio.sleep(0.0)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: CrowdProtocol(crowd), sock=listener, backlog=ACCEPTED_AT_ONCE)
    listener.listen(BACKLOG)
    try:
        while (news := await received(pipe)) is not None:
            published.take(news)
    finally:
        server.close()
        for task in keeping:
            task.cancel()


async def _run(listener: int, handover: int) -> None:
    loop = asyncio.get_running_loop()
    pipe = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(pipe), sys.stdin)
    taken = socket.socket(fileno=listener)
    taken.setblocking(False)
    await serve(taken, socket.socket(fileno=handover), pipe)


def main() -> None:
    """Serves; signals are for the daemon, which then ends this."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(ConnectionError):
        asyncio.run(_run(int(sys.argv[1]), int(sys.argv[2])))
    sys.stdout.flush()
    os._exit(0)  # thousands of connections are not closed one by one


if __name__ == "__main__":
    main()

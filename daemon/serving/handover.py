"""Open connections on their way from a worker process to the daemon, through a Unix socket between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable

LONGEST = 65_536
"""Bytes that may have been read from a connection before it is handed over."""

_AHEAD = b"\1"
"""A message without any byte would look like the end."""


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends that keep messages apart."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    return ends


class Giver:
    """The worker's end. What does not get through now waits."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._waiting: deque[tuple[int, bytes]] = deque()

    def give(self, connection: int, begun: bytes) -> None:
        """Hands over a connection, by its file number, of which ``begun`` was read. The file itself may be
        closed at once."""
        self._waiting.append((os.dup(connection), _AHEAD + begun))
        if len(self._waiting) == 1:
            self._send()

    def _send(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            connection, message = self._waiting[0]
            try:
                socket.send_fds(self._end, [message], [connection])
            except BlockingIOError:
                loop.add_writer(self._end, self._send)
                return
            except OSError:
                pass  # the daemon is gone, and this process follows
            os.close(connection)
            self._waiting.popleft()
        loop.remove_writer(self._end)


class Taker:
    """The daemon's end: ``adopt`` is called with each connection and what was read of it."""

    def __init__(self, end: socket.socket, adopt: Callable[[socket.socket, bytes], None]) -> None:
        self._end = end
        self._adopt = adopt
        asyncio.get_running_loop().add_reader(end, self._receive)

    def close(self) -> None:
        """Takes no more."""
        asyncio.get_running_loop().remove_reader(self._end)

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            message, connections, _, _ = socket.recv_fds(self._end, LONGEST + len(_AHEAD), 1)
            if not message:
                self.close()
            for connection in connections:
                self._adopt(socket.socket(fileno=connection), message[len(_AHEAD) :])

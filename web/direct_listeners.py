"""Listeners of the event stream that are written to directly: many cost little besides the kernel's part.

A listener has no queue. It remembers the number of the last event it was sent; while its client does not read
it is passed over, and then gets the newest of each kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from web.answer_bytes import LAST_CHUNK, chunk
from web.newest_events import NewestEvents

AT_ONCE = 200
"""After so many listeners whoever else has work to do gets a turn."""

StraightSend = Callable[[bytes], int]
"""Hands bytes to the kernel ahead of a wire that has nothing left to send: how many of them it took."""


def nothing_sent(_data: bytes) -> int:
    """The :data:`StraightSend` of a wire that cannot be passed by."""
    return 0


class Wire(Protocol):
    """The connection of a listener whose answer has begun, with chunks as transfer coding."""

    def write(self, data: bytes) -> None:
        """Sends without waiting."""
        ...

    def close(self) -> None:
        """Closes the connection when all is sent."""
        ...


class DirectListener:
    """One of them. ``blocked`` while its client does not read, and once it is gone."""

    __slots__ = ("blocked", "seen", "send", "wire")

    def __init__(self, wire: Wire, seen: int) -> None:
        self.wire = wire
        self.seen = seen
        self.send: StraightSend = nothing_sent
        self.blocked = False


class DirectListeners:
    """All of them."""

    def __init__(self, newest: NewestEvents) -> None:
        self._newest = newest
        self._open: dict[DirectListener, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, listener: DirectListener, send: StraightSend, opening: bytes) -> None:
        """Sends ``opening`` and what is new, then all that comes; by ``send`` what that takes."""
        self._open[listener] = None
        listener.wire.write(chunk(opening))
        self._feed((listener,))
        listener.send = send  # not before: the wire may hold what was written till now

    def resume(self, listener: DirectListener) -> None:
        """The client reads again: it gets the newest of each kind, not what it has missed."""
        if listener in self._open:
            listener.blocked = False
            self._feed((listener,))

    def remove(self, listener: DirectListener) -> None:
        """Sends it nothing more, even where it is about to be fed: its socket may soon be another's."""
        listener.blocked = True
        self._open.pop(listener, None)

    def end_all(self) -> None:
        """Ends every answer and closes its connection."""
        for listener in tuple(self._open):
            self.remove(listener)
            listener.wire.write(LAST_CHUNK)
            listener.wire.close()

    async def feed_all(self) -> None:
        """Sends the news to everybody who reads."""
        listeners = tuple(self._open)
        for begin in range(0, len(listeners), AT_ONCE):
            if begin:
                await asyncio.sleep(0)
            self._feed(listeners[begin : begin + AT_ONCE])

    def _feed(self, listeners: Iterable[DirectListener]) -> None:
        """Encodes the news once for all that have seen the same."""
        made: dict[int, bytes] = {}
        number = self._newest.number
        for listener in listeners:
            seen = listener.seen
            if seen == number or listener.blocked:
                continue
            news = made.get(seen)
            if news is None:
                news = made[seen] = chunk(self._newest.after(seen))
            listener.seen = number
            try:
                sent = listener.send(news)
            except OSError:
                sent = 0  # full or broken: the wire finds out which
            if sent < len(news):
                listener.wire.write(news[sent:])

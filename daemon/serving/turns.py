"""Requests begin a few at a time: between them, whatever else the event loop has to do gets its turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

AT_ONCE = 4
"""So many requests begin in one turn of the event loop. Each takes about a millisecond of a desktop
computer, and the car's samples need a few turns from the driver to the table."""


class Turns:
    """Decides when a request begins. A thousand that arrive together would hold up the samples for seconds
    if all of them began in the same turn."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._begun = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._counting = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def take(self, begin: Callable[[], None]) -> None:
        """Calls ``begin`` now where this turn has room, else in a later one, after those who came before."""
        if self._waiting or self._begun >= self._at_once:
            self._waiting.append(begin)
            return
        self._begun += 1
        self._count_anew_next_turn()
        begin()

    def _count_anew_next_turn(self) -> None:
        if not self._counting:
            self._counting = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._counting = False
        self._begun = 0
        if self._waiting:
            self._count_anew_next_turn()
        while self._waiting and self._begun < self._at_once:
            self._begun += 1
            self._waiting.popleft()()

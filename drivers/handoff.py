"""A bounded queue from one reader thread to one asyncio task."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

_JOIN_S = 1.0


class EndOfItemsError(Exception):
    """The thread has ended without an error and everything it left was taken."""


class Handoff(Generic[Item]):
    """Holds at most ``limit`` items; when the task is slower, the oldest are dropped and counted.

    ``lossless`` lets the thread wait for room instead, where its source can wait. :meth:`put` and
    :meth:`close` are called by the thread, the rest in the loop it was made in.
    """

    def __init__(self, limit: int, *, lossless: bool = False) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[Item] = deque()
        self._limit = limit
        self._lossless = lossless
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._abandoned = False
        self._ready = asyncio.Event()
        self._closed = False
        self._error: BaseException | None = None
        self._woken = False
        self.ended = asyncio.Event()
        self.dropped = 0

    def put(self, item: Item) -> None:
        """Adds an item; waits only where nothing may be lost."""
        with self._lock:
            while self._lossless and len(self._items) == self._limit and not self._abandoned:
                self._room.wait()
            if len(self._items) == self._limit:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            wake, self._woken = not self._woken, True
        if wake:
            self._call(self._ready.set)

    def close(self, error: BaseException | None = None) -> None:
        """No more items will come; ``error`` is raised by :meth:`get` once the rest is taken."""
        with self._lock:
            self._closed, self._error = True, error
        self._call(self._end)

    async def get(self) -> Item:
        """The oldest item, waiting for one if need be.

        Raises:
            EndOfItemsError: closed without an error.
        """
        while True:
            with self._lock:
                if self._items:
                    self._room.notify()
                    return self._items.popleft()
                if self._closed:
                    raise self._error or EndOfItemsError
                self._woken = False
                self._ready.clear()
            await self._ready.wait()

    def abandon(self) -> None:
        """Nobody will take any more: the thread need not wait."""
        with self._lock:
            self._abandoned = True
            self._room.notify()

    def _end(self) -> None:
        self._ready.set()
        self.ended.set()

    def _call(self, function: object) -> None:
        assert callable(function)
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            # the loop is closed: nobody is left to be told
            return


async def from_thread(
    handoff: Handoff[Item], read: Callable[[threading.Event], None], name: str
) -> AsyncGenerator[Item, None]:
    """What a new thread puts into ``handoff`` by ``read``, until it returns; what it raises is raised here.

    ``read`` is given an event that is set when nobody takes any more.
    """
    stop = threading.Event()

    def run() -> None:
        try:
            read(stop)
        except Exception as error:  # noqa: BLE001 - raised again where the items are awaited
            handoff.close(error)
        else:
            handoff.close()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        while True:
            yield await handoff.get()
    except EndOfItemsError:
        return
    finally:
        stop.set()
        handoff.abandon()
        try:
            async with asyncio.timeout(_JOIN_S):
                await handoff.ended.wait()
        except TimeoutError:
            pass  # a backend hangs in a call; the thread is a daemon and holds nothing of ours
        finally:
            thread.join(0.05)

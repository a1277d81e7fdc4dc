"""Wanted frames of a CAN bus, by listening alone, as they come."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, closing
from functools import partial

from drivers.base import EcuSilentError, FrameError, LinkCounts
from drivers.clock import Clock
from drivers.handoff import Handoff, from_thread
from drivers.links import LIVE, CanPlace, Links
from drivers.listening_port import FrameId, HeardFrame, ListeningPort
from drivers.recording import Note

_LISTEN_S = 0.05
_DELIVER_S = 0.04
_QUEUE_ITEMS = 256


class CanListener:
    """What comes on one bus, heard in a thread of its own while :meth:`frames` is iterated over.

    ``identifiers`` are the frames wanted. ``silent_s`` is how long the bus may say nothing of them before
    the link counts as lost. ``opened_s`` is the clock's time from which the times of frames count.
    """

    def __init__(
        self,
        place: CanPlace,
        identifiers: Collection[FrameId],
        clock: Clock,
        counts: LinkCounts,
        *,
        silent_s: float,
        links: Links,
    ) -> None:
        self.opened_s = 0.0
        self._place = place
        self._identifiers = frozenset(identifiers)
        self._clock = clock
        self._counts = counts
        self._silent_s = silent_s
        self._links = links

    async def frames(self) -> AsyncGenerator[list[HeardFrame], None]:
        """Opens the bus and yields wanted frames as they come, some at a time.

        Raises:
            EcuSilentError: the bus is there, and what is wanted does not come.
            DeviceUnavailableError: the bus cannot be opened, or is gone.
        """
        handoff: Handoff[list[HeardFrame]] = Handoff(_QUEUE_ITEMS, lossless=self._links.can_wait)
        async with aclosing(from_thread(handoff, partial(self._listen, handoff), "can-listener")) as heard:
            async for frames in heard:
                self._counts.dropped_batches = handoff.dropped
                yield frames

    async def traffic(self) -> None:
        """Returns when a wanted frame comes.

        Raises:
            DeviceUnavailableError: the bus is not there, or gone.
        """
        handoff: Handoff[None] = Handoff(1)
        async with aclosing(from_thread(handoff, partial(self._await, handoff), "can-listener")) as heard:
            async for _ in heard:
                return

    def _await(self, handoff: Handoff[None], stop: threading.Event) -> None:
        """The thread that waits for one wanted frame; nothing of it is recorded."""
        with closing(LIVE.listening(self._place, self._clock)) as port:
            port.listen_to(self._identifiers)
            while not stop.is_set():
                if self._next(port) is not None:
                    handoff.put(None)
                    return

    def _listen(self, handoff: Handoff[list[HeardFrame]], stop: threading.Event) -> None:
        """The thread: opens the bus, hears, and closes the bus whatever happens."""
        with closing(self._links.listening(self._place, self._clock)) as port:
            self.opened_s = port.opened_s
            port.listen_to(self._identifiers)
            waiting: list[HeardFrame] = []
            try:
                self._hear(port, handoff, waiting, stop)
            finally:
                if waiting:
                    handoff.put(waiting)

    def _hear(
        self,
        port: ListeningPort,
        handoff: Handoff[list[HeardFrame]],
        waiting: list[HeardFrame],
        stop: threading.Event,
    ) -> None:
        """Gathers frames in ``waiting`` and hands them on; what is left there is the last of them."""
        found = False
        heard_s = delivered_s = port.now_s()
        while not stop.is_set():
            frame = self._next(port)
            now_s = port.now_s()
            if frame is not None:
                heard_s = now_s
                waiting.append(frame)
                if not found:
                    found = True
                    port.note(Note.IDENTIFIED)
            elif now_s - heard_s > self._silent_s:
                raise EcuSilentError(
                    f"nothing that is wanted came on CAN {self._place.channel} ({self._place.interface}) for "
                    f"{self._silent_s:g} s: is the ignition on, is the bitrate right?",
                    self.traffic,
                )
            if waiting and now_s - delivered_s >= _DELIVER_S:
                handoff.put(waiting.copy())
                waiting.clear()
                delivered_s = now_s

    def _next(self, port: ListeningPort) -> HeardFrame | None:
        """The next wanted data frame, or None after a short while."""
        try:
            return port.receive(_LISTEN_S)
        except FrameError:
            self._counts.bad_frames += 1
            return None

"""The event stream: what changed, encoded once and sent to every listener.

Every event carries the whole state of its kind, so a listener that cannot keep up skips to the newest of each
and loses nothing, and ``Last-Event-ID`` resumes by leaving out what the client has already.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from web.board import Board
from web.current_table import CurrentTable
from web.direct_listeners import DirectListener, DirectListeners, StraightSend, Wire, nothing_sent
from web.documents import encode_json, live_document, status_document
from web.newest_events import NewestEvents
from web.pace import Pace
from web.rendition import RawHeaders

MIN_INTERVAL_S = 0.1
"""At most ten events of each kind per second."""

WAITED_S = 0.001
"""What came later than this after we looked for it was waited for."""

STATUS_INTERVAL_S = 1.0
"""A status goes out this often, and at once when it says something else in words.

It is the heartbeat by which a page knows that it is not stale.
"""

RETRY_MS = 500
"""What browsers are told to wait before they come back after the stream ended."""

OPENING = f"retry: {RETRY_MS}\n\n".encode()

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

logger = logging.getLogger(__name__)


class EventStream:
    """Watches the board while somebody listens and holds the newest event of each kind."""

    def __init__(self, board: Board, table: CurrentTable) -> None:
        self._board = board
        self._table = table
        self._newest = NewestEvents()
        self._direct = DirectListeners(self._newest)
        self._status_due_s = 0.0
        self._status_gist: tuple[object, ...] = ()
        self._news = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._waiting = 0
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many streams are open now."""
        return self._waiting + len(self._direct)

    def close(self) -> None:
        """Ends every stream, and at once every one that is opened from now on."""
        self._closed = True
        self._wake()
        self._direct.end_all()

    def open(self, wire: Wire, last_event_id: str, send: StraightSend = nothing_sent) -> DirectListener:
        """Sends events over ``wire`` from now on, until :meth:`leave`; by ``send`` what that takes."""
        listener = DirectListener(wire, self._newest.resumed_at(last_event_id))
        self._direct.add(listener, send, OPENING)
        if self._closed:
            self._direct.end_all()
        else:
            self._watching()
        return listener

    def resume(self, listener: DirectListener) -> None:
        """The client reads again."""
        self._direct.resume(listener)

    def leave(self, listener: DirectListener) -> None:
        """The client is gone."""
        self._direct.remove(listener)
        self._rest_if_alone()

    async def send_events(self, send: Send, last_event_id: str) -> None:
        """Sends events until the stream is closed; the caller cancels when the client has left."""
        self._waiting += 1
        try:
            await self._send_news(send, self._newest.resumed_at(last_event_id))
        finally:
            self._waiting -= 1
            self._rest_if_alone()

    async def _send_news(self, send: Send, seen: int) -> None:
        watcher = self._watching()
        while not self._closed:
            news = self._news
            body = self._newest.after(seen)
            if body:
                seen = self._newest.number
                await send({"type": "http.response.body", "body": body, "more_body": True})
            elif watcher.done():
                return
            else:
                await news.wait()

    def _rest_if_alone(self) -> None:
        if self.listeners == 0 and self._watcher is not None:
            self._watcher.cancel()

    def _watching(self) -> asyncio.Task[None]:
        if self._watcher is None or self._watcher.done() or self._watcher.cancelling():
            self._watcher = asyncio.create_task(self._watch(), name="event stream")
            self._watcher.add_done_callback(self._watcher_ended)
        return self._watcher

    def _watcher_ended(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled() and (error := watcher.exception()) is not None:
            logger.error("the event stream failed and its listeners are sent away", exc_info=error)
            self._direct.end_all()
        self._wake()

    async def _watch(self) -> None:
        generation = 0
        loop = asyncio.get_running_loop()
        pace = Pace(MIN_INTERVAL_S, loop.time())
        while True:
            pace.go(loop.time())
            self._publish_changes()
            await self._direct.feed_all()
            await asyncio.sleep(max(0.0, pace.due_s - loop.time()))
            try:
                async with asyncio.timeout(STATUS_INTERVAL_S - MIN_INTERVAL_S):
                    generation = await self._next_change(generation, pace)
            except TimeoutError:
                pass  # nothing changed: the status goes out as a heartbeat

    async def _next_change(self, generation: int, pace: Pace) -> int:
        """Waits for a change after ``generation``, and for one more where ``pace`` leaves it out."""
        loop = asyncio.get_running_loop()
        looked_s = loop.time()
        newest = await self._board.changed(generation)
        if pace.leaves_out(newest - generation, waited=loop.time() - looked_s > WAITED_S):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MIN_INTERVAL_S):
                    newest = await self._board.changed(newest)
        return newest

    def _publish_changes(self) -> None:
        status = self._board.status()
        snapshot, renditions = self._table.newest()
        self._newest.publish_change("table", renditions.plain.body)
        self._newest.publish_change("live", encode_json(live_document(self._board.live(), status.link)))
        now_s = asyncio.get_running_loop().time()
        gist = (status.link.state, status.healthy, status.nothing_accepted_because)
        if now_s >= self._status_due_s or gist != self._status_gist:
            self._status_gist = gist
            self._status_due_s = now_s + STATUS_INTERVAL_S - MIN_INTERVAL_S / 2
            document = status_document(status, snapshot.counts, self.listeners)
            self._newest.publish("status", encode_json(document))
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class EventStreamResponse(Response):
    """``text/event-stream`` until the client leaves or the server stops."""

    media_type: str = "text/event-stream"

    def __init__(self, events: EventStream, last_event_id: str) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._events = events
        self._last_event_id = last_event_id

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": OPENING, "more_body": True})
        async with asyncio.TaskGroup() as group:
            gone = group.create_task(_client_gone(receive))
            feed = group.create_task(self._events.send_events(send, self._last_event_id))
            await asyncio.wait((gone, feed), return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            feed.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def stream_head() -> RawHeaders:
    """The headers of a stream in chunks, but for the date and those that every answer has."""
    headers = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
    return [
        *headers,
        (b"content-type", f"{EventStreamResponse.media_type}; charset=utf-8".encode()),
        (b"Transfer-Encoding", b"chunked"),
    ]


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

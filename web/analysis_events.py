"""A run's events: the whole run each time something of it has changed, until it has ended.

A listener that cannot keep up skips to the newest by itself: nothing is queued for it.
"""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from web.access import Caller
from web.analysis_desk import AnalysisDesk, AnalysisStatus
from web.documents import encode_json
from web.service_errors import ServiceError
from web.webhook_urls import shown_to

QUIET_S = 15.0
"""After so long without a change a comment is sent, so that nobody on the way takes the stream for dead."""


class AnalysisEventsResponse(Response):
    """``text/event-stream`` of one run, until it has ended, the caller leaves or the service stops."""

    media_type: str = "text/event-stream"

    def __init__(self, desk: AnalysisDesk, analysis_id: str, caller: Caller) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._desk = desk
        self._id = analysis_id
        self._caller = caller

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with asyncio.TaskGroup() as group:
            gone = group.create_task(_client_gone(receive))
            feed = group.create_task(self._send_events(send))
            await asyncio.wait((gone, feed), return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            feed.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_events(self, send: Send) -> None:
        number = 0
        ended = False
        while not ended and not self._desk.closed:
            news = self._desk.news(self._id)
            try:
                document = await self._desk.analysis(self._id)
            except ServiceError:  # it was dropped, or the service stops
                return
            number += 1
            ended = AnalysisStatus(document["status"]).ended
            head = f"id: {number}\nevent: analysis\ndata: ".encode()
            await _send_body(send, head + encode_json(shown_to(self._caller, document)) + b"\n\n")
            while not ended and not news.is_set():
                try:
                    async with asyncio.timeout(QUIET_S):
                        await news.wait()
                except TimeoutError:
                    await _send_body(send, b": still there\n\n")


async def _send_body(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

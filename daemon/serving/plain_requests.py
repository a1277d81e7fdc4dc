"""Requests in the plain form, from the connection to the application and back, without h11.

h11 and uvicorn take as long for a request as the daemon does, and copy its body five times. Here a body is
counted and handed on as it came from the socket. What the application sees is what uvicorn would have shown
it (ASGI 3, HTTP 2.3).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl

from daemon.serving.plain_heads import PlainHead
from web.answer_bytes import LAST_CHUNK, answer_head, chunk

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Scope

logger = logging.getLogger(__name__)

WAITING_BYTES = 1 << 18
"""Of a body, more than this is left with the client until the application has taken what is here."""

_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSES = (b"connection", b"close")
_WITHOUT_BODY = (204, 304)
_WRITTEN_APART = 1 << 16
"""From so many bytes on a body is not worth copying behind the head."""


def scope_of(head: PlainHead, transport: asyncio.Transport) -> Scope:
    """What the application is told of a request, as uvicorn tells it."""
    path, _, query = head.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": get_local_addr(transport),
        "client": get_remote_addr(transport),
        "scheme": "https" if is_ssl(transport) else "http",
        "method": head.method,
        "root_path": "",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "headers": head.headers,
        "state": {},
    }


class PlainRequest:
    """One request, and the answer to it.

    ``behind`` is what the client sent after it. ``ended`` is called when it is answered and the connection
    may be used again. What the application did not want of the body is still to come then, and is read past.
    """

    def __init__(
        self,
        head: PlainHead,
        transport: asyncio.Transport,
        default_headers: Sequence[tuple[bytes, bytes]],
        ended: Callable[[], None],
    ) -> None:
        self.behind = b""
        self.answered = False
        self._scope = scope_of(head, transport)  # once the client has left nobody knows its address
        self._transport = transport
        self._default_headers = default_headers
        self._ended = ended
        self._left = head.body_bytes
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._told_end = False
        self._waits = head.waits
        self._gone = False
        self._last = False
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._news: asyncio.Future[None] | None = None
        self._answer: _Answer | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is answered and nothing more of it is to come."""
        return self.answered and not self._left

    # ---- what the connection tells

    def take(self, data: bytes) -> None:
        """More has come."""
        if self._left:
            part = data if len(data) <= self._left else data[: self._left]
            self._left -= len(part)
            data = data[len(part) :]
            if not self.answered:
                self._body.append(part)
                self._body_bytes += len(part)
                self._tell()
        if data:
            self.behind += data
        if self._body_bytes > WAITING_BYTES or len(self.behind) > WAITING_BYTES:
            self._transport.pause_reading()

    def hold_writing(self) -> None:
        """The client does not take what was sent."""
        self._may_write.clear()

    def go_on_writing(self) -> None:
        """It does again."""
        self._may_write.set()

    def lose_connection(self) -> None:
        """The client has left."""
        self._gone = True
        self._may_write.set()
        self._tell()

    def be_last(self) -> None:
        """The connection is to be closed once it is answered."""
        self._last = True
        if self.answered:
            self._transport.close()

    # ---- ASGI

    async def run(self, app: ASGIApp) -> None:
        """Has the application answer, and says so where it fails."""
        scope = self._scope
        try:
            await app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._transport.close()
            raise
        except Exception:
            logger.exception("the web application failed at %s %s", scope["method"], scope["path"])
            await self._fail()
        else:
            if not self.answered and not self._gone:
                logger.error("no whole answer to %s %s", scope["method"], scope["path"])
                await self._fail()

    async def receive(self) -> Message:
        """More of the body; after its end, that there is nobody who waits for more of the answer."""
        if self._waits and not self._answer and not self._body:
            self._transport.write(_GO_ON)
        self._waits = False
        while not self._gone and not self.answered:
            if self._body or not (self._left or self._told_end):
                body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
                self._body.clear()
                self._body_bytes = 0
                self._told_end = not self._left
                self._transport.resume_reading()
                return {"type": "http.request", "body": body, "more_body": not self._told_end}
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """The answer: its head, then its body."""
        await self._may_write.wait()
        if self._gone:
            return
        kind = message["type"]
        if kind == "http.response.start" and self._answer is None:
            self._start(message)
        elif kind == "http.response.body" and self._answer is not None and not self.answered:
            more = message.get("more_body", False)
            self._answer.write(self._transport, message.get("body", b""), more=more)
            if not more:
                self._complete()
        else:
            raise RuntimeError(f"{kind!r} is out of place in an answer")

    # ---- inside

    def _start(self, message: Message) -> None:
        headers = [*self._default_headers, *message.get("headers", ())]
        if self._waits and self._left and _CLOSES not in headers:
            headers.append(_CLOSES)  # the client may or may not send the body that it was not asked for
        self._last = self._last or _CLOSES in headers
        self._answer = _Answer(message["status"], headers, without_body=self._scope["method"] == "HEAD")
        self._answer.begin(self._transport)

    def _complete(self) -> None:
        self.answered = True
        self._body.clear()
        self._body_bytes = 0
        self._tell()
        if self._last:
            self._transport.close()
        else:
            self._transport.resume_reading()
            self._ended()

    async def _fail(self) -> None:
        if self._answer is None:
            await self.send({"type": "http.response.start", "status": 500, "headers": [_CLOSES]})
            await self.send({"type": "http.response.body"})
        elif not self.answered:
            self._transport.close()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


class _Answer:
    """How an answer is written: its length is announced, or it comes in chunks (RFC 9112, 7.1)."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], *, without_body: bool) -> None:
        """Raises what :func:`web.answer_bytes.answer_head` does."""
        length = next((value for name, value in headers if name.lower() == b"content-length"), None)
        self._silent = without_body or status in _WITHOUT_BODY
        self._chunked = length is None and not self._silent
        self._to_come = 0 if length is None or self._silent else int(length)
        if self._chunked:
            headers = [*headers, (b"Transfer-Encoding", b"chunked")]
        self._head = answer_head(status, headers)

    def begin(self, transport: asyncio.Transport) -> None:
        """Writes the head, unless it may as well go with the body."""
        if self._chunked:
            transport.write(self._head)
            self._head = b""

    def write(self, transport: asyncio.Transport, body: bytes, *, more: bool) -> None:
        """Writes a part of the body.

        Raises:
            RuntimeError: it is longer or shorter than was announced.
        """
        if self._silent:
            body = b""
        elif self._chunked:
            body = (chunk(body) if body else b"") + (b"" if more else LAST_CHUNK)
        else:
            self._to_come -= len(body)
            if self._to_come < 0 or (self._to_come and not more):
                raise RuntimeError(f"its body differs from the length announced by {-self._to_come} bytes")
        if len(body) < _WRITTEN_APART:
            transport.write(self._head + body)
        else:
            transport.write(self._head)
            transport.write(body)
        self._head = b""

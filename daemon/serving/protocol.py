"""HTTP connections: what a crowd asks for is answered at once, plain requests go straight to the application,
and whatever is unusual is uvicorn's.

uvicorn has no deadline for the head of a request, no limit for one client, and locks everybody out at its
limit for all. Those are kept here, before it sees a connection. What it needs for a connection is made
only while it works on a request, so that thousands of idle ones cost little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.server import ServerState

from daemon.serving.connections import Connections
from daemon.serving.limits import Refusal, client_of
from daemon.serving.plain_heads import PlainHead, plain_head
from daemon.serving.plain_requests import PlainRequest
from daemon.serving.request_heads import CheckedHeadProtocol
from daemon.serving.straight_sends import straight_send
from web.direct_listeners import DirectListener
from web.hot_paths import HotPaths, Opening

HELD_BYTES = 65_536
"""Of a request that waits for its turn, more than this is left with the client."""


class FrontProtocol(asyncio.Protocol):
    """One connection. Between requests, and for those that ``hot_paths`` answers, there is nothing else."""

    __slots__ = (
        "_address",
        "_app_state",
        "_blocked",
        "_client",
        "_config",
        "_connections",
        "_held",
        "_hot_paths",
        "_inner",
        "_listener",
        "_most_of_head",
        "_refusal",
        "_refused",
        "_request",
        "_server_state",
        "transport",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        connections: Connections,
        hot_paths: HotPaths | None,
    ) -> None:
        self.transport: asyncio.Transport
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._connections = connections
        self._hot_paths = hot_paths
        self._most_of_head: int = config.h11_max_incomplete_event_size or 0
        self._held: bytes | None = None
        self._inner: _Requests | None = None
        self._request: PlainRequest | None = None
        self._listener: DirectListener | None = None
        self._address = ""
        self._client: str | None = None
        self._refusal: Refusal | None = None
        self._refused = False
        self._blocked = False

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        self._client = client_of(self._address)
        self._refusal = self._connections.begin(self, self._client)
        self._server_state.connections.add(self)  # type: ignore[arg-type]
        if self._refusal is not None and self._connections.overrun:
            self._refuse(self._refusal)

    def data_received(self, data: bytes) -> None:
        inner = self._inner
        if inner is not None:
            inner.data_received(data)
            self.settle(inner)
        elif self._request is not None:
            self._request.take(data)
            self._go_on()
        elif self._listener is not None:
            return  # whoever listens to the stream has nothing more to ask
        elif self._refusal is not None:
            self._refuse(self._refusal)
        elif self._held is not None:
            self._held += data
            self._hold_back()
        elif self._blocked or len(data) > self._most_of_head or not self._answered_at_once(data):
            self._held = data
            self._connections.works(self)
            self.take_turn(self._begin)
            self._hold_back()

    def eof_received(self) -> None:
        if self._inner is not None:
            self._inner.eof_received()

    def pause_writing(self) -> None:
        self._blocked = True
        self._connections.stalls(self)
        if self._listener is not None:
            self._listener.blocked = True
        if self._inner is not None:
            self._inner.pause_writing()
        if self._request is not None:
            self._request.hold_writing()

    def resume_writing(self) -> None:
        self._blocked = False
        self._connections.flows(self)
        if self._listener is not None and self._hot_paths is not None:
            self._hot_paths.events.resume(self._listener)
        if self._inner is not None:
            self._inner.resume_writing()
            self.ready(self._inner)
        if self._request is not None:
            self._request.go_on_writing()
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.end(self, self._client)
        self._server_state.connections.discard(self)
        if self._listener is not None and self._hot_paths is not None:
            self._hot_paths.events.leave(self._listener)
        self._held = None
        if self._inner is not None:
            self._inner.connection_lost(exc)
            self._inner = None
        if self._request is not None:
            self._request.lose_connection()
            self._request = None

    # ---- what the server and the connections ask for

    @property
    def write_paused(self) -> bool:
        """Whether the client does not take what was sent."""
        return self._blocked

    def shutdown(self) -> None:
        """Ends the connection when the request that it is at is answered."""
        if self._inner is not None:
            self._inner.shutdown()
        elif self._request is not None:
            self._request.be_last()
        elif self._listener is None:  # the stream ends its listeners itself
            self.transport.close()

    def refuse_request(self, refusal: Refusal | None) -> None:
        """What came is no request that can be answered. Without a ``refusal`` there is no more to say."""
        if refusal is None:
            self.transport.close()
        else:
            self._refuse(refusal)

    def take_turn(self, begin: Callable[[], None]) -> None:
        """Calls ``begin`` when it is the turn of one more request."""
        self._connections.turns.take(begin)

    def ready(self, inner: _Requests) -> None:
        """A request was answered, or the client has taken what was sent."""
        if self._blocked or inner.waits or not inner.is_between_requests():
            return
        if inner.has_part_of_a_head():
            self._connections.has_begun_a_head(self)
        else:
            self._inner = None
            self._connections.idles(self)

    # ---- inside

    def _answered_at_once(self, data: bytes) -> bool:
        if self._hot_paths is None:
            return False
        answer = self._hot_paths.answer(data, self._server_state.default_headers[0][1], self._address)
        if answer is None:
            return False
        self._server_state.total_requests += 1
        if isinstance(answer, Opening):
            self._connections.works(self)
            self.transport.set_write_buffer_limits(0)
            self.transport.write(answer.head)
            send = straight_send(self.transport)
            self._listener = self._hot_paths.events.open(self.transport, answer.last_event_id, send)
            self._listener.blocked = self._blocked
        else:
            self.transport.write(answer)
            self._connections.idles(self)
        return True

    def _hold_back(self) -> None:
        """Leaves more with the client where enough is here of a request that has not begun."""
        if self._held is not None and len(self._held) > HELD_BYTES:
            self.transport.pause_reading()

    def _begin(self) -> None:
        """It is the turn of the request that waits, unless its client has left."""
        data, self._held = self._held, None
        if data is None:
            return
        if len(data) > HELD_BYTES:
            self.transport.resume_reading()
        head = plain_head(data, self._most_of_head)
        if head is not None:
            self._start(head, data[head.size :])
            return
        self._inner = inner = self._new_inner()
        inner.data_received(data)
        self.settle(inner)

    def _start(self, head: PlainHead, more: bytes) -> None:
        """Has the application answer a request, of which ``more`` has come after its head."""
        state = self._server_state
        self._request = request = PlainRequest(head, self.transport, state.default_headers, self._answered)
        if self._blocked:
            request.hold_writing()
        if more:
            request.take(more)
        task = asyncio.get_running_loop().create_task(request.run(self._config.loaded_app))
        state.tasks.add(task)
        task.add_done_callback(state.tasks.discard)

    def _answered(self) -> None:
        self._server_state.total_requests += 1
        self._go_on()

    def _go_on(self) -> None:
        """Goes on to what comes after a request, once its client has taken the answer and sent all of it."""
        request = self._request
        if request is None or not request.answered or self._blocked or self.transport.is_closing():
            return
        if not request.is_over:
            self._connections.has_begun_a_head(self)  # the rest of a body that was not wanted has its time
            return
        self._request = None
        if request.behind:
            self.data_received(request.behind)
        else:
            self._connections.idles(self)

    def _new_inner(self) -> _Requests:
        inner = _Requests(self._config, self._server_state, self._app_state, self)
        inner.connection_made(self.transport)
        if self._blocked:
            inner.pause_writing()
        return inner

    def settle(self, inner: _Requests) -> None:
        """Keeps the deadline of a head that has not arrived whole."""
        if inner is self._inner:
            if inner.is_between_requests() or inner.refused:
                self._connections.has_begun_a_head(self)
            else:
                self._connections.works(self)

    def _refuse(self, refusal: Refusal) -> None:
        """Answers once, then waits for the client to close: an answer that was not read yet would be lost."""
        if not self._refused:
            self._refused = True
            self.transport.write(self._connections.refusal(refusal, self._server_state.default_headers[0][1]))
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()  # TLS ends both ways at once


class _Requests(CheckedHeadProtocol):
    """uvicorn's part of a connection, while it has requests to answer."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], front: FrontProtocol
    ) -> None:
        super().__init__(config, server_state, app_state, front.refuse_request)
        self._front = front
        self._answered = False
        self.waits = False
        """Whether the next request is there, and waits for its turn."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.connections.discard(self)  # the front stands for both

    def on_response_complete(self) -> None:
        self._answered = True
        super().on_response_complete()
        self._answered = False
        self._unset_keepalive_if_required()  # idle connections are closed by :class:`Connections`
        self._front.ready(self)

    def handle_events(self) -> None:
        """Looks at what has come. What a client sent behind the request that was just answered is no more
        urgent than what others send."""
        if self.waits:
            self.flow.pause_reading()
        elif self._answered and self.has_part_of_a_head():
            self.waits = True
            self._front.take_turn(self._go_on)
        else:
            super().handle_events()

    def _go_on(self) -> None:
        self.waits = False
        if not self.transport.is_closing():
            self.flow.resume_reading()
            super().handle_events()
            self._front.settle(self)

    def has_part_of_a_head(self) -> bool:
        """Whether the next request has begun to arrive."""
        return self.conn.trailing_data != (b"", False)

    def is_between_requests(self) -> bool:
        """Whether there is no whole request to be answered."""
        return self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE


def protocol_with(connections: Connections, hot_paths: HotPaths | None) -> type[asyncio.Protocol]:
    """An HTTP protocol for uvicorn that asks ``hot_paths`` first, where there are any."""

    class Front(FrontProtocol):
        __slots__ = ()

        def __init__(
            self,
            config: Config,
            server_state: ServerState,
            app_state: dict[str, Any],
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            super().__init__(config, server_state, app_state, connections, hot_paths)

    return Front

"""uvicorn inside the daemon's own event loop: no signal handlers, a clear error where the port is taken."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import uvicorn

from daemon.doctor.port_owner import port_owner
from daemon.serving.connections import Connections
from daemon.serving.limits import WebLimits, allowed_connections
from daemon.serving.protocol import FrontProtocol, protocol_with
from daemon.serving.publications import ACCEPTED_AT_ONCE
from web.event_stream import EventStream
from web.hot_paths import HotPaths

if TYPE_CHECKING:
    import ssl

    from starlette.applications import Starlette
    from starlette.types import ASGIApp

    from daemon.serving.workers import Workers

logger = logging.getLogger(__name__)

GRACE_S = 1
"""How long requests that are being answered may go on after the stop."""

BACKLOG = 4096
"""So many connections may wait to be taken; of those 128 are taken in one go."""


class PortUnavailableError(Exception):
    """The dashboard cannot listen there; one line says why, who holds the port and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to ``host`` and ``port`` (0: any free one), already listening.

    Raises:
        PortUnavailableError: the port is taken, not permitted, or the address is not of this machine.
    """
    if not 0 <= port <= 65535:
        raise PortUnavailableError(f"there is no port {port}; ports go from 1 to 65535, 0 takes any free one")
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise PortUnavailableError(
            f"the host {host!r} is no address of this machine ({error}); use 127.0.0.1 for this machine only "
            "or 0.0.0.0 for the network"
        ) from error
    family, kind, protocol, _, address = infos[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise PortUnavailableError(_why_unavailable(host, port, error)) from error
    listener.setblocking(False)
    return listener


def listener_url(listener: socket.socket, scheme: str = "http") -> str:
    """The address to open in a browser on this machine."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"


async def serve(
    app: Starlette,
    host: str,
    port: int,
    *,
    limits: WebLimits | None = None,
    listening: Callable[[str], None] | None = None,
) -> None:
    """Serves ``app``, that of :mod:`web.app`, until cancelled; then ends within two seconds, with the open
    event streams.

    ``listening`` is called with the address to open (which has the port that was found where
    ``port`` is 0) as soon as connections are taken.

    Raises:
        PortUnavailableError: see :func:`listen`.
    """
    listener = listen(host, port)
    try:
        await serve_on(
            app, app.state.events, app.state.hot_paths, listener, limits=limits, listening=listening
        )
    finally:
        listener.close()


async def serve_on(
    app: ASGIApp,
    events: EventStream,
    hot_paths: HotPaths | None,
    listener: socket.socket,
    *,
    limits: WebLimits | None = None,
    listening: Callable[[str], None] | None = None,
    workers: Workers | None = None,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Like :func:`serve`, on a socket that is listening already.

    ``hot_paths`` is asked before ``app``; ``events`` is the stream of both. ``workers`` share the socket.
    With ``tls`` it is https, which workers do not speak.
    """
    limits = limits or WebLimits()
    limits = replace(limits, connections=allowed_connections(limits.connections))
    connections = Connections(limits)
    config = uvicorn.Config(
        app,
        http=protocol_with(connections, hot_paths),
        ws="none",
        lifespan="off",  # the daemon starts and stops what the application uses
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=128 if workers is None else ACCEPTED_AT_ONCE,
        h11_max_incomplete_event_size=limits.head_bytes,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        timeout_graceful_shutdown=GRACE_S,
    )
    url = listener_url(listener, "http" if tls is None else "https")
    beside = [asyncio.create_task(connections.watch(), name="connections")]

    def ready() -> None:
        if workers is not None:
            working = asyncio.create_task(workers.run(listener, server.adopt), name="workers")
            working.add_done_callback(_say_failure)
            beside.append(working)
        if listening is not None:
            listening(url)

    server = _Server(config, events, ready)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="web server")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


class _Server(uvicorn.Server):
    """Leaves signals to the daemon and ends event streams before it waits for connections to end."""

    def __init__(self, config: uvicorn.Config, events: EventStream, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._events = events
        self._ready = ready
        self._adopting: set[asyncio.Task[None]] = set()

    def adopt(self, connection: socket.socket, begun: bytes) -> None:
        """Goes on with a connection that another process has taken and read ``begun`` from."""
        task = asyncio.create_task(self._adopt(connection, begun), name="adopted connection")
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def _adopt(self, connection: socket.socket, begun: bytes) -> None:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.connect_accepted_socket(self._protocol, connection)
        if begun:  # nothing else can have come before: reading begins with the loop's next look
            protocol.data_received(begun)

    def _protocol(self) -> asyncio.Protocol:
        make = cast(Callable[..., asyncio.Protocol], self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._events.close()
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, FrontProtocol) and connection.write_paused:
                connection.transport.abort()  # a phone that does not read would never take the end either
        await super().shutdown(sockets)


def _say_failure(working: asyncio.Task[None]) -> None:
    if not working.cancelled() and (error := working.exception()) is not None:
        logger.error("the workers of the dashboard failed; the daemon answers alone", exc_info=error)


def _why_unavailable(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        owner = port_owner(port)
        held = f"is in use by {owner}" if owner else "is in use by another program"
        return f"port {port} on {host} {held}; stop it or choose another port (0 takes any free one)"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} needs more rights than this user has; choose a port from 1024 to 65535"
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"this machine has no address {host}; use 127.0.0.1 for this machine only or 0.0.0.0 "
            "for the network"
        )
    return f"cannot listen on port {port} of {host}: {error.strerror}"

"""uvicorn inside the daemon's own event loop: no signal handlers, a clear error where the port is taken."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Generator

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from daemon.port_owner import port_owner
from daemon.web_protocol import protocol_with
from web.event_stream import EventStream

GRACE_S = 1
"""How long requests that are being answered may go on after the stop."""


KEEP_ALIVE_S = 30
"""How long an idle connection is kept: longer than a script's pause between two looks at the table."""


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


def listener_url(listener: socket.socket) -> str:
    """The address to open in a browser on this machine."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


async def serve(
    app: FastAPI, host: str, port: int, *, listening: Callable[[str], None] | None = None
) -> None:
    """Serves ``app`` until cancelled; then ends within two seconds, open event streams included.

    ``listening`` is called with the address to open (which has the port that was found where
    ``port`` is 0) as soon as connections are taken.

    Raises:
        PortUnavailableError: see :func:`listen`.
    """
    listener = listen(host, port)
    try:
        await serve_on(app, listener, listening=listening)
    finally:
        listener.close()


async def serve_on(
    app: FastAPI, listener: socket.socket, *, listening: Callable[[str], None] | None = None
) -> None:
    """Like :func:`serve`, on a socket that is listening already."""
    config = uvicorn.Config(
        app,
        http=protocol_with(app.state.table_hot_path),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    url = listener_url(listener)
    server = _Server(config, app.state.events, lambda: listening(url) if listening else None)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="web server")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise


class _Server(uvicorn.Server):
    """Leaves signals to the daemon and ends event streams before it waits for connections to end."""

    def __init__(self, config: uvicorn.Config, events: EventStream, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._events = events
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._events.close()
        for connection in self.server_state.connections:
            if isinstance(connection, H11Protocol) and connection.flow.write_paused:
                connection.transport.abort()  # a phone that does not read would never take the end either
        await super().shutdown(sockets)


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

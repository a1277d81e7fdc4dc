"""Asking the lowmaf that has a database to change it, over its own HTTP routes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from daemon.errors import WorkError
from web.session_shelf import SessionChange

ROUTE = "/api/v1/sessions"
TIMEOUT_S = 600.0
"""Making a long drive anew on a slow machine takes minutes."""


class DaemonSessions:
    """What a daemon can be asked to do with its drives. Blocks: it is for a command, not for a server.

    Every method raises :class:`WorkError` where the daemon does not answer, or refuses, with its reason.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    async def numbers(self) -> list[int]:
        """Numbers of all sessions that are over, oldest first."""
        sessions = self._ask("GET", ROUTE)["sessions"]
        return [session["id"] for session in sessions if session["state"] != "driving"]

    async def change(self, number: int, change: SessionChange) -> Mapping[str, Any]:
        """Names a session, or leaves it out of the table or takes it in again."""
        given = {"name": change.name, "included": change.included}
        body = {key: value for key, value in given.items() if value is not None}
        session: Mapping[str, Any] = self._ask("PATCH", f"{ROUTE}/{number}", body)
        return session

    async def delete(self, number: int) -> None:
        """Deletes a session with all that was learned from it."""
        self._ask("DELETE", f"{ROUTE}/{number}")

    async def rebuild(self, number: int) -> Mapping[str, Any]:
        """Makes its cells anew from the kept samples."""
        rebuilt: Mapping[str, Any] = self._ask("POST", f"{ROUTE}/{number}/rebuild")
        return rebuilt

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return ask_daemon(self._address, method, path, body)


def ask_daemon(address: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """What the lowmaf at ``address``, such as ``http://127.0.0.1:8000/``, answers, as JSON. Blocks.

    Raises:
        WorkError: it does not answer, or refuses; its reason is told.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise WorkError(f"{address!r} is no address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WorkError(f"lowmaf does not say where it answers: {address!r}; http://HOST:PORT/ is needed")
    # Who asks from 127.0.0.1 is at this machine, also where lowmaf listens on another address of it only.
    source = None if ":" in parts.hostname else ("127.0.0.1", 0)
    connection = connection_to(parts.scheme, parts.hostname, port, TIMEOUT_S, source)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"content-type": "application/json"} if sent else {})
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or error
        raise WorkError(
            f"lowmaf does not answer at {address}: {why}; is it running, and on that port?"
        ) from None
    finally:
        connection.close()
    return _answer(response.status, content, address)


def connection_to(
    scheme: str, host: str, port: int | None, timeout_s: float, source: tuple[str, int] | None = None
) -> http.client.HTTPConnection:
    """A connection to a lowmaf of this machine.

    Nobody stands between, so that the certificate of https, made for the names that phones use, is not asked
    for its own.
    """
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout_s, source)
    import ssl  # noqa: PLC0415 - seldom needed

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=timeout_s, source_address=source, context=context)


def _answer(status: int, content: bytes, address: str) -> Any:
    try:
        document: Any = json.loads(content) if content else {}
        refusal = None if status < 400 else str(document["error"]["message"])
    except (ValueError, KeyError, TypeError):
        raise WorkError(f"{address} does not answer as lowmaf does (status {status})") from None
    if refusal is not None:
        raise WorkError(refusal)
    return document

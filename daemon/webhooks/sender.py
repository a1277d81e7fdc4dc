"""One push over HTTP to one receiver: kept-alive connections, to addresses that were checked.

httpx is loaded with the first push: a daemon without webhooks never pays for it.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from daemon.webhooks.hosts import AllowedHosts, HostForbiddenError, HostUnknownError, Receiver

ADDRESS_KEPT_S = 30.0
"""So long an address that was checked is used for new connections: as long as idle ones are kept open."""
MAX_ANSWER_BYTES = 65_536
"""More of an answer is not read."""
_GONE = 410


class PushFailedError(Exception):
    """A chunk did not arrive, or the receiver did not say that it did. ``gone``: it never will."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


class WebhookSender:
    """Pushes to one receiver. Connections are kept open between pushes; redirects are not followed."""

    def __init__(
        self, receiver: Receiver, hosts: AllowedHosts, *, timeout_s: float, connections: int
    ) -> None:
        self._receiver = receiver
        self._hosts = hosts
        self._timeout_s = timeout_s
        self._connections = connections
        self._httpx: Any = None
        self._client: Any = None
        self._address = ""
        self._address_until_s = 0.0
        self._preparing = asyncio.Lock()

    async def push(self, url: str, body: bytes) -> None:
        """POSTs one chunk to ``url``, which is of this receiver.

        Raises:
            PushFailedError: anything but an answer with a status from 200 to 299.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._push(url, body)
        except TimeoutError:
            raise PushFailedError(f"no answer within {self._timeout_s:g} s") from None
        except (HostForbiddenError, HostUnknownError) as error:
            raise PushFailedError(str(error)) from None

    async def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _push(self, url: str, body: bytes) -> None:
        await self._prepare()
        httpx = self._httpx
        try:
            request = self._request(url, body)
            async with self._client.stream("POST", **request) as answer:
                status = answer.status_code
                await _read_a_little(answer)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            words = str(error) or type(error).__name__
            raise PushFailedError(f"{self._receiver.host} port {self._receiver.port}: {words}") from None
        if status // 100 == 3:
            raise PushFailedError(f"answered {status}, and redirects are not followed")
        if status // 100 != 2:
            raise PushFailedError(f"answered {status}", gone=status == _GONE)

    def _request(self, url: str, body: bytes) -> dict[str, Any]:
        """The request to the checked address; the name stays in Host and in the certificate's check."""
        parts = urlsplit(url)
        bracketed = f"[{self._address}]" if ":" in self._address else self._address
        to_address = parts._replace(netloc=f"{bracketed}:{self._receiver.port}")
        return {
            "url": urlunsplit(to_address),
            "content": body,
            "headers": {"host": parts.netloc, "content-type": "application/json"},
            "extensions": {"sni_hostname": self._receiver.host},
        }

    async def _prepare(self) -> None:
        """Loads what is needed, and has a checked address that is not too old."""
        async with self._preparing:
            if self._client is None:
                self._httpx, self._client = await asyncio.to_thread(self._load)
            now_s = asyncio.get_running_loop().time()
            if now_s >= self._address_until_s:
                self._address = await self._hosts.address(self._receiver)
                self._address_until_s = now_s + ADDRESS_KEPT_S

    def _load(self) -> tuple[Any, Any]:
        httpx = importlib.import_module("httpx")
        limits = httpx.Limits(
            max_connections=self._connections,
            max_keepalive_connections=self._connections,
            keepalive_expiry=ADDRESS_KEPT_S,
        )
        encrypted = self._receiver.scheme == "https"
        client = httpx.AsyncClient(
            http2=encrypted,
            limits=limits,
            verify=encrypted,  # without it, authorities need not be loaded, which takes 50 ms
            timeout=None,  # the whole push has one
            follow_redirects=False,
            trust_env=False,  # a proxy would connect to what nobody checked
            headers={"user-agent": "lowmaf"},
        )
        return httpx, client


async def _read_a_little(answer: Any) -> None:
    """Reads the answer's body, so that the connection can be used again; a long one is left unread."""
    read = 0
    async for piece in answer.aiter_raw():
        read += len(piece)
        if read > MAX_ANSWER_BYTES:
            return

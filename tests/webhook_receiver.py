"""A real receiver of webhooks on loopback, which behaves as a test wants it to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Received:
    """What came: every body in its order, per run each chunk once, by its sequence number, and every head,
    in lower case."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    runs: dict[str, dict[int, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, body: bytes) -> None:
        chunk = json.loads(body)
        self.bodies.append(chunk)
        self.sizes.append(len(body))
        self.runs[chunk["run_id"]].setdefault(chunk["sequence"], chunk)
        self.news.set()

    def whole(self, run_id: str) -> bool:
        """Whether the last chunk of a run came, and all before it."""
        chunks = self.runs.get(run_id, {})
        last = [number for number, chunk in chunks.items() if chunk["last"]]
        return bool(last) and sorted(chunks) == list(range(last[0] + 1))

    def outputs(self, run_id: str) -> list[dict[str, Any]]:
        """The outputs of a run, put together of their chunks."""
        found, text = [], ""
        chunks = self.runs[run_id]
        for number in sorted(chunks):
            chunk = chunks[number]
            text = chunk["data"] if chunk["part"] == 1 else text + chunk["data"]
            if chunk["part"] == chunk["parts"]:
                found.append(json.loads(text))
        return found

    async def until(self, arrived: Callable[[], bool], within_s: float = 30.0) -> None:
        """Returns as soon as something holds of what came."""
        async with asyncio.timeout(within_s):
            while not arrived():
                self.news.clear()
                await self.news.wait()


Behaviour = Callable[[bytes, Received], bytes | None]
"""What is answered to a body, given what came before; None closes the connection without an answer."""


def takes_all(body: bytes, received: Received) -> bytes | None:
    received.take(body)
    return ANSWER


@contextlib.asynccontextmanager
async def receiving(
    behaviour: Behaviour = takes_all, encrypted: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, Received]]:
    """Yields the address of a receiver, such as ``127.0.0.1:41234``, and what it has received."""
    received = Received()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.connections += 1
        writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                received.heads.append(head.decode().lower())
                lines = head.lower().split(b"\r\n")
                length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
                answer = behaviour(await reader.readexactly(length), received)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if b"connection: close" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=encrypted)
    try:
        port = server.sockets[0].getsockname()[1]
        yield f"127.0.0.1:{port}", received
    finally:
        server.close()
        for writer in list(writers):
            writer.close()
        await server.wait_closed()

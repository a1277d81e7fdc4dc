"""Bodies that are handed on uncopied are those that were sent, whatever comes before, between and after."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from daemon.serving.announced_body import AnnouncedBodyProtocol

LIMIT = 300_000


async def digest_app(_scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body and what it was; refuses a long one before all of it is there."""
    length, digest = 0, hashlib.sha256()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        assert isinstance(message["body"], bytes)
        length += len(message["body"])
        digest.update(message["body"])
        if not message["more_body"] or length > LIMIT:
            break
    words = b"too long" if length > LIMIT else f"{length} {digest.hexdigest()}".encode()
    headers = [(b"content-length", str(len(words)).encode())]
    await send({"type": "http.response.start", "status": 413 if length > LIMIT else 200, "headers": headers})
    await send({"type": "http.response.body", "body": words})


@contextlib.asynccontextmanager
async def connection() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """To a server that answers so."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        digest_app, http=AnnouncedBodyProtocol, lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving
        listener.close()


def head(length: int, *more: str) -> bytes:
    lines = ["POST / HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *more]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    length = next(line.partition(": ")[2] for line in lines if line.startswith("content-length"))
    return int(lines[0].split(" ")[1]), await reader.readexactly(int(length))


def expected(body: bytes) -> tuple[int, bytes]:
    return 200, f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()


@pytest.mark.parametrize("seed", range(6))
async def test_requests_one_after_the_other_however_they_are_cut(seed: int) -> None:
    """Several in one piece, heads and bodies cut anywhere, small, large and empty ones."""
    chance = random.Random(seed)
    sizes = [chance.choice((0, 1, 300, 8191, 8192, 65536, 65537, 200_000, LIMIT)) for _ in range(12)]
    bodies = [chance.randbytes(size) for size in sizes]
    stream = b"".join(head(len(body)) + body for body in bodies)
    cuts = sorted(chance.randrange(len(stream)) for _ in range(30))
    async with connection() as (reader, writer), asyncio.timeout(20):

        async def send() -> None:
            for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
                writer.write(stream[begin:end])
                await writer.drain()
                await asyncio.sleep(0)

        sending = asyncio.create_task(send())
        for body in bodies:
            assert await answer(reader) == expected(body)
        await sending


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    body = bytes(range(256)) * 400
    async with connection() as (reader, writer), asyncio.timeout(20):
        writer.write(head(len(body), "Expect: 100-continue"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(body)
        assert await answer(reader) == expected(body)


async def test_a_body_that_is_refused_half_way_ends_that_request_alone() -> None:
    async with connection() as (reader, writer), asyncio.timeout(20):
        writer.write(head(3 * LIMIT) + b"x" * (LIMIT + 70_000))
        assert await answer(reader) == (413, b"too long")
        writer.write(b"x" * (2 * LIMIT - 70_000) + head(5) + b"after")
        assert await answer(reader) == expected(b"after")


async def test_a_body_in_chunks_goes_the_ordinary_way() -> None:
    async with connection() as (reader, writer), asyncio.timeout(20):
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (20_000, b"y" * 20_000))
        assert await answer(reader) == expected(b"y" * 20_000)


async def test_what_is_no_request_is_refused_and_the_connection_closed() -> None:
    async with connection() as (reader, writer), asyncio.timeout(20):
        writer.write(b"nonsense\r\n\r\n" + b"z" * 20_000)
        assert (await reader.read()).startswith(b"HTTP/1.1 400")

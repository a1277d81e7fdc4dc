"""Limits of connections: each its clear answer, and none of them in the way of those below the limit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from fakes import FakeBoard, serving

from daemon.serving.limits import ConnectionCount, Refusal, WebLimits, allowed_connections, client_of
from web.app import create_app

GET = b"GET /api/v1/table HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextlib.asynccontextmanager
async def connected(port: int | None) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_beyond_the_limit_connections_are_told_so_and_the_others_go_on() -> None:
    async with (
        serving(create_app(FakeBoard(), version="1"), limits=WebLimits(connections=3)) as url,
        contextlib.AsyncExitStack() as opened,
        asyncio.timeout(10.0),
    ):
        port = httpx.URL(url).port
        kept = [await opened.enter_async_context(connected(port)) for _ in range(3)]
        for reader, writer in kept:
            writer.write(GET)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        for request in (GET, b"POST /api/v1/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"):
            async with connected(port) as (reader, writer):
                writer.write(request)
                answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"\r\nretry-after: " in answer
            assert b"\r\nconnection: close\r\n" in answer
            assert b'"code":"too_many_connections"' in answer
        for _, writer in kept[:1]:
            writer.close()
            await writer.wait_closed()
        async with connected(port) as (reader, writer):
            writer.write(GET)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection is closed, also in the very moment in which something is sent to it."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_what_begins_and_does_not_end_is_given_up_and_an_idle_connection_lives_longer() -> None:
    limits = WebLimits(head_s=0.5, idle_s=60.0)
    async with serving(create_app(FakeBoard(), version="1"), limits=limits) as url, asyncio.timeout(10.0):
        port = httpx.URL(url).port
        async with connected(port) as (idle, idle_writer), connected(port) as (slow, slow_writer):
            idle_writer.write(GET)
            await idle.readuntil(b"\r\n\r\n")
            silent, silent_writer = await asyncio.open_connection("127.0.0.1", port)
            slow_writer.write(GET[:20])

            async def drip() -> None:
                for byte in GET[20:-2]:
                    slow_writer.write(bytes([byte]))
                    await asyncio.sleep(0.05)

            dripping = asyncio.create_task(drip())
            assert await rest_of(slow) == b"", "a byte now and then must not keep it open"
            assert await rest_of(silent) == b"", "nor must nothing at all"
            silent_writer.close()
            dripping.cancel()
            idle_writer.write(GET)
            assert b"HTTP/1.1 200" in await idle.readuntil(b"HTTP/1.1 200")


async def test_a_client_that_takes_nothing_is_cut_off() -> None:
    limits = WebLimits(stalled_s=0.2)
    loop = asyncio.get_running_loop()
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.setblocking(False)
    async with serving(create_app(FakeBoard(), version="1"), limits=limits) as url, asyncio.timeout(20.0):
        with contextlib.closing(stalled):
            await loop.sock_connect(stalled, ("127.0.0.1", httpx.URL(url).port))
            with pytest.raises(ConnectionError):  # noqa: PT012 - where the cut is felt is not ours to say
                while True:
                    await loop.sock_sendall(stalled, GET)
                    await asyncio.sleep(0.001)


def test_one_client_is_limited_and_this_machine_is_not() -> None:
    count = ConnectionCount(WebLimits(connections=10, connections_per_client=2))
    assert [count.add("192.168.4.20") for _ in range(3)] == [None, None, Refusal.CLIENT]
    assert count.add("192.168.4.21") is None
    assert [count.add(None) for _ in range(6)] == [None] * 6
    assert count.add("192.168.4.22") is Refusal.FULL
    count.remove("192.168.4.20")
    count.remove("192.168.4.20")
    count.remove("192.168.4.22")
    assert count.add("192.168.4.20") is None
    for _ in range(2):
        count.remove("192.168.4.20")
    assert "192.168.4.20" not in count.by_client, "who is gone takes no memory"


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("127.0.0.1", None),
        ("127.8.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("192.168.4.20", "192.168.4.20"),
        ("::ffff:192.168.4.20", "192.168.4.20"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%wlan0", "fe80::/64"),
        ("", None),
    ],
)
def test_who_counts_as_one_client(address: str, client: str | None) -> None:
    assert client_of(address) == client


def test_the_limit_of_files_is_raised_and_where_that_is_not_enough_it_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limit = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limit[0])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limit.__setitem__(0, new))
    caplog.set_level(logging.INFO)
    assert allowed_connections(3000) == 3000
    assert limit[0] == (3256, 4096)
    assert "up to 3000 connections" in caplog.text
    assert allowed_connections(16_000) == 3840
    assert limit[0] == (4096, 4096)
    assert "3840 connections are taken at once, not 16000: this process may have 4096 files" in caplog.text

"""Sends past a transport: on real connections, of which some do not read."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from typing import Any

import pytest
from fakes import FakeBoard, serving

from daemon.serving.straight_sends import straight_send
from web.app import create_app
from web.direct_listeners import nothing_sent

PATIENCE_S = 20.0
LONGEST = 20_000
"""No event has so many bytes."""


async def test_what_is_sent_arrives_and_a_full_connection_says_so() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        send = straight_send(transport)
        assert send(b"hello") == 5
        assert theirs.recv(100) == b"hello"
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with pytest.raises(BlockingIOError):
            _ = [send(bytes(65_536)) for _ in range(100)]
        transport.abort()
        await asyncio.sleep(0)


class Encrypted(asyncio.Transport):
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        assert name == "sslcontext", "what goes past it is not encrypted"
        return ssl.create_default_context()


def test_nothing_goes_past_an_encrypted_connection_or_one_without_a_socket() -> None:
    assert straight_send(Encrypted()) is nothing_sent
    assert straight_send(asyncio.Transport()) is nothing_sent


def revisions(body: bytes) -> list[int]:
    """Of the tables of a stream that came in whole chunks; what is after the last whole one is left out."""
    rest = body.partition(b"\r\n\r\n")[2]
    events = b""
    while match := re.match(rb"([0-9a-f]+)\r\n", rest):
        length, begin = int(match[1], 16), match.end()
        if len(rest) < begin + length + 2:
            break
        assert rest[begin + length : begin + length + 2] == b"\r\n"
        events += rest[begin : begin + length]
        rest = rest[begin + length + 2 :]
    return [int(found) for found in re.findall(rb'event: table\ndata: .*?"revision":(\d+)', events)]


def ends_with_newest(got: bytes, board: FakeBoard) -> bool:
    """Whether the newest table has come whole."""
    return b'"revision":%d,' % board.newest.revision in got[-LONGEST:] and got.endswith(b"\n\n\r\n")


async def test_a_client_that_does_not_read_for_a_while_gets_whole_events_and_then_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("web.event_stream.MIN_INTERVAL_S", 0.001)
    board = FakeBoard()
    loop = asyncio.get_running_loop()
    async with serving(create_app(board, version="1.2.3")) as url, asyncio.timeout(PATIENCE_S):
        port = int(url.rstrip("/").rpartition(":")[2])
        clients = []
        for reads in (False, True):
            client = socket.socket()
            if not reads:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            clients.append(client)
        with clients[0], clients[1]:
            slow, fast = b"", b""
            for _ in range(500):  # 6 MB: more than the kernel holds for who does not read
                board.next_revision()
                while not ends_with_newest(fast, board):
                    fast += await loop.sock_recv(clients[1], LONGEST)
            while not ends_with_newest(slow, board):
                slow += await loop.sock_recv(clients[0], LONGEST)
    missed, all_of_them = revisions(slow), revisions(fast)
    assert missed == sorted(set(missed))
    assert len(missed) < len(all_of_them)
    assert all_of_them[-1] == missed[-1] == board.newest.revision

"""The short way to the table: the same bytes as the ordinary one, and only for plain requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fakes import FakeBoard, serving
from hypothesis import given
from hypothesis import strategies as st

from daemon.web_limits import WebLimits
from web.access import AccessSettings, request_limit
from web.app import create_app
from web.current_table import CurrentTable
from web.event_stream import EventStream
from web.hot_paths import HotPaths
from web.rate_limit import RateLimit
from web.results import PublishedResults
from web.security import HostRule

LINE = b"GET /api/v1/table HTTP/1.1\r\n"
PLAIN = LINE + b"Host: localhost\r\n\r\n"
DATE = b"Sat, 21 Nov 2026 06:00:00 GMT"


def hot_paths(board: FakeBoard | None = None, requests: RateLimit | None = None) -> HotPaths:
    board = board or FakeBoard()
    table = CurrentTable(board)
    requests = requests or request_limit(AccessSettings())
    host_rule = HostRule(["garage.example"])
    return HotPaths(table, PublishedResults(None), EventStream(board, table), host_rule, requests)
        table,
        PublishedResults(None),
        EventStream(board, table),
        HostRule(["garage.example"]),
        requests or request_limit(AccessSettings()),
    )


def test_a_plain_request_is_answered() -> None:
    answer = hot_paths().answer(PLAIN, DATE, "127.0.0.1")
    assert answer is not None
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(
        b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 06:00:00 GMT\r\ncontent-type: application/json\r\n"
    )
    assert f"content-length: {len(body)}".encode() in head


def test_a_browser_s_request_is_answered() -> None:
    request = (
        LINE + b"Host: 192.168.4.1:8000\r\nConnection: keep-alive\r\nUser-Agent: Mozilla/5.0 (Android 15)\r\n"
        b"Accept: */*\r\nReferer: http://192.168.4.1:8000/\r\nAccept-Encoding: gzip, deflate\r\n"
        b'Accept-Language: de-DE,de;q=0.9\r\nIf-None-Match: "old"\r\n\r\n'
    )
    answer = hot_paths().answer(request, DATE, "127.0.0.1")
    assert answer is not None
    assert answer.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        LINE,
        PLAIN[:-1],
        PLAIN[:-2],
        LINE + b"\r\n",
        PLAIN + PLAIN,
        PLAIN + b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        PLAIN.replace(b"GET", b"HEAD"),
        PLAIN.replace(b"GET", b"get"),
        PLAIN.replace(b"table", b"table?format=csv"),
        PLAIN.replace(b"table", b"table/"),
        PLAIN.replace(b"1.1", b"1.0"),
        PLAIN.replace(b"\r\n", b"\n"),
        LINE + b"Host: evil.example\r\n\r\n",
        LINE + b"Host: localhost\r\nHost: localhost\r\n\r\n",
        LINE + b"Host : localhost\r\n\r\n",
        LINE + b"Host: localhost\r\nContent-Length: 5\r\n\r\n",
        LINE + b"Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        LINE + b"Host: localhost\r\nExpect: 100-continue\r\n\r\n",
        LINE + b"Host: localhost\r\nConnection: close\r\n\r\n",
        LINE + b"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        LINE + b"Host: localhost\r\nRange: bytes=0-1\r\n\r\n",
        LINE + b"Host: localhost\r\nAccept: a\r\n folded\r\n\r\n",
        LINE + b"Host: localhost\r\nAccept\r\n\r\n",
        LINE + b"Host: localhost\r\nAccept: a\rb\r\n\r\n",
        LINE + b"Host: localhost\r\nAccept: a\nContent-Length: 3\r\n\r\n",
        LINE + b"Host: localhost\r\nAccept: \xff\r\n\r\n",
        LINE + b"Host: localhost\r\nAccept: \0\r\n\r\n",
        LINE + b'Host: localhost\r\nIf-None-Match: "a"\r\nIf-None-Match: "b"\r\n\r\n',
        LINE + b"Host: localhost\r\nCookie: " + b"a" * 5000 + b"\r\n\r\n",
    ],
)
def test_whatever_is_unusual_goes_the_ordinary_way(request_bytes: bytes) -> None:
    assert hot_paths().answer(request_bytes, DATE, "127.0.0.1") is None


_HEADERS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"Host: localhost",
                b"Host: evil.example",
                b"Content-Length: 3",
                b"Accept: */*",
                b"Connection: close",
                b"",
            ]
        ),
        st.binary(max_size=20),
    ),
    max_size=4,
)


@given(_HEADERS)
def test_an_answer_is_given_only_to_one_whole_request_for_an_allowed_host(headers: list[bytes]) -> None:
    request = LINE + b"".join(header + b"\r\n" for header in headers) + b"\r\n"
    answer = hot_paths().answer(request, DATE, "127.0.0.1")
    if answer is not None:
        lines = request[len(LINE) : -4].split(b"\r\n")
        names = [line.partition(b":")[0].lower() for line in lines]
        assert names.count(b"host") == 1
        assert b"evil.example" not in request[len(LINE) :].replace(b"Accept", b"")
        assert not {b"content-length", b"connection"} & set(names)
        assert all(line and b"\n" not in line for line in lines)


def test_a_new_table_and_an_old_tag_are_seen() -> None:
    board = FakeBoard()
    path = hot_paths(board)
    first = path.answer(PLAIN, DATE, "127.0.0.1")
    assert first is not None
    tag = first.partition(b"etag: ")[2].partition(b"\r\n")[0]
    request = LINE + b"Host: localhost\r\nIf-None-Match: " + tag + b"\r\n\r\n"
    unchanged = path.answer(request, DATE, "127.0.0.1")
    assert unchanged is not None
    assert unchanged.startswith(b"HTTP/1.1 304 Not Modified\r\n")
    assert unchanged.endswith(b"\r\n\r\n")
    board.next_revision()
    changed = path.answer(request, DATE, "127.0.0.1")
    assert changed is not None
    assert changed.startswith(b"HTTP/1.1 200 OK\r\n")
    assert tag not in changed


# ---- on the wire


class Wire:
    """A connection on which requests are written as bytes and answers read one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def answer(self) -> tuple[list[bytes], bytes]:
        """Status line and headers without the date, sorted, and the body."""
        async with asyncio.timeout(5.0):
            head = (await self._reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
            length = next((line for line in head if line.startswith(b"content-length: ")), b": 0")
            body = await self._reader.readexactly(int(length.partition(b": ")[2]))
        return [head[0], *sorted(line for line in head[1:] if not line.startswith(b"date: "))], body


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with serving(create_app(FakeBoard(), version="1.2.3")) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        yield Wire(reader, writer)
        writer.close()
        await writer.wait_closed()


ORDINARY = PLAIN.replace(b"table", b"table?format=json")


async def test_both_ways_give_the_same_answer(wire: Wire) -> None:
    answers = []
    for request in (PLAIN, ORDINARY):
        wire.writer.write(request)
        answers.append(await wire.answer())
    assert answers[0] == answers[1]
    tag = next(line for line in answers[0][0] if line.startswith(b"etag: ")).removeprefix(b"etag: ")
    unchanged = []
    for request in (PLAIN, ORDINARY):
        wire.writer.write(request[:-2] + b"If-None-Match: " + tag + b"\r\n\r\n")
        unchanged.append(await wire.answer())
    assert unchanged[0] == unchanged[1]
    assert unchanged[0][0][0].startswith(b"HTTP/1.1 304")


async def test_requests_in_pieces_and_in_a_row_are_all_answered_in_order(wire: Wire) -> None:
    for at in (1, 10, len(LINE), len(PLAIN) - 1):
        wire.writer.write(PLAIN[:at])
        await wire.writer.drain()
        await asyncio.sleep(0.01)  # so that the pieces arrive apart; together they would be tested less
        wire.writer.write(PLAIN[at:])
        assert (await wire.answer())[0][0] == b"HTTP/1.1 200 OK"
    status = PLAIN.replace(b"table", b"status")
    wire.writer.write(status + PLAIN + PLAIN + status + PLAIN)
    kinds = [(await wire.answer())[1][:20] for _ in range(5)]
    assert [b'"format"' in kind for kind in kinds] == [False, True, True, False, True]


async def test_a_foreign_host_is_told_why_by_the_ordinary_way(wire: Wire) -> None:
    wire.writer.write(PLAIN)
    await wire.answer()
    wire.writer.write(PLAIN.replace(b"localhost", b"evil.example"))
    head, body = await wire.answer()
    assert head[0].startswith(b"HTTP/1.1 403")
    assert b"host_not_allowed" in body


async def test_an_idle_connection_is_closed_in_the_end() -> None:
    """The keep-alive timer runs after an answer of the short way too."""
    async with serving(create_app(FakeBoard(), version="1.2.3"), limits=WebLimits(idle_s=0.0)) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        wire = Wire(reader, writer)
        writer.write(PLAIN)
        await wire.answer()
        async with asyncio.timeout(5.0):
            assert await reader.read() == b""
        writer.close()

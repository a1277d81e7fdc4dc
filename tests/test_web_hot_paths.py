"""The short way to the table: the same bytes as the ordinary one, and only for plain requests."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gzip
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fakes import FakeBoard, FakeResults, realistic_snapshot, serving
from hypothesis import given
from hypothesis import strategies as st
from paired_app import paired_app

from daemon.serving.limits import WebLimits
from lowmaf.snapshot import DataWarning
from web.access import AccessSettings, request_limit
from web.app import create_app
from web.current_table import CurrentTable, TableFormat
from web.device_shelf import DeviceKind
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
        async with asyncio.timeout(20.0):
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

HEADERS = [
    b"",
    b"Accept-Encoding: gzip\r\n",
    b"Accept-Encoding: gzip, deflate, br\r\n",
    b"Accept-Encoding: gzip;q=0\r\n",
    b"Accept-Encoding: br, GZIP ; q=0.5\r\n",
    b"If-None-Match: *\r\n",
    b'If-None-Match: "x", W/"y"\r\n',
    b"Host: evil.example\r\n",
    b"Host: [::1]:80\r\n",
    b"Origin: http://evil.example\r\n",
    b"Cookie: lowmaf_device=nonsense\r\n",
    b"Connection: close\r\n",
]


async def test_answer_for_answer_both_ways_say_the_same() -> None:
    """The ordinary way is the same server without the short one."""
    short = create_app(FakeBoard(), version="1.2.3", results=FakeResults())
    ordinary = create_app(FakeBoard(), version="1.2.3", results=FakeResults())
    ordinary.state.hot_paths = None
    async with serving(short) as short_url, serving(ordinary) as ordinary_url:
        for path in (
            b"/",
            b"/static/app.js",
            b"/static/panels/link.js",
            b"/static/none.js",
            b"/api/v1/status",
            b"/api/v1/table",
            b"/api/v1/results/PUBLISHED",
            b"/api/v1/results/unknown",
        ):
            for headers in HEADERS:
                request = b"GET " + path + b" HTTP/1.1\r\n" + headers
                if not headers.startswith(b"Host"):
                    request += b"Host: localhost\r\n"
                met = [await answers_to(httpx.URL(url).port, request) for url in (short_url, ordinary_url)]
                assert met[0] == met[1], request


async def test_a_paired_browser_that_opens_the_page_keeps_its_cookie_either_way(tmp_path: Path) -> None:
    async with paired_app(tmp_path) as car:
        device, credential = await car.devices.add(DeviceKind.DEVICE, "phone")
        cookie = f"a=b; lowmaf_device={credential}"
        request = f"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n".encode()
        async with serving(car.app) as url:
            short = await answers_to(httpx.URL(url).port, request)
        hot_paths, car.app.state.hot_paths = car.app.state.hot_paths, None
        async with serving(car.app) as url:
            assert await answers_to(httpx.URL(url).port, request) == short
        car.app.state.hot_paths = hot_paths
        await car.devices.revoke(device.id)
        async with serving(car.app) as url:
            revoked = await answers_to(httpx.URL(url).port, request)
    assert [renewed(head) for head, _ in short] == [True] * 3
    assert [renewed(head) for head, _ in revoked] == [False] * 3


def renewed(head: list[bytes]) -> bool:
    return any(line.startswith(b"set-cookie: lowmaf_device=") for line in head)


async def answers_to(port: int | None, request: bytes) -> list[tuple[list[bytes], bytes]]:
    """The answers to a request, to the same again, and to the same with the tag that came."""
    answers = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wire = Wire(reader, writer)
    for again in (False, True):  # the second time a result is at hand
        writer.write(request + b"\r\n")
        answers.append(await wire.answer())
        if b"Connection: close" in request:
            break
        tag = next((line for line in answers[0][0] if line.startswith(b"etag: ")), b"")
        if again and tag and b"If-None-Match" not in request:
            writer.write(request + b"If-None-Match: " + tag.removeprefix(b"etag: ") + b"\r\n\r\n")
            answers.append(await wire.answer())
            assert answers[-1][0][0] == b"HTTP/1.1 304 Not Modified"
            assert answers[-1][1] == b""
    writer.close()
    await writer.wait_closed()
    return answers


def test_results_are_answered_once_they_are_at_hand() -> None:
    results = PublishedResults(FakeResults())
    board = FakeBoard()
    table = CurrentTable(board)
    paths = HotPaths(table, results, EventStream(board, table), HostRule(), request_limit(AccessSettings()))
    request = PLAIN.replace(b"table", b"results/PUBLISHED")
    assert paths.answer(request, DATE, "127.0.0.1") is None
    asyncio.run(results.renditions("PUBLISHED", TableFormat.JSON))
    answer = paths.answer(request, DATE, "127.0.0.1")
    assert isinstance(answer, bytes)
    assert answer.endswith(FakeResults.TABLE)


def test_packed_answers_unpack_to_the_plain_ones() -> None:
    paths = hot_paths()
    plain = paths.answer(PLAIN, DATE, "127.0.0.1")
    packed = paths.answer(PLAIN[:-2] + b"Accept-Encoding: gzip\r\n\r\n", DATE, "127.0.0.1")
    assert isinstance(plain, bytes)
    assert isinstance(packed, bytes)
    assert b"\r\ncontent-encoding: gzip\r\n" in packed
    assert gzip.decompress(packed.partition(b"\r\n\r\n")[2]) == plain.partition(b"\r\n\r\n")[2]
    assert len(packed) < len(plain) / 2


def test_an_address_that_asks_too_often_goes_the_ordinary_way_and_this_machine_does_not() -> None:
    requests = RateLimit(per_s=1.0, burst=3.0, clock=lambda: 0.0)
    paths = hot_paths(requests=requests)
    answers = [paths.answer(PLAIN, DATE, "192.168.4.20") for _ in range(4)]
    assert [answer is not None for answer in answers] == [True, True, True, False]
    assert all(paths.answer(PLAIN, DATE, "127.0.0.1") for _ in range(10))
    by_name = PLAIN.replace(b"localhost", b"car.local")
    answers = [paths.answer(by_name, DATE, "127.0.0.1") for _ in range(4)]
    assert answers[-1] is None, "a name under .local may be anybody's"


async def test_the_stream_begins_as_the_ordinary_one() -> None:
    met = []
    for short in (True, False):
        app = create_app(FakeBoard(), version="1.2.3")
        if not short:
            app.state.hot_paths = None
        async with serving(app) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
            writer.write(PLAIN.replace(b"table", b"stream"))
            async with asyncio.timeout(20.0):
                head = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
                opening = await reader.readuntil(b"\n\n\r\n")
                await reader.readuntil(b"event: status")
            headers = sorted(line for line in head[1:] if not line.startswith(b"date: "))
            met.append((head[0], headers, opening))
            assert app.state.events.listeners == 1
            writer.close()
            await writer.wait_closed()
    assert met[0] == met[1]


async def test_a_listener_that_does_not_read_skips_to_the_newest() -> None:
    """Others get every update meanwhile, and what waits for it stays small."""
    long = DataWarning("long", "x" * 2_000_000)
    board = FakeBoard(dataclasses.replace(realistic_snapshot(), warnings=(long,)))
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.setblocking(False)
    app = create_app(board, version="1.2.3")
    loop = asyncio.get_running_loop()
    with contextlib.closing(stalled):
        async with serving(app) as url:
            await loop.sock_connect(stalled, ("127.0.0.1", httpx.URL(url).port))
            await loop.sock_sendall(stalled, PLAIN.replace(b"table", b"stream"))
            reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port, limit=1 << 24)
            writer.write(PLAIN.replace(b"table", b"stream"))
            seen = []
            async with asyncio.timeout(20.0):
                for revision in range(43, 54):
                    board.next_revision()
                    while f'"revision":{revision},'.encode() not in await reader.readline():
                        pass
                    seen.append(revision)
                missed = b""
                while b'"revision":53,' not in missed[-2_400_000:]:
                    missed += await loop.sock_recv(stalled, 1 << 20)
            writer.close()
    got = [int(found) for found in re.findall(rb'"format":"lowmaf.table/1","revision":(\d+),', missed)]
    assert seen == list(range(43, 54))
    assert got[-1] == 53
    assert len(got) < 9, "it was sent what it had missed"
    assert got == sorted(got)


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
        async with asyncio.timeout(20.0):
            assert await reader.read() == b""
        writer.close()

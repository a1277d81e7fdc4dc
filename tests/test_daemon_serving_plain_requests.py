"""Plain requests reach the application as h11 and uvicorn would have brought them; their answers, too."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import h11
import pytest
import uvicorn
from fakes import FakeBoard
from hypothesis import given
from hypothesis import strategies as st

from daemon.serving.connections import Connections
from daemon.serving.limits import WebLimits
from daemon.serving.plain_heads import plain_head
from daemon.serving.plain_requests import WAITING_BYTES
from daemon.serving.protocol import protocol_with
from web.app import create_app

LIMIT = 300_000
MOST = 16_000
ORDINARY = "TE: trailers"
"""A header that sends a request the ordinary way, and changes nothing."""

App = Callable[[Any, Any, Any], Awaitable[None]]


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
async def connection(
    app: App = digest_app, limits: WebLimits | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """To a server that answers so."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections = Connections(limits or WebLimits())
    watch = asyncio.create_task(connections.watch())
    config = uvicorn.Config(
        app,
        http=protocol_with(connections, None),
        lifespan="off",
        log_config=None,
        server_header=False,
        h11_max_incomplete_event_size=MOST,
        timeout_graceful_shutdown=1,
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
        watch.cancel()
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


@pytest.mark.parametrize("seed", range(20))
async def test_requests_one_after_the_other_however_they_are_cut(seed: int) -> None:
    """Several in one piece, heads and bodies cut anywhere, small, large and empty ones, plain and unusual."""
    chance = random.Random(seed)
    sizes = [chance.choice((0, 1, 300, 8191, 8192, 65536, 65537, 200_000, LIMIT)) for _ in range(12)]
    bodies = [chance.randbytes(size) for size in sizes]
    stream = b"".join(
        head(len(body), chance.choice(("X-Plain: 1", "X-Plain: 1", ORDINARY))) + body for body in bodies
    )
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


# ---- as h11 reads them

_TOKENS = st.text("abcXYZ019-_!#$%&'*+.^`|~", min_size=1, max_size=12)
_VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
_KNOWN = st.sampled_from(
    [
        ("Host", "localhost"), ("host", "a.local:8080"), ("Content-Length", "12"), ("content-length", "007"),
        ("Content-Length", "+5"), ("Connection", "keep-alive"), ("connection", "close"), ("TE", "trailers"),
        ("Transfer-Encoding", "chunked"), ("Expect", "100-continue"), ("Expect", "200-maybe"),
        ("Upgrade", "x"),
    ]
)  # fmt: skip
_LINES = st.builds(
    "{0[0]}:{1}{0[1]}{1}".format, _KNOWN | st.tuples(_TOKENS, _VALUES), st.sampled_from(["", " ", "\t"])
)
_FIRST = st.builds(
    "{} {} {}".format,
    st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "BREW", "post"]),
    st.sampled_from(["/", "/a/b%20c?d=e&f", "*", "/ä", "http://a/", "/a b", ""]),
    st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2"]),
)


@given(_FIRST, st.lists(_LINES, max_size=6), st.sampled_from(["\r\n", "\n", "\r"]))
def test_what_is_taken_for_a_plain_head_is_what_h11_makes_of_it(
    first: str, lines: list[str], end: str
) -> None:
    text = "".join(f"{line}{end}" for line in [first, *lines]) + end
    data = text.encode("latin-1") + b"body"
    found = plain_head(data, MOST)
    if found is None:
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(data[: found.size])
    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert (found.method, found.target) == (request.method.decode(), request.target)
    assert found.headers == list(request.headers)
    assert found.waits == server.they_are_waiting_for_100_continue
    whole = server.next_event()
    assert isinstance(whole, h11.EndOfMessage) == (found.body_bytes == 0)
    server.receive_data(b"x" * found.body_bytes)
    events = [server.next_event() for _ in range(2)] if found.body_bytes else [whole]
    assert isinstance(events[-1], h11.EndOfMessage)


@pytest.mark.parametrize(
    "lines",
    [
        [], ["Host: a", "Host: a"], ["Host: a", "Content-Length: 3", "Content-Length: 3"],
        ["Host: a", "Content-Length: 1_0"], ["Host: a", "Content-Length: -1"],
        ["Host: a", "Content-Length: "],
        ["Host: a", "Transfer-Encoding: chunked"], ["Host: a", "Transfer-Encoding : chunked"],
        ["Host: a", " folded"], ["Host: a", "no colon"], ["Host: a", ": nameless"],
        ["Host: a", "Connection: close"],
        ["Host: a", "Connection: keep-alive, x"], ["Host: a", "Upgrade: h2c"], ["Host: a", "X: \x00"],
        ["Host: a", "X: \x7f"], ["Host: a", "X: \xe9"], ["Host: a", "X: a\rb"], ["Host: a", "X: a\nb"],
    ],
)  # fmt: skip
def test_what_is_unusual_is_left_to_h11(lines: list[str]) -> None:
    data = "\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode("latin-1")
    assert plain_head(data, MOST) is None


def test_a_head_that_is_not_whole_or_too_long_is_left_to_h11() -> None:
    data = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200 + b"\r\n\r\n"
    assert plain_head(data, len(data)) is not None
    assert plain_head(data, len(data) - 1) is None
    assert plain_head(data[:-1], MOST) is None


# ---- both ways alike

REQUESTS = [
    ("GET", "/api/v1/status", "", b""),
    ("GET", "/api/v1/table?format=csv", "", b""),
    ("HEAD", "/api/v1/table", "", b""),
    ("GET", "/nothing/there%20at%20all", "", b""),
    ("DELETE", "/api/v1/table", "", b""),
    ("OPTIONS", "/api/v1/commands", "", b""),
    ("GET", "/openapi.json", "", b""),
    ("POST", "/api/v1/commands", "Content-Type: application/json", b'{"command": "nonsense"}'),
    ("POST", "/api/v1/commands", "Content-Type: text/plain", b"x" * 70_000),
    ("POST", "/api/v1/commands", "Origin: http://elsewhere.example", b"{}"),
    ("POST", "/api/analyze/0/", "Content-Type: application/json", b"[]"),
    ("POST", "/api/analyze/0", "Content-Type: application/json", b'[{"time": 1}'),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: f"{request[0]} {request[1]}")
async def test_both_ways_give_the_same_answer(request_: tuple[str, str, str, bytes]) -> None:
    method, target, more, body = request_
    app = create_app(FakeBoard(), version="1.2.3")
    met = []
    for extra in ("X-Nothing: 1", ORDINARY):
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", extra, *([more] if more else [])]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        data = "\r\n".join([*lines, "", ""]).encode() + body
        assert (plain_head(data, MOST) is None) == (extra == ORDINARY)
        async with connection(app) as (reader, writer), asyncio.timeout(20):
            writer.write(data)
            # the second request says that the first left the connection as it should be
            writer.write(b"GET /api/v1/table HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            head_, rest = (await reader.read()).split(b"\r\n\r\n", 1)
            first, *headers = head_.split(b"\r\n")
            met.append(
                (first, sorted(line for line in headers if not line.startswith(b"date:")), _dateless(rest))
            )
    assert met[0] == met[1]


def _dateless(answer: bytes) -> list[bytes]:
    return [line for line in answer.split(b"\r\n") if not line.startswith(b"date:")]


# ---- what may go wrong

PLAIN = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def answering(*messages: dict[str, Any]) -> App:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body_(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


@pytest.mark.parametrize(
    "app",
    [
        answering(),
        answering(body_(b"too early")),
        answering(start((b"x", b"a\r\nset-cookie: b")), body_(b"")),
        answering(start((b"x\n", b"a")), body_(b"")),
        answering(start(status=999), body_(b"")),
        answering(start((b"content-length", b"1")), body_(b"two")),
    ],
    ids=[
        "nothing",
        "a body first",
        "a split header",
        "a split name",
        "no such status",
        "more than announced",
    ],
)
async def test_an_application_that_fails_before_its_answer_is_told_so(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    async with connection(app) as (reader, writer), asyncio.timeout(20):
        writer.write(PLAIN)
        answer_ = await reader.read()
    assert b"set-cookie" not in answer_
    assert answer_.startswith(b"HTTP/1.1 500") or not answer_
    assert "GET /" in caplog.text


@pytest.mark.parametrize(
    "messages",
    [
        [start((b"content-length", b"10")), body_(b"half", more=True)],
        [start((b"content-length", b"10")), body_(b"half")],
        [start(), body_(b"half", more=True)],
    ],
)
async def test_an_answer_that_is_broken_off_cannot_be_taken_for_a_whole_one(
    messages: list[dict[str, Any]],
) -> None:
    async with connection(answering(*messages)) as (reader, writer), asyncio.timeout(20):
        writer.write(PLAIN + PLAIN)
        answer_ = await reader.read()
    assert answer_.count(b"HTTP/1.1 200") == 1 or not answer_
    assert not answer_.endswith(b"0\r\n\r\n")


async def test_an_answer_of_unknown_length_comes_in_chunks() -> None:
    app = answering(start(), body_(b"one ", more=True), body_(b"", more=True), body_(b"two"))
    async with connection(app) as (reader, writer), asyncio.timeout(20):
        writer.write(PLAIN)
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method="GET", target="/", headers=[("host", "localhost")]))
        client.send(h11.EndOfMessage())
        text = b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                client.receive_data(await reader.read(1000))
            elif isinstance(event, h11.Data):
                text += event.data
        assert text == b"one two"
        writer.write(PLAIN)
        assert (await reader.readuntil(b"0\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")


async def test_the_application_learns_that_the_client_has_left() -> None:
    left: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            pass
        left.set_result(message["type"])

    for part in (head(10) + b"12345", head(3) + b"all"):
        left = asyncio.get_running_loop().create_future()
        async with connection(app) as (_, writer), asyncio.timeout(20):
            writer.write(part)
            await writer.drain()
            writer.close()
            assert await left == "http.disconnect"


async def test_what_a_client_asked_who_left_at_once_is_done_all_the_same() -> None:
    asked: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        asked.set_result(scope["server"][0])

    async with connection(app) as (_, writer), asyncio.timeout(20):
        writer.write(PLAIN)
        writer.transport.abort()
        assert await asked == "127.0.0.1"


async def test_a_body_waits_with_the_client_until_it_is_taken() -> None:
    may_read = asyncio.Event()
    met: list[int] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await may_read.wait()
        more = True
        while more:
            message = await receive()
            met.append(len(message["body"]))
            more = message["more_body"]
        await send(start((b"content-length", b"0")))
        await send(body_(b""))

    size = 200 * WAITING_BYTES
    async with connection(app) as (reader, writer), asyncio.timeout(60):
        writer.write(head(size) + b"x" * size)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.5)  # it is not all taken: neither here nor by the system
        may_read.set()
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert sum(met) == size
    assert max(met) <= 3 * WAITING_BYTES


async def test_the_rest_of_a_body_that_was_not_wanted_has_its_time() -> None:
    async with connection(limits=WebLimits(head_s=0.2)) as (reader, writer), asyncio.timeout(20):
        writer.write(head(3 * LIMIT) + b"x" * (LIMIT + 1))
        assert await answer(reader) == (413, b"too long")
        assert await reader.read() == b"", "the client dawdles, and is cut off"


async def test_who_was_not_asked_for_the_body_need_not_send_it() -> None:
    app = answering(start((b"content-length", b"2")), body_(b"no"))
    async with connection(app) as (reader, writer), asyncio.timeout(20):
        writer.write(head(10, "Expect: 100-continue"))
        refused = await reader.read()
        assert b"\r\nconnection: close\r\n" in refused
        assert refused.endswith(b"\r\n\r\nno")

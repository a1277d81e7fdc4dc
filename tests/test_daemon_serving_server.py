"""uvicorn inside our loop: where it listens, what it says when it cannot, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import json
import os
import re
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import FakeBoard, realistic_snapshot, serving
from timing import at_most

from daemon.doctor.port_owner import port_owner
from daemon.serving.limits import WebLimits
from daemon.serving.server import PortUnavailableError, listen, listener_url, serve
from lowmaf.snapshot import DataWarning
from web.app import create_app


async def test_any_free_port_is_found_and_told() -> None:
    async with serving(create_app(FakeBoard(), version="1.2.3")) as url, httpx.AsyncClient() as client:
        assert not url.endswith(":0/")
        response = await client.get(f"{url}healthz")
        assert response.status_code == 200
        assert "server" not in response.headers


async def test_a_taken_port_names_who_holds_it_and_what_to_do() -> None:
    with contextlib.closing(listen("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortUnavailableError) as refused:
            await serve(create_app(FakeBoard(), version="1.2.3"), "127.0.0.1", port)
    words = str(refused.value)
    assert f"port {port} on 127.0.0.1 is in use by" in words
    assert f"(pid {os.getpid()})" in words
    assert "choose another port" in words
    assert "\n" not in words


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("192.0.2.1", 0, "no address 192.0.2.1"),
        ("a..b", 8000, "'a..b' is no address of this machine"),
        ("127.0.0.1", 70_000, "no port 70000"),
        ("127.0.0.1", -1, "no port -1"),
    ],
)
def test_where_nobody_can_listen_is_said_in_one_line(host: str, port: int, words: str) -> None:
    with pytest.raises(PortUnavailableError, match=words) as refused:
        listen(host, port)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "choose a port from 1024"),
        (errno.EADDRINUSE, "in use by another program"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_every_refusal_of_the_system_is_put_into_words(
    number: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(socket.socket):
        def bind(self, address: object) -> None:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(PortUnavailableError, match=words):
        listen("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:{}/"), ("0.0.0.0", "http://127.0.0.1:{}/"), ("::1", "http://[::1]:{}/")],
)
def test_the_address_can_be_opened_in_a_browser(host: str, url: str) -> None:
    try:
        listener = listen(host, 0)
    except PortUnavailableError:
        pytest.skip(f"this machine has no {host}")
    with contextlib.closing(listener):
        assert listener_url(listener) == url.format(listener.getsockname()[1])


async def test_signals_stay_with_the_daemon() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with serving(create_app(FakeBoard(), version="1.2.3")):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_stop_is_not_held_up_by_a_stream_that_nobody_reads_or_a_half_sent_request() -> None:
    board = FakeBoard()
    app = create_app(board, version="1.2.3")
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as clients:
        async with serving(app) as url:
            port = httpx.URL(url).port
            for request in (b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HT"):
                _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
                clients.callback(writer.close)
                writer.write(request)
                await writer.drain()
            async with asyncio.timeout(20.0):
                while app.state.events.listeners == 0:  # noqa: ASYNC110 - the server's state, not ours to signal
                    await asyncio.sleep(0.005)
            stopping_s = loop.time()
        assert loop.time() - stopping_s < at_most(2.0)


async def test_stop_is_not_held_up_by_a_stalled_stream_with_full_buffers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A phone that froze: the kernel's and uvicorn's buffers are full, and the answer cannot be ended."""
    monkeypatch.setattr("web.event_stream.MIN_INTERVAL_S", 0.001)
    long = DataWarning("long", "x" * 500_000)
    board = FakeBoard(dataclasses.replace(realistic_snapshot(), warnings=(long,)))
    loop = asyncio.get_running_loop()
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with contextlib.closing(stalled):
        async with serving(create_app(board, version="1.2.3")) as url:
            stalled.connect(("127.0.0.1", httpx.URL(url).port))
            stalled.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for _ in range(60):
                board.next_revision()
                await asyncio.sleep(0.005)
            stopping_s = loop.time()
        assert loop.time() - stopping_s < at_most(2.0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_the_port_is_free_again_after_the_stop() -> None:
    app = create_app(FakeBoard(), version="1.2.3")
    async with serving(app) as url:
        port = httpx.URL(url).port
    assert port is not None
    async with serving(create_app(FakeBoard(), version="1.2.3"), port) as again:
        assert again == url


async def test_a_header_without_end_is_refused() -> None:
    async with serving(create_app(FakeBoard(), version="1.2.3")) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000)
        async with asyncio.timeout(20.0):
            assert b" 431 " in await reader.readline()
        writer.close()


CHUNKED = b"POST /api/analyze/0/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


async def exchange(url: str, *pieces: bytes) -> tuple[int, dict[str, Any]]:
    """Status and error of the answer to what is sent in these pieces."""
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
    async with asyncio.timeout(20.0):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        head = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", head)
        body = await reader.readexactly(int(size[1])) if size else b""
    writer.close()
    document = json.loads(body)
    return int(head.split()[1]), document.get("error", {})


def head_of(size: int) -> bytes:
    """A request whose head has so many bytes."""
    begin, end = b"GET /api/v1/table HTTP/1.1\r\nHost: localhost\r\nX: ", b"\r\n\r\n"
    return begin + b"a" * (size - len(begin) - len(end)) + end


@pytest.mark.parametrize("pieces", [1, 2, 5])
async def test_how_long_a_head_may_be(pieces: int) -> None:
    limits = WebLimits(head_bytes=9_000)
    async with serving(create_app(FakeBoard(), version="1.2.3"), limits=limits) as url:
        for size, status, code in ((9_000, 200, None), (9_001, 431, "head_too_large")):
            head = head_of(size)
            step = -(-size // pieces)
            found = await exchange(url, *(head[at : at + step] for at in range(0, size, step)))
            assert (found[0], found[1].get("code")) == (status, code)
        assert "[limits] head_kb" in found[1]["message"]


async def test_a_long_head_behind_another_request_is_refused_too() -> None:
    async with serving(create_app(FakeBoard(), version="1.2.3"), limits=WebLimits(head_bytes=9_000)) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + head_of(60_000))
        async with asyncio.timeout(20.0):
            answers = await reader.read()
        writer.close()
    assert b"HTTP/1.1 200 OK" in answers
    assert b"head_too_large" in answers


@pytest.mark.parametrize(
    "pieces",
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n  folded\x00\r\n\r\n",),
        (
            b"POST /api/analyze/0/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"zz\r\n",
        ),
    ],
    ids=["TLS", "no head", "chunks"],
)
async def test_what_is_no_request_is_said_in_the_shape_of_every_error(pieces: tuple[bytes, ...]) -> None:
    async with serving(create_app(FakeBoard(), version="1.2.3")) as url:
        status, error = await exchange(url, *pieces)
        assert (status, error["code"]) == (400, "malformed_request")
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/api/v1/status")).status_code == 200


# ---- who holds a port


def proc_tree(root: Path, *, listening: str, inode: int) -> Path:
    (root / "net").mkdir()
    header = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    )
    line = f"   0: {listening} 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 {inode} 1 0 100\n"
    (root / "net" / "tcp").write_text(header + line)
    process = root / "4711"
    (process / "fd").mkdir(parents=True)
    (process / "fd" / "3").symlink_to("socket:[99]")
    (process / "cmdline").write_bytes(b"python3\0-m\0http.server\0")
    (root / "4712").mkdir()  # a process whose files are not ours to read
    return root


def test_owner_is_found_by_the_socket_of_the_port(tmp_path: Path) -> None:
    proc = proc_tree(tmp_path, listening="0100007F:1F40", inode=99)
    assert port_owner(8000, proc) == "python3 -m http.server (pid 4711)"


def test_owner_is_unknown_for_another_port_socket_or_system(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert port_owner(8001, proc_tree(tmp_path / "one", listening="0100007F:1F40", inode=99)) is None
    assert port_owner(8000, proc_tree(tmp_path / "two", listening="0100007F:1F40", inode=98)) is None
    assert port_owner(8000, tmp_path / "missing") is None

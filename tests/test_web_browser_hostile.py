"""A hostile page in a real browser: whoever opens it beside the dashboard gives it nothing.

The browser is that of a paired phone, or runs on the machine itself: the page may do what it likes, from a
foreign name, from another port of the same address (whose cookies are shared), from localhost, and from
names that are pointed at the car.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from browsing import ARGUMENTS, CAR, chromium_path
from fakes import FakeBoard, serving
from playwright.async_api import Browser, Page, async_playwright

from daemon.serving.kept_devices import KeptDevices
from daemon.store.store import Store
from web.app import create_app
from web.pairing import Pairing

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

EVIL = "evil.example"
EVIL_LOCAL = "evil.local"
NO_HELP_OF_THE_BROWSER = "--disable-features=LocalNetworkAccessChecks"
"""Chromium may ask the user before a page reaches into the local network; others do not."""

ATTACKS = """async (car) => {
    const found = {};
    const attempt = async (name, act) => {
        try { found[name] = await act(); } catch (error) { found[name] = error.name; }
    };
    const command = JSON.stringify({ command: "reset" });
    const json = { "content-type": "application/json" };
    await attempt("read", async () =>
        (await fetch(car + "/api/v1/table", { credentials: "include" })).status);
    await attempt("json", async () =>
        (await fetch(car + "/api/v1/commands", { method: "POST", headers: json, body: command,
            credentials: "include" })).status);
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
        await attempt(type, async () =>
            (await fetch(car + "/api/v1/commands", { method: "POST", mode: "no-cors", body: command,
                headers: { "content-type": type }, credentials: "include" })).type);
    }
    await attempt("delete", async () =>
        (await fetch(car + "/api/v1/devices/1", { method: "DELETE", credentials: "include" })).status);
    await attempt("pair", async () =>
        (await fetch(car + "/api/v1/pair", { method: "POST", mode: "no-cors", body: '{"code":"A"}' })).type);
    await attempt("beacon", async () => navigator.sendBeacon(car + "/api/v1/commands", command));
    await attempt("events", () => new Promise((done) => {
        const source = new EventSource(car + "/api/v1/stream", { withCredentials: true });
        const end = (word) => () => { source.close(); done(word); };
        source.onopen = end("opened");
        source.onmessage = end("message");
        source.addEventListener("table", end("message"));
        source.onerror = end("refused");
    }));
    await attempt("socket", () => new Promise((done) => {
        const socket = new WebSocket(car.replace("http", "ws") + "/api/v1/stream");
        socket.onopen = () => done("opened");
        socket.onerror = () => done("refused");
    }));
    await attempt("script", () => new Promise((done) => {
        const script = document.createElement("script");
        script.src = car + "/static/app.js";
        script.onload = () => done("loaded");
        script.onerror = () => done("refused");
        document.body.append(script);
    }));
    await attempt("frame", () => new Promise((done) => {
        const frame = document.createElement("iframe");
        frame.src = car + "/";
        frame.name = "framed";
        frame.onload = () => done("settled");
        document.body.append(frame);
    }));
    await attempt("form", () => new Promise((done) => {
        const form = document.createElement("form");
        form.method = "post";
        form.enctype = "text/plain";
        form.action = car + "/api/v1/commands";
        form.target = "framed";
        const field = document.createElement("input");
        field.name = '{"command": "reset", "x": "';
        field.value = '"}';
        form.append(field);
        document.body.append(form);
        document.querySelector("iframe").onload = () => done("settled");
        form.submit();
    }));
    return found;
}"""

REFUSED = {
    "read": "TypeError",
    "json": "TypeError",
    "text/plain": "TypeError",
    "application/x-www-form-urlencoded": "TypeError",
    "multipart/form-data": "TypeError",
    "delete": "TypeError",
    "pair": "TypeError",
    "beacon": True,
    "events": "refused",
    "socket": "refused",
    "script": "refused",
    "frame": "settled",
    "form": "settled",
}
"""What the page sees: nothing. What was sent all the same is looked for on the daemon's side."""


@dataclass
class Car:
    """The dashboard's server, its port, and a browser's cookie that is paired."""

    port: int
    board: FakeBoard
    devices: KeptDevices
    pairing: Pairing


@pytest_asyncio.fixture(name="hostile_browser", loop_scope="module", scope="module")
async def launched_hostile_browser() -> AsyncIterator[Browser]:
    rules = ", ".join(f"MAP {name} 127.0.0.1" for name in (CAR, EVIL, EVIL_LOCAL))
    arguments = [argument for argument in ARGUMENTS if "host-resolver-rules" not in argument]
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=chromium_path(),
            args=[
                *arguments,
                f"--host-resolver-rules={rules}",
                "--disable-features=LocalNetworkAccessChecks",
            ],
        )
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="module")
async def car(tmp_path: Path) -> AsyncIterator[Car]:
    board = FakeBoard()
    async with await Store.open(tmp_path / "car.sqlite3") as store:
        devices = await KeptDevices.load(store, max_devices=5)
        pairing = Pairing(300.0, time.monotonic)
        app = create_app(board, version="1.2.3", pairing=(devices, pairing))
        async with serving(app) as address:
            yield Car(int(address.rstrip("/").rpartition(":")[2]), board, devices, pairing)


@pytest_asyncio.fixture(loop_scope="module")
async def evil_port() -> AsyncIterator[int]:
    """Another server of this machine, on which the attacker's page is."""

    body = b"<!doctype html><title>free fuel maps</title><body>"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(head.encode() + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield int(server.sockets[0].getsockname()[1])


async def paired_page(browser: Browser, car: Car) -> Page:
    """A page of a browser that is paired with the car under its name, and has been there."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"http://{CAR}:{car.port}/static/icon.svg")
    code = car.pairing.invite().link_secret
    status = await page.evaluate(
        """(code) => fetch("/api/v1/pair", { method: "POST", body: JSON.stringify({ code }),
            headers: { "content-type": "application/json" } }).then((answer) => answer.status)""",
        code,
    )
    assert status == 201
    return page


@pytest.mark.parametrize("target", [CAR, "127.0.0.1"])
@pytest.mark.parametrize(
    "attacker",
    [EVIL, CAR, *(pytest.param(own, marks=pytest.mark.long) for own in ("localhost", "127.0.0.1"))],
)
async def test_a_hostile_page_changes_nothing_and_reads_nothing(
    hostile_browser: Browser, car: Car, evil_port: int, attacker: str, target: str
) -> None:
    page = await paired_page(hostile_browser, car)
    own = f"http://{CAR}:{car.port}"
    reset = """fetch("/api/v1/commands", { method: "POST", body: '{"command": "reset"}',
        headers: { "content-type": "application/json" } }).then((answer) => answer.status)"""
    assert await page.evaluate(reset) == 200, "the phone itself may"
    del car.board.commands[:]
    (device,) = car.devices.devices()
    await page.goto(f"http://{attacker}:{evil_port}/")
    found = await page.evaluate(ATTACKS, f"http://{target}:{car.port}")
    assert found == REFUSED
    assert car.board.commands == []
    assert [one.id for one in car.devices.devices()] == [device.id]
    framed = page.frame("framed")
    assert framed is None or framed.url.startswith("chrome-error://")
    await page.goto(f"{own}/static/icon.svg")
    assert await page.evaluate(reset) == 200, "and still may"
    await page.context.close()


@pytest.mark.parametrize(
    ("name", "read", "change"), [(EVIL, (403, "host_not_allowed"), (403, "host_not_allowed")),
                                 (EVIL_LOCAL, (200, None), (401, "pairing_needed"))]
)  # fmt: skip
async def test_a_name_that_is_pointed_at_the_car_gives_no_power_over_it(
    hostile_browser: Browser, car: Car, name: str, read: tuple[int, str], change: tuple[int, str]
) -> None:
    """DNS rebinding. A name under .local may be anybody's: it reads what all may, and changes nothing."""
    page = await paired_page(hostile_browser, car)
    await page.goto(f"http://{name}:{car.port}/static/icon.svg")
    ask = """async ([method, path, body]) => {
        const answer = await fetch(path, { method, body, headers: { "content-type": "application/json" } });
        const said = await answer.json();
        return [answer.status, said.error?.code ?? null];
    }"""
    assert await page.evaluate(ask, ["GET", "/api/v1/table", None]) == list(read)
    assert await page.evaluate(ask, ["POST", "/api/v1/commands", '{"command": "reset"}']) == list(change)
    assert await page.evaluate(ask, ["GET", "/api/v1/devices", None]) == list(change)
    assert car.board.commands == []
    await page.context.close()

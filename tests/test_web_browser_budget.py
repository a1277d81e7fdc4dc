"""What the page may cost and whom it may not shut out: bytes, time, memory, and axe's findings."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.async_playwright import Axe
from browsing import DESK, PHONE, go, launched_browser, opened  # noqa: F401 - a fixture
from fake_driving import app_over
from fakes import FakeBoard, live_reading, serving
from playwright.async_api import Browser, CDPSession, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

VIEWS = ("drive", "table", "curve", "why", "flash", "drives", "settings")
FIRST_VIEW_BYTES = 150_000
USABLE_MS = 1000.0
SCRIPT_MS = 4.0
SLOWER = 4
"""A phone or the Pi's own browser against this machine."""


async def cdp(page: Page) -> CDPSession:
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    return session


async def metric(session: CDPSession, name: str) -> float:
    found = await session.send("Performance.getMetrics")
    return float(next(entry["value"] for entry in found["metrics"] if entry["name"] == name))


def change_everything(board: FakeBoard, step: int) -> None:
    """As a second of driving does: another sample, other counts, another curve."""
    volts = 1.0 + (step % 38) / 10.0
    board.reading = live_reading(volts, t_s=1000.0 + step, verdict="accepted" if step % 5 else "transient")
    correction = np.array(board.newest.correction_pct)
    correction[5:30] += 0.01 * (-1) ** step
    board.newest = dataclasses.replace(
        board.newest, revision=1000 + step, correction_pct=correction, hits=board.newest.hits + 1
    )
    board.touch()


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_the_first_view_is_light(browser: Browser, size: dict[str, int]) -> None:
    async with serving(app_over(FakeBoard())) as url:
        context = await browser.new_context(viewport=size)
        page = await context.new_page()
        session = await page.context.new_cdp_session(page)
        await session.send("Network.enable")
        received: list[float] = []
        session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
        await page.goto(url)
        await expect(page.locator("#link .word")).to_have_text("Learning")
        assert len(received) > 10
        assert sum(received) <= FIRST_VIEW_BYTES
        await context.close()


@pytest.mark.long  # time on the clock: other tests on the same machine would be measured too
async def test_the_first_view_is_usable_within_a_second_on_a_slow_phone(browser: Browser) -> None:
    """From the request to a page that says whether it works; the best of a few."""
    async with serving(app_over(FakeBoard())) as url:
        times_ms: list[float] = []
        while len(times_ms) < 6 and min(times_ms, default=USABLE_MS + 1.0) > USABLE_MS:
            context = await browser.new_context(viewport=PHONE)
            page = await context.new_page()
            session = await page.context.new_cdp_session(page)
            await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
            await page.add_init_script(
                """new MutationObserver((_, observer) => {
                    if (document.querySelector("#link .word")?.textContent === "Learning") {
                        window.usable_ms = performance.now();
                        observer.disconnect();
                    }
                }).observe(document, { childList: true, subtree: true, characterData: true });"""
            )
            await page.goto(url)
            await expect(page.locator("#link .word")).to_have_text("Learning")
            times_ms.append(await page.evaluate("window.usable_ms"))
            await context.close()
        print(f"first view usable after {min(times_ms):.0f} ms at {SLOWER} times slower")
        assert min(times_ms) <= USABLE_MS


async def updates(board: FakeBoard, count: int, first: int) -> None:
    """``count`` changes as fast as the stream passes them on."""
    for step in range(first, first + count):
        change_everything(board, step)
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("view", ["drive", "table"])
async def test_an_update_costs_little_script_time(browser: Browser, view: str) -> None:
    board = FakeBoard()
    async with (
        serving(app_over(board)) as url,
        opened(browser, url, view, size=DESK if view == "drive" else PHONE) as page,
    ):
        await expect(page.locator("#table tbody tr")).to_have_count(54)
        session = await cdp(page)
        best_ms = float("inf")
        turn = 0
        while best_ms > SCRIPT_MS and turn < 6:  # a machine that tests share stops the page now and then
            turn += 1
            before_s = await metric(session, "ScriptDuration")
            await updates(board, 20, 100 * turn)
            spent_s = await metric(session, "ScriptDuration") - before_s
            best_ms = min(best_ms, 1000.0 * spent_s / 20)
        print(f"{view}: {best_ms:.2f} ms of script for each update")
        assert best_ms <= SCRIPT_MS


async def grows_in(page: Page, count: int) -> tuple[float, float]:
    """Heap in bytes and number of nodes that ``count`` updates have left behind, after a collection."""
    session = await cdp(page)

    async def settled() -> tuple[float, float]:
        await session.send("HeapProfiler.collectGarbage")
        return await metric(session, "JSHeapUsedSize"), await metric(session, "Nodes")

    await feed(page, 60, 0)  # what is built once is built
    heap, nodes = await settled()
    await feed(page, count, 100)
    heap_after, nodes_after = await settled()
    return heap_after - heap, nodes_after - nodes


async def feed(page: Page, count: int, first: int) -> None:
    """Gives the page updates as the stream does and lets it draw each, without waiting for a screen."""
    await page.evaluate(
        """async ([count, first]) => {
            for (let step = first; step < first + count; step += 1) {
                window.feed(step);
                await new Promise((drawn) => setTimeout(drawn, 0));
            }
        }""",
        [count, first],
    )


FEED = """
window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 0);
const Real = window.EventSource;
window.EventSource = class extends Real {
    constructor(url) {
        super(url);
        this.newest = {};
        for (const kind of ["table", "live", "status"]) {
            this.addEventListener(kind, (event) => { if (event.isTrusted) this.newest[kind] = event.data; });
        }
        window.feed = (step) => {
            for (const kind of ["table", "live", "status"]) {
                const document = JSON.parse(this.newest[kind]);
                if (kind === "table") {
                    document.revision = 10000 + step;
                    for (const cell of document.cells) {
                        cell.hits += step;
                        cell.correction_pct = (step % 7) - 3;
                    }
                } else if (kind === "live") {
                    document.t_s += step;
                    document.cell = step % document_cells;
                    document.values.maf_v = 1 + (step % 38) / 10;
                }
                this.dispatchEvent(new MessageEvent(kind, { data: JSON.stringify(document) }));
            }
        };
    }
};
const document_cells = 54;
"""


@pytest.mark.parametrize(
    ("view", "count"),
    [
        ("table", 250),
        *(pytest.param(view, 1000, marks=pytest.mark.long) for view in ("drive", "table", "curve", "why")),
    ],
)
async def test_updates_leave_nothing_behind(browser: Browser, view: str, count: int) -> None:
    board = FakeBoard()
    async with serving(app_over(board)) as url:
        context = await browser.new_context(viewport=PHONE if view == "table" else DESK)
        page = await context.new_page()
        await page.add_init_script(FEED)
        await page.goto(f"{url}#{view}")
        await expect(page.locator("main .panel").first).to_be_visible()
        await page.wait_for_timeout(1200)  # a status has come
        heap, nodes = await grows_in(page, count)
        print(f"{view}: {heap / 1000:.0f} kB and {nodes:.0f} nodes after {count} updates")
        assert heap < 500_000
        assert nodes < 300
        await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(browser: Browser, scheme: str) -> None:
    board = FakeBoard()
    reading = live_reading(2.41)
    board.reading = dataclasses.replace(reading, values={**reading.values, "speed_kmh": 0.0})
    async with (
        serving(app_over(board)) as url,
        opened(browser, url, scheme=scheme) as page,
    ):
        found: dict[str, Any] = {}
        for view in VIEWS:
            await go(page, view)
            await expect(page.locator("main .panel").first).to_be_visible()
            if view == "table":
                await page.goto(f"{url}#table/20")
                await expect(page.locator("#cell .samples li").first).to_be_visible()
            results = await Axe().run(page)
            serious = [
                f"{violation['id']}: {[node['html'][:100] for node in violation['nodes'][:3]]}"
                for violation in results.response["violations"]
                if violation["impact"] in ("serious", "critical")
            ]
            if serious:
                found[view] = serious
        assert found == {}

"""Chromium for the tests that look at the page."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1366, "height": 900}
OUTPUT = Path(__file__).parent / "output"
CAR = "car.local"
"""A name for this machine that is no secure context, as the car's is on a phone without TLS."""
expect.set_options(timeout=20_000)
"""Beside other tests a page may have to wait for its turn."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {CAR} 127.0.0.1",
]


def chromium_path() -> str:
    """Where Chromium is; the test is skipped where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        words = "no Chromium on this machine (sudo apt install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    return chromium


@pytest_asyncio.fixture(name="browser", loop_scope="module", scope="module")
async def launched_browser() -> AsyncIterator[Browser]:
    chromium = chromium_path()
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        await launched.close()


@contextlib.asynccontextmanager
async def opened(
    browser: Browser,
    url: str,
    view: str = "drive",
    *,
    size: dict[str, int] = PHONE,
    scheme: Any = "dark",
    **context_options: Any,
) -> AsyncIterator[Page]:
    """A page of its own at one of its views; fails if it complained or asked another server for anything."""
    context = await browser.new_context(viewport=size, color_scheme=scheme, **context_options)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if _is_complaint(message) else None)
    page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
    page.on(
        "request",
        lambda request: None if request.url.startswith(url) else complaints.append(f"asked {request.url}"),
    )
    try:
        await page.goto(f"{url}#{view}")
        yield page
        assert not complaints, complaints
    finally:
        await context.close()


async def go(page: Page, view: str) -> None:
    """Opens another view by its tab, as a thumb does."""
    await page.locator(f'#views a[href="#{view}"]').click()
    await expect(page.locator("main")).to_have_attribute("data-view", view)


async def hold(page: Page, button: Locator) -> None:
    """Keeps a button pressed until it has acted, however slow the machine is."""
    await button.hover()
    await page.mouse.down()
    await acted(page)
    await page.mouse.up()


async def acted(page: Page) -> None:
    """Returns when the button that is held has acted; it may be gone by that."""
    await expect(page.locator(".is-held")).to_have_count(0, timeout=15_000)


async def too_wide(page: Page) -> list[str]:
    """Elements that reach beyond the window, by the beginning of their markup."""
    found: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((node) => {
            const box = node.getBoundingClientRect();
            return box.width > 1 && !node.closest("svg") && (box.right > innerWidth + 0.5 || box.left < -0.5);
        }).map((node) => node.outerHTML.slice(0, 80))"""
    )
    if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("the page is wider than the window")
    return found


def _is_complaint(message: Any) -> bool:
    """Errors and warnings, but for what is said of a server that is not there, or refuses."""
    gone = "net::ERR_CONNECTION_REFUSED" in message.text or "net::ERR_INCOMPLETE" in message.text
    refused = any(f"with a status of {status}" in message.text for status in (401, 403, 409, 422))
    return message.type in ("error", "warning") and not gone and not refused

"""Over https the page can be installed and keeps the screen on; on plain http it says what to set instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browsing import CAR, PHONE, launched_browser  # noqa: F401 - a fixture
from fake_driving import app_over
from fakes import FakeBoard, serving
from playwright.async_api import Browser, Page, expect
from test_daemon_serving_tls import OPENSSL, made, running

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(OPENSSL is None, reason="openssl, which makes the certificate, is not here"),
]

SET_BY_HAND = "On plain http a browser lets no page keep the screen on"


async def in_the_holder(page: Page, address: str) -> str:
    await page.goto(f"{address}#settings")
    words = page.locator("#phone .words")
    await expect(words).not_to_be_empty()
    return await words.inner_text()


async def test_over_https_it_is_an_app_and_the_screen_stays_on(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path, made(tmp_path)) as address:
        context = await browser.new_context(viewport=PHONE, ignore_https_errors=True)
        page = await context.new_page()
        words = await in_the_holder(page, address)
        assert await page.evaluate("window.isSecureContext")
        assert SET_BY_HAND not in words
        devtools = await context.new_cdp_session(page)
        manifest = await devtools.send("Page.getAppManifest")
        assert manifest["errors"] == []
        assert json.loads(manifest["data"])["display"] == "standalone"
        problems = await devtools.send("Page.getInstallabilityErrors")
        ids = {problem["errorId"] for problem in problems["installabilityErrors"]}
        assert ids <= {"in-incognito"}, "as the contexts of tests are"
        await expect(page.locator("#phone .words")).to_contain_text("The screen stays on")
        await context.close()


async def test_on_plain_http_it_says_what_to_set_on_the_phone(browser: Browser) -> None:
    async with serving(app_over(FakeBoard())) as url:
        context = await browser.new_context(viewport=PHONE)
        page = await context.new_page()
        words = await in_the_holder(page, url.replace("127.0.0.1", CAR))
        assert not await page.evaluate("window.isSecureContext")
        assert SET_BY_HAND in words
        assert await page.locator("link[rel=manifest]").count() == 0
        await context.close()

"""The dashboard in a real Chromium: on a phone and a desk, live, cut off, and with hostile names."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from typing import Any

import pytest
from browsing import DESK, OUTPUT, PHONE, go, launched_browser, opened, too_wide  # noqa: F401 - a fixture
from fake_driving import app_over
from fakes import FakeBoard, live_reading, realistic_snapshot, serving
from playwright.async_api import Browser, Route, expect
from timing import at_most

VIEWS = ("drive", "table", "curve", "why", "flash", "drives", "settings")

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


async def until(condition: Any) -> None:
    async with asyncio.timeout(20.0):
        while not condition():  # noqa: ASYNC110 - the page changes it, from another process
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("device", "size", "scheme"),
    [("phone", PHONE, "dark"), ("phone", PHONE, "light"), ("desk", DESK, "light")],
)
async def test_the_drive_view_is_complete_and_fits(
    browser: Browser, device: str, size: dict[str, int], scheme: str
) -> None:
    async with (
        serving(app_over(FakeBoard())) as url,
        opened(browser, url, size=size, scheme=scheme) as page,
    ):
        await expect(page.locator("#link .word")).to_have_text("Learning")
        await expect(page.locator("#link .words")).to_have_text("SSM on CAN, ECU 4D12044006 answers")
        await expect(page.locator("#link .figures")).to_have_text("24 samples/s · 72 % counted")
        await expect(page.locator('[data-channel="maf_v"] b')).to_have_text("2.41")
        await expect(page.locator('[data-channel="trim_pct"] b')).to_have_text("−0.8")
        await expect(page.locator('[data-channel="iat_c"] b')).to_have_text("–")
        await expect(page.locator("#live .verdict")).to_contain_text("This sample: counted (so far)")
        await expect(page.locator("#live .cell")).to_contain_text("Cell now: 2.44\u00a0V, measured")
        await expect(page.locator("#progress .place")).to_have_text("2600–\u20603200\u00a0rpm")
        await expect(page.locator("#progress .detail")).to_have_text(
            "high load · 48–\u206066\u00a0g/s · 2.90–\u20603.20\u00a0V"
        )
        await expect(page.locator("#progress .steer")).to_contain_text("▲ More air: now 28\u00a0g/s")
        await expect(page.locator("#truth .figure")).to_have_text("RMSE 0.84\u00a0% over 33\u00a0cells")
        await expect(page.locator("#warnings li")).to_contain_text("No coolant temperature")
        await expect(page.locator("#stale")).to_be_hidden()
        beside = 1 if device == "desk" else 0
        await expect(page.locator("#table")).to_have_count(beside)
        await expect(page.locator("#curve .truth")).to_have_count(beside)
        await page.screenshot(path=OUTPUT / f"drive-{device}-{scheme}.png")
        assert await too_wide(page) == []


async def test_one_glance_at_a_phone_says_whether_it_works_and_what_to_do(browser: Browser) -> None:
    """Without a touch, on the smallest phone: the state, where to drive, volts and flow, and the trim."""
    async with serving(app_over(FakeBoard())) as url, opened(browser, url) as page:
        await expect(page.locator("#link .word")).to_have_text("Learning")
        top_of_tabs = await page.evaluate("document.querySelector('#views').getBoundingClientRect().top")
        for glance in (
            "#link .word",
            "#link .figures",
            "#progress .place",
            "#progress .steer",
            "#progress .strip",
            '[data-channel="maf_v"] b',
            '[data-channel="maf_gs"] b',
            '[data-channel="trim_pct"] b',
        ):
            box = await page.locator(glance).bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= top_of_tabs, glance


async def test_a_cell_is_told_in_words_and_numbers(browser: Browser) -> None:
    board = FakeBoard()
    async with serving(app_over(board)) as url, opened(browser, url, "table") as page:
        rows = page.locator("#table tbody tr")
        await expect(rows).to_have_count(54)
        snapshot = board.newest
        for state in ("measured", "weak", "interpolated", "empty", "locked"):
            cell = [str(other) for other in snapshot.states].index(state)
            row = rows.nth(cell)
            await expect(row.locator(".state")).to_contain_text(state)
            await expect(row.locator(".volts")).to_have_text(f"{snapshot.table.maf_v[cell]:.2f} V")
        measured = rows.nth(10)
        correction, stderr = snapshot.correction_pct[10], snapshot.stderr_pct[10]
        words = f"{correction:+.1f} % ± {1.96 * stderr:.1f}".replace("-", "−")
        await expect(measured.locator(".correction")).to_have_text(words)
        assert snapshot.proposed_gs is not None
        await expect(measured.locator(".proposed")).to_contain_text(f"{snapshot.proposed_gs[10]:.2f} g/s")
        await expect(rows.last.locator(".correction")).to_have_text("–")
        await expect(rows.last.locator(".proposed")).to_have_text("stays")


async def test_live_values_arrive_and_the_table_follows_the_current_cell(browser: Browser) -> None:
    board = FakeBoard()
    async with serving(app_over(board)) as url, opened(browser, url, "drive", size=DESK) as page:
        current = page.locator("#table tr[aria-current=true]")
        await expect(current.locator(".volts")).to_have_text("2.44 V")
        scroller = page.locator("#table .scroller")
        before = await scroller.evaluate("node => node.scrollTop")
        board.reading = live_reading(4.5, verdict="transient")
        board.touch()
        await expect(page.locator('[data-channel="maf_v"] b')).to_have_text("4.50")
        await expect(page.locator("#live .verdict")).to_contain_text(
            "not counted: air flow is changing too fast"
        )
        await expect(current).to_have_count(1)
        await expect(current.locator(".volts")).to_have_text("4.51 V")
        assert await scroller.evaluate("node => node.scrollTop") > before
        box, inside = await scroller.bounding_box(), await current.bounding_box()
        assert box is not None
        assert inside is not None
        assert box["y"] <= inside["y"] <= box["y"] + box["height"]
        await page.locator("#follow").uncheck()
        kept = await scroller.evaluate("node => node.scrollTop")
        board.reading = live_reading(1.0)
        board.touch()
        await expect(current.locator(".volts")).to_have_text("0.98 V")
        assert await scroller.evaluate("node => node.scrollTop") == kept
        correction = board.newest.correction_pct.copy()
        correction[10] = -7.77
        board.newest = dataclasses.replace(board.newest, revision=99, correction_pct=correction)
        board.touch()
        await expect(page.locator("#table tbody tr").nth(10).locator(".correction b")).to_have_text("−7.8 %")


async def test_the_state_of_the_link_is_one_word_and_a_sentence(browser: Browser) -> None:
    board = FakeBoard()
    async with serving(app_over(board)) as url, opened(browser, url) as page:
        for state, word in (
            ("connecting", "Connecting"),
            ("waiting", "Waiting"),
            ("paused", "Paused"),
            ("ended", "Ended"),
            ("running", "Learning"),
        ):
            board.set_link(state, f"words about {state}")
            await expect(page.locator("#link .word")).to_have_text(word)
            await expect(page.locator("#link [aria-live=polite] .words")).to_have_text(f"words about {state}")


async def test_why_nothing_counts_and_what_is_wrong_is_said(browser: Browser) -> None:
    board = FakeBoard()
    board.set_status(nothing_accepted_s=40.4, nothing_accepted_because="coolant 61 °C, needs 70 °C")
    async with serving(app_over(board)) as url, opened(browser, url) as page:
        await expect(page.locator("#link .word")).to_have_text("Not counting")
        await expect(page.locator("#link .why")).to_have_text(
            "Nothing accepted for 40 s: coolant 61 °C, needs 70 °C"
        )
        board.set_status(healthy=False, unhealthy_because="no sample for 12 s although the link is up")
        await expect(page.locator("#link .word")).to_have_text("Trouble")
        await expect(page.locator("#link .why")).to_have_text("no sample for 12 s although the link is up")
        board.set_status(healthy=True, nothing_accepted_s=None, nothing_accepted_because=None)
        await expect(page.locator("#link .word")).to_have_text("Learning")
        await expect(page.locator("#link .why")).to_be_hidden()


async def test_page_without_data_is_grey_and_recovers_within_two_seconds(browser: Browser) -> None:
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as pages:
        async with serving(app_over(FakeBoard())) as url:
            page = await pages.enter_async_context(opened(browser, url))
            await expect(page.locator("#link .word")).to_have_text("Learning")
        await expect(page.locator("#stale")).to_contain_text("Stale since")
        await expect(page.locator("#stale")).to_contain_text(re.compile(r"no data for \d+\ss"))
        await expect(page.locator("#link .word")).to_have_text("No data")
        await expect(page.locator("body")).to_have_class(re.compile(r"\bis-stale\b"))
        await expect(page.locator('[data-channel="maf_v"] b')).to_have_text("2.41")
        await page.screenshot(path=OUTPUT / "phone-stale.png")
        board = FakeBoard(realistic_snapshot(revision=1, seed=2))
        board.reading = live_reading(3.0)
        board.set_status(version="2.0.0")
        async with serving(app_over(board, version="2.0.0"), int(url.rstrip("/").rpartition(":")[2])):
            started_s = loop.time()
            await expect(page.locator('[data-channel="maf_v"] b')).to_have_text("3.00")
            assert loop.time() - started_s < at_most(2.0)
            await expect(page.locator("#stale")).to_be_hidden()
            await expect(page.locator("body")).not_to_have_class(re.compile(r"\bis-stale\b"))


async def test_a_stream_that_never_speaks_is_opened_anew(browser: Browser) -> None:
    """Phones freeze streams without an error, and the page must not wait for one."""
    asked: list[Route] = []

    async def hold_up_the_first(route: Route) -> None:
        asked.append(route)
        if len(asked) > 1:
            await route.continue_()

    async with serving(app_over(FakeBoard())) as url:
        context = await browser.new_context(viewport=PHONE)
        page = await context.new_page()
        await page.route("**/api/v1/stream", hold_up_the_first)
        await page.goto(url)
        await expect(page.locator("#link .word")).to_have_text("Learning")
        assert len(asked) == 2
        await context.close()


async def test_a_hidden_page_lets_go_of_its_stream(browser: Browser) -> None:
    app = app_over(FakeBoard())
    set_visibility = """(state) => {
        Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    async with serving(app) as url, opened(browser, url) as page:
        await until(lambda: app.state.events.listeners == 1)
        await page.evaluate(set_visibility, "hidden")
        await until(lambda: app.state.events.listeners == 0)
        await page.evaluate(set_visibility, "visible")
        await until(lambda: app.state.events.listeners == 1)
        await page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide'))")
        await until(lambda: app.state.events.listeners == 0)
        await page.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow'))")
        await until(lambda: app.state.events.listeners == 1)


async def test_where_to_drive_next_is_a_stretch_of_weak_cells_if_the_daemon_names_none(
    browser: Browser,
) -> None:
    board = FakeBoard(dataclasses.replace(realistic_snapshot(), drive_next=()))
    async with serving(app_over(board)) as url, opened(browser, url) as page:
        weak = [at for at, state in enumerate(board.newest.states) if state == "weak"]
        table = board.newest.table
        assert table.flow_gs is not None
        first, last = weak[0], weak[4]  # hits fall with voltage
        flow = f"{table.flow_gs[first]:.0f}–\u2060{table.flow_gs[last]:.0f}\u00a0g/s"
        await expect(page.locator("#progress .place")).to_have_text(flow)
        volts = f"{table.maf_v[first]:.2f}–\u2060{table.maf_v[last]:.2f}\u00a0V"
        await expect(page.locator("#progress .detail")).to_have_text(volts)


async def test_theme_follows_the_phone_until_one_is_chosen_and_is_kept(browser: Browser) -> None:
    async with serving(app_over(FakeBoard())) as url, opened(browser, url) as page:
        root, button = page.locator("html"), page.locator("#theme")
        await expect(root).to_have_attribute("data-theme", "dark")
        await page.emulate_media(color_scheme="light")
        await expect(root).to_have_attribute("data-theme", "light")
        for words, theme in (("Light", "light"), ("Dark", "dark"), ("Sun", "sun")):
            await button.click()
            await expect(button).to_have_accessible_name(f"Theme: {words}")
            await expect(root).to_have_attribute("data-theme", theme)
        await page.reload()
        await expect(root).to_have_attribute("data-theme", "sun")
        await expect(page.locator("#link .word")).to_have_text("Learning")
        await page.screenshot(path=OUTPUT / "phone-sun.png", full_page=True)
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        await button.click()
        await expect(button).to_have_accessible_name("Theme: Auto")
        await expect(root).to_have_attribute("data-theme", "light")


async def test_type_and_targets_are_large_enough_for_a_moving_car(browser: Browser) -> None:
    async with serving(app_over(FakeBoard())) as url, opened(browser, url) as page:
        await expect(page.locator("#link .word")).to_have_text("Learning")
        assert (
            await page.locator("body").evaluate("node => parseFloat(getComputedStyle(node).fontSize)") >= 18
        )
        assert "tabular-nums" in await page.locator('[data-channel="rpm"] b').evaluate(
            "node => getComputedStyle(node).fontVariantNumeric"
        )
        for view in VIEWS:
            await go(page, view)
            for target in await page.locator(
                "button:visible, a.button:visible, #views a, label:visible, summary:visible, textarea:visible"
            ).all():
                box = await target.bounding_box()
                assert box is not None
                assert box["height"] >= 48, await target.inner_text()
                assert box["width"] >= 48, await target.inner_text()


async def test_an_empty_board_says_that_it_waits(browser: Browser) -> None:
    board = FakeBoard()
    board.reading = None
    board.newest = dataclasses.replace(
        board.newest,
        correction_pct=board.newest.correction_pct * float("nan"),
        stderr_pct=board.newest.stderr_pct * float("nan"),
        hits=board.newest.hits * 0,
        states=tuple([type(board.newest.states[0]).EMPTY] * 54),
        counts=dataclasses.replace(board.newest.counts, seen=0, accepted=0, pending=0, rejected={}),
        warnings=(),
        held_out=None,
        drive_next=(),
    )
    board.set_status(truth=None, sample_rate_hz=None, last_sample_age_s=None)
    board.set_link("waiting", "waiting for ignition")
    async with serving(app_over(board)) as url, opened(browser, url) as page:
        await expect(page.locator("#link .word")).to_have_text("Waiting")
        await expect(page.locator("#link .words")).to_have_text("waiting for ignition")
        await expect(page.locator('[data-channel="maf_v"] b')).to_have_text("–")
        await expect(page.locator("#progress .words")).to_have_text("0 of 54 cells measured, 0 weak")
        await expect(page.locator("#truth")).to_be_hidden()
        await expect(page.locator("#warnings")).to_be_hidden()
        await page.screenshot(path=OUTPUT / "phone-empty.png", full_page=True)
        await go(page, "curve")
        await expect(page.locator("#curve svg")).to_have_attribute("aria-label", "No cell is measured yet.")
        await go(page, "why")
        await expect(page.locator("#verdicts .words").first).to_have_text("No sample has been judged yet")
        await go(page, "flash")
        await expect(page.locator("#checks .figure")).to_contain_text("Not yet")

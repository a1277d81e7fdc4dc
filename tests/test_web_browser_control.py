"""Pause, resume and reset on the page in a real Chromium, and old values that are not shown as new."""

from __future__ import annotations

import dataclasses
import re

import pytest
from browsing import DESK, PHONE, acted, go, hold, launched_browser, opened  # noqa: F401 - a fixture
from fake_driving import app_over
from fakes import FakeBoard, live_reading, serving
from playwright.async_api import Browser, expect

from lowmaf.snapshot import DataWarning

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

HELD_MS = 1300
"""A little longer than the second that a button wants."""


def at_speed(speed_kmh: float) -> dict[str, float]:
    return {**live_reading(2.41).values, "speed_kmh": speed_kmh}


def moving(board: FakeBoard, speed_kmh: float) -> None:
    board.reading = dataclasses.replace(live_reading(2.41), values=at_speed(speed_kmh))
    board.touch()


def parked_board() -> FakeBoard:
    board = FakeBoard()
    moving(board, 0.0)
    return board


async def test_pause_is_held_and_resume_is_pressed(browser: Browser) -> None:
    board = parked_board()
    async with serving(app_over(board)) as url, opened(browser, url, "flash") as page:
        outcome = page.locator("#control .outcome")
        await page.get_by_role("button", name="Hold to pause").click()
        await expect(outcome).to_have_text("Hold it for a second.")
        assert board.commands == []
        await hold(page, page.get_by_role("button", name="Hold to pause"))
        await expect(outcome).to_have_text("Closing the port …")
        assert [command.name for command in board.commands] == ["pause"]
        board.set_link("paused", "paused: the port is closed and nothing is sent")
        await expect(page.locator("#control > .words")).to_contain_text("safe to flash")
        await expect(outcome).to_have_text("")
        await expect(page.get_by_role("button", name="Hold to pause")).to_be_hidden()
        await page.get_by_role("button", name="Resume").click()
        await expect(outcome).to_have_text("Opening the port …")
        assert [command.name for command in board.commands] == ["pause", "resume"]
        board.set_link("running", "reads")
        await expect(page.get_by_role("button", name="Hold to pause")).to_be_visible()
        board.set_link("paused", "paused")
        await go(page, "drive")
        await expect(page.locator("#link .paused")).to_contain_text("Once the cable is unplugged")


@pytest.mark.parametrize("key", ["Enter", "Space"])
async def test_reset_is_held_with_the_keyboard_too(browser: Browser, key: str) -> None:
    board = parked_board()
    async with serving(app_over(board)) as url, opened(browser, url, "flash") as page:
        await page.get_by_role("button", name="Hold to reset").focus()
        await page.keyboard.press(key)
        await expect(page.locator("#control .outcome")).to_have_text("Hold it for a second.")
        assert board.commands == []
        await page.keyboard.down(key)
        await acted(page)
        await page.keyboard.up(key)
        await expect(page.locator("#control .outcome")).to_contain_text(
            "what was learned so far counts no more"
        )
        assert [command.name for command in board.commands] == ["reset"]


async def test_a_moving_car_has_no_controls_even_under_the_finger(browser: Browser) -> None:
    board = parked_board()
    async with serving(app_over(board)) as url, opened(browser, url, "flash") as page:
        buttons = page.locator("#control .actions")
        await expect(page.locator("#chip")).to_have_text("Learning")
        await page.get_by_role("button", name="Hold to pause").hover()
        await page.mouse.down()
        moving(board, 3.0)
        await expect(buttons).to_be_hidden()
        await page.wait_for_timeout(HELD_MS)
        await page.mouse.up()
        assert board.commands == []
        await expect(page.locator("#control .moving")).to_contain_text("The car is moving")
        board.set_link("paused", "paused")  # the last speed is of before the pause: Resume must be there
        await expect(buttons).to_be_visible()
        board.set_link("running", "reads")
        await expect(buttons).to_be_hidden()
        moving(board, 0.0)
        await expect(buttons).to_be_visible()


async def test_a_refused_command_says_why(browser: Browser) -> None:
    async with serving(app_over(parked_board())) as url:
        context = await browser.new_context(viewport=PHONE)
        page = await context.new_page()
        refusal = '{"error": {"code": "command_refused", "message": "not in a replay", "detail": {}}}'
        await page.route("**/api/v1/commands", lambda route: route.fulfill(status=422, body=refusal))
        await page.goto(f"{url}#flash")
        await hold(page, page.get_by_role("button", name="Hold to pause"))
        await expect(page.locator("#control .outcome")).to_have_text("not in a replay")
        await context.close()


async def test_values_of_before_a_pause_are_not_shown_as_new(browser: Browser) -> None:
    board = FakeBoard()
    async with serving(app_over(board)) as url, opened(browser, url, size=DESK) as page:
        live, cursor = page.locator("#live"), page.locator("#curve .cursor")
        for state, age_s in (("paused", 1.0), ("waiting", 1.0), ("ended", 1.0), ("running", 12.0)):
            board.set_status(last_sample_age_s=0.1)
            board.set_link("running", "reads")
            await expect(live.locator("h2")).to_have_text("Now")
            await expect(live.locator(".tiles").first).to_have_css("opacity", "1")
            await expect(page.locator("#link .figures")).to_contain_text("samples/s")
            await expect(cursor).to_have_attribute("visibility", "visible")
            board.set_status(last_sample_age_s=age_s)
            board.set_link(state, "words")
            await expect(live.locator("h2")).to_have_text("Last values, not of now")
            await expect(live.locator(".tiles").first).to_have_css("opacity", "0.5")
            await expect(live.locator(".verdict")).to_have_text(re.compile("No new samples"))
            await expect(page.locator("#link .figures")).not_to_contain_text("samples/s")
            await expect(cursor).to_have_attribute("visibility", "hidden")
            await expect(page.locator("#table tr[aria-current]")).to_have_count(0)
            await expect(page.locator("#progress .is-current")).to_have_count(0)


async def test_a_lost_daemon_has_no_rate(browser: Browser) -> None:
    async with serving(app_over(FakeBoard())) as url:
        context = await browser.new_context(viewport=PHONE)
        page = await context.new_page()
        await page.goto(url)
        await expect(page.locator("#link .figures")).to_contain_text("samples/s")
        await page.route("**/api/v1/stream", lambda route: route.abort())
        await page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide'))")
        await expect(page.locator("#link .word")).to_have_text("No data")
        await expect(page.locator("#link .figures")).to_have_text("What is grey below is of before.")
        await context.close()


async def test_notes_are_folded_and_what_blocks_a_flash_is_not(browser: Browser) -> None:
    board = FakeBoard()
    async with serving(app_over(board)) as url, opened(browser, url) as page:
        panel = page.locator("#warnings")
        note = panel.get_by_text("No coolant temperature")
        await expect(panel.locator("h2")).to_have_text("About the data")
        await expect(panel.locator("summary")).to_have_text("1 note")
        await expect(note).to_be_hidden()
        await panel.locator("summary").click()
        await expect(note).to_be_visible()
        leak = DataWarning("air_leak_suspected", "Idle is lean by 9 %.", blocks_flash=True)
        more = DataWarning("steps", "The trims come in steps.")
        board.newest = dataclasses.replace(
            board.newest, revision=60, warnings=(*board.newest.warnings, leak, more)
        )
        board.touch()
        await expect(panel.locator("h2")).to_have_text("Warnings")
        await expect(panel.get_by_text("Idle is lean by 9 %. Do not flash yet.")).to_be_visible()
        await expect(panel.locator("summary")).to_have_text("2 notes")
        await expect(note).to_be_visible()  # what was opened stays open


async def test_a_simulated_car_is_announced_and_a_real_one_is_not(browser: Browser) -> None:
    board = FakeBoard()
    async with serving(app_over(board)) as url, opened(browser, url) as page:
        badge = page.locator("h1 #simulated")
        await expect(badge).to_have_text("SIMULATED")
        await expect(badge).to_be_visible()
        await expect(page).to_have_title("lowmaf – SIMULATED")
        board.set_status(truth=None)
        await expect(badge).to_be_hidden()
        await expect(page).to_have_title("lowmaf")


async def test_explanations_open_on_a_tap_and_are_large_enough(browser: Browser) -> None:
    async with serving(app_over(FakeBoard())) as url, opened(browser, url) as page:
        for view, panel, words in (
            ("drive", "#truth", "root mean square"),
            ("table", "#table", "the effective hits (eff.)"),
            ("flash", "#take", "Plain means: the usual method"),
        ):
            await go(page, view)
            summary = page.locator(f"{panel} summary")
            box = await summary.bounding_box()
            assert box is not None
            assert box["height"] >= 48
            await summary.click()
            await expect(page.locator(panel).get_by_text(words)).to_be_visible()


async def test_an_interval_beyond_the_plot_is_marked_as_cut(browser: Browser) -> None:
    board = FakeBoard()
    async with serving(app_over(board)) as url, opened(browser, url, "curve") as page:
        await expect(page.locator("#curve .plot .estimate").first).to_be_attached()
        weak = [at for at, state in enumerate(board.newest.states) if state == "weak"]
        stderr = board.newest.stderr_pct.copy()
        for revision, (weak_pct, marks) in enumerate(((0.5, 0), (40.0, 2 * len(weak))), start=61):
            stderr[weak] = weak_pct
            board.newest = dataclasses.replace(board.newest, revision=revision, stderr_pct=stderr.copy())
            board.touch()
            await expect(page.locator("#curve .cut")).to_have_count(marks)

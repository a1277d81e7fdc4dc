"""From the checks to the table on the clipboard and back, on plain http as on a phone in the car."""

from __future__ import annotations

import asyncio
import dataclasses
import re

import numpy as np
import pytest
from browsing import CAR, OUTPUT, hold, launched_browser, opened  # noqa: F401 - a fixture
from fake_driving import app_over
from fakes import FakeBoard, live_reading, realistic_snapshot, serving
from playwright.async_api import Browser, Route, expect

from lowmaf.snapshot import DataWarning

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


def parked_board() -> FakeBoard:
    board = FakeBoard()
    reading = live_reading(2.41)
    board.reading = dataclasses.replace(reading, values={**reading.values, "speed_kmh": 0.0})
    return board


async def test_the_checks_say_in_words_what_is_open(browser: Browser) -> None:
    board = FakeBoard()
    async with serving(app_over(board)) as url, opened(browser, url, "flash") as page:
        checks = page.locator("#checks")
        await expect(checks.locator(".figure")).to_have_text("✓ Ready to flash")
        await expect(checks.locator(".checks .passed")).to_have_count(3)
        await expect(checks).to_contain_text("Held-out check passed")
        await expect(page.locator("#effect")).to_contain_text("more timing and boost: check for knock")
        await expect(checks).to_contain_text("SIMULATED: this table is for no real one")
        await page.screenshot(path=OUTPUT / "flash-phone.png", full_page=True)
        leak = DataWarning("air_leak_suspected", "Idle is lean by 9 %.", blocks_flash=True)
        board.newest = dataclasses.replace(realistic_snapshot(revision=50, passed=False), warnings=(leak,))
        board.set_status(truth=None)
        await expect(checks.locator(".figure")).to_have_text("✕ Not yet: 2 checks are open")
        await expect(checks).to_contain_text("Held-out check failed")
        await expect(checks).to_contain_text("Idle is lean by 9 %.")
        await expect(checks).not_to_contain_text("SIMULATED")
        await expect(page.get_by_role("button", name="Copy table")).to_be_visible()
        async with page.expect_response("**format=romraider"):
            await page.reload()
        await page.get_by_role("button", name="Copy table").click()
        await expect(page.locator("#take .outcome")).to_have_text("Not fit to be flashed yet:")
        await expect(page.locator("#take .reasons")).to_contain_text("held-out check failed")


async def test_a_big_change_is_to_be_flashed_in_stages(browser: Browser) -> None:
    board = FakeBoard()
    correction = board.newest.correction_pct.copy()
    correction[10] = -14.2
    board.newest = dataclasses.replace(board.newest, revision=43, correction_pct=correction)
    async with serving(app_over(board)) as url, opened(browser, url, "flash") as page:
        warning = page.locator("#checks li.open", has_text="BIG CHANGE")
        await expect(warning).to_contain_text("1 cell wants more than ±10 % (−14.2 % at 1.67 V)")
        await expect(warning).to_contain_text("Flash in stages")
        await expect(page.locator("#checks .figure")).to_have_text("✓ Ready to flash, in stages")


@pytest.mark.parametrize("host", [CAR, "127.0.0.1"])
async def test_the_table_is_on_the_clipboard_after_one_tap(browser: Browser, host: str) -> None:
    """Also where there is no clipboard API: on plain http under the car's name."""
    board = parked_board()
    async with serving(app_over(board)) as address:
        url = address.replace("127.0.0.1", host)
        async with opened(browser, url, "flash", permissions=["clipboard-write", "clipboard-read"]) as page:
            assert await page.evaluate("navigator.clipboard === undefined") is (host == CAR)
            async with page.expect_response("**format=romraider"):
                await page.reload()
            await page.get_by_role("button", name="Copy table").click()
            await expect(page.locator("#take .outcome")).to_have_text(
                "✓ Copied. Paste it over the MAF table."
            )
            paste = page.get_by_label("Or paste the table that is in the ECU")
            await paste.focus()
            await page.keyboard.press("Control+V")
            await expect(paste).to_have_value(re.compile(r"^\[Table2D\]\n0\.9\t"))
            await page.get_by_role("button", name="Copy changes only").click()
            await expect(page.get_by_label("Table for RomRaider and EcuFlash")).to_have_value(
                re.compile(r"^\[Selection1D\]")
            )


async def test_a_tap_ahead_of_the_table_waits_for_it(browser: Browser) -> None:
    """The answer is held back until the button was tapped."""
    tapped = asyncio.Event()

    async def late(route: Route) -> None:
        await tapped.wait()
        await route.continue_()

    async with (
        serving(app_over(parked_board())) as url,
        opened(browser, url, "flash", permissions=["clipboard-write", "clipboard-read"]) as page,
    ):
        await page.route("**/api/v1/table?format=romraider*", late)
        await page.reload()
        await page.get_by_role("button", name="Copy table").click()
        await expect(page.locator("#take .outcome")).to_have_text("The table is on its way …")
        tapped.set()
        await expect(page.locator("#take .outcome")).to_have_text("✓ Copied. Paste it over the MAF table.")


async def test_from_the_first_look_it_is_two_taps_to_the_table(browser: Browser) -> None:
    """Offered where the car stands and the table is fit, and not otherwise."""
    board = parked_board()
    async with (
        serving(app_over(board)) as url,
        opened(browser, url, permissions=["clipboard-write", "clipboard-read"]) as page,
    ):
        offer = page.get_by_role("link", name="A table is ready: take it")
        await expect(offer).to_be_visible()
        board.reading = live_reading(2.41)
        board.touch()
        await expect(offer).to_be_hidden()
        board.reading = parked_board().reading
        board.newest = dataclasses.replace(realistic_snapshot(revision=60, passed=False))
        board.touch()
        await expect(page.locator("body")).not_to_have_class(re.compile(r"\bis-moving\b"))
        await expect(offer).to_be_hidden()
        board.newest = realistic_snapshot(revision=61)
        board.touch()
        async with page.expect_response("**format=romraider"):
            await offer.click()
        await page.get_by_role("button", name="Copy table").click()
        await expect(page.locator("#take .outcome")).to_have_text("✓ Copied. Paste it over the MAF table.")


async def test_files_can_be_taken_instead(browser: Browser) -> None:
    async with serving(app_over(FakeBoard())) as url, opened(browser, url, "flash") as page:
        for name in ("CSV", "JSON"):
            async with page.expect_download() as download:
                await page.get_by_role("link", name=name).click()
            assert (await download.value).suggested_filename == f"lowmaf-table.{name.lower()}"


async def test_the_table_that_was_copied_is_the_one_that_is_confirmed(browser: Browser) -> None:
    board = parked_board()
    proposed = board.newest.proposed_gs
    assert proposed is not None
    async with serving(app_over(board)) as url, opened(browser, url, "flash") as page:
        flashed = page.locator("#flashed")
        await expect(flashed.locator(".words")).to_contain_text("2006 turbo, stock intake, revision")
        mine = page.get_by_role("button", name="I flashed the table copied")
        await expect(mine).to_be_hidden()
        async with page.expect_response("**format=romraider"):
            await page.reload()
        await page.get_by_role("button", name="Copy table").click()
        await page.reload()  # the phone slept while the laptop flashed
        board.newest = dataclasses.replace(board.newest, revision=90, proposed_gs=proposed * 0.97)
        board.touch()
        await mine.click()
        understood = flashed.locator(".understood")
        await expect(understood).to_contain_text("54 cells from 0.90–\u20604.97 V")
        await expect(understood).to_contain_text("The voltages are those of the present table.")
        await expect(understood).to_contain_text(re.compile(r"Largest change: [+−]\d\.\d % at \d\.\d\d V"))
        before = board.newest.table.revision
        await hold(page, page.get_by_role("button", name="Hold: this is in the ECU now"))
        await expect(flashed.locator(".outcome")).to_contain_text(
            f"✓ Revision {before + 1} is in the ECU now"
        )
        await expect(flashed.locator(".outcome")).to_contain_text("carried over")
        now = board.newest.table.flow_gs
        assert now is not None
        assert np.abs(now - proposed).max() < 0.01  # what was copied, not the proposal of now
        await expect(mine).to_be_hidden()


async def test_another_table_is_pasted_looked_at_and_only_then_taken(browser: Browser) -> None:
    board = parked_board()
    flow = board.newest.table.flow_gs
    volts = board.newest.table.maf_v
    assert flow is not None
    kept = board.newest.table
    async with serving(app_over(board)) as url, opened(browser, url, "flash") as page:
        paste = page.get_by_label("Or paste the table that is in the ECU")
        look = page.get_by_role("button", name="See what is understood")
        take = page.get_by_role("button", name="Hold: this is in the ECU now")
        outcome = page.locator("#flashed .outcome")
        for text, refusal in (
            ("hello", "no line of numbers"),
            ("", "the text is empty"),
            ("V,g/s\n" + "\n".join(f"{v},{g * 3.6}" for v, g in zip(volts, flow, strict=True)), "kg/h"),
        ):
            await paste.fill(text)
            await look.click()
            await expect(outcome).to_contain_text(refusal)
            await expect(take).to_be_hidden()
        rows = "\n".join(f"{v},{g * 1.02}" for v, g in zip(volts, flow, strict=True))
        await paste.fill(f"V,g/s\n{rows}\n")
        await look.click()
        await expect(page.locator("#flashed .understood")).to_contain_text("Largest change: +2.0 %")
        assert board.newest.table is kept  # looking changes nothing
        await expect(take).to_be_visible()
        await paste.press_sequentially("1")  # what is confirmed is what was looked at
        await expect(take).to_be_hidden()


async def test_before_and_after_a_flash_is_told(browser: Browser) -> None:
    board = FakeBoard()
    async with serving(app_over(board)) as url, opened(browser, url, "flash") as page:
        after = page.locator("#after")
        await expect(page.locator("#checks .figure")).to_be_visible()
        await expect(after).to_be_hidden()
        table = dataclasses.replace(board.newest.table, revision=2)
        board.newest = dataclasses.replace(board.newest, revision=70, table=table)
        board.touch()
        await expect(after.locator(".figure")).to_have_text("Not driven enough yet")
        words = "since the flash the table is off by 0.9 % rms over 20 cells; earlier drives predicted 0.8 %"
        for revision, (code, blocks, figure) in enumerate(
            (
                ("after_flash_as_predicted", False, "✓ As predicted"),
                ("after_flash_unexpected", True, "▲ Not as predicted"),
            ),
            start=71,
        ):
            warning = DataWarning(code, words, blocks_flash=blocks)
            board.newest = dataclasses.replace(board.newest, revision=revision, warnings=(warning,))
            board.touch()
            await expect(after.locator(".figure")).to_have_text(figure)
            await expect(after.locator(".words")).to_contain_text("Since the flash the table is off by 0.9 %")


async def test_a_phone_that_is_not_paired_is_told_how(browser: Browser) -> None:
    refusal = '{"error": {"code": "pairing_needed", "message": "not paired", "detail": {}}}'
    async with serving(app_over(parked_board())) as url:
        context = await browser.new_context(viewport={"width": 360, "height": 740})
        page = await context.new_page()
        await page.route("**/api/v1/commands", lambda route: route.fulfill(status=401, body=refusal))
        await page.goto(f"{url}#flash")
        await expect(page.locator("#unpaired")).to_be_hidden()
        await hold(page, page.get_by_role("button", name="Hold to pause"))
        await expect(page.locator("#unpaired")).to_contain_text("Run “lowmaf pair”")
        await expect(page.locator("#control .outcome")).to_have_text("not paired")
        await context.close()

"""The views behind the drive view in a real Chromium: cells, curve, why, drives, setup."""

from __future__ import annotations

import dataclasses
import re

import pytest
from browsing import DESK, OUTPUT, PHONE, go, hold, launched_browser, opened, too_wide  # noqa: F401 - a fixture
from fake_driving import FakeFilters, FakeReview, FakeShelf, app_over
from fakes import FakeBoard, live_reading, realistic_snapshot, serving
from playwright.async_api import Browser, Page, expect

from lowmaf.snapshot import DataWarning
from web.app import create_app
from web.board import LinkEvent, VerdictMinute

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

VIEWS = ("drive", "table", "curve", "why", "flash", "drives", "settings")


def parked_board() -> FakeBoard:
    board = FakeBoard()
    set_speed(board, 0.0)
    return board


def set_speed(board: FakeBoard, speed_kmh: float) -> None:
    reading = live_reading(2.41)
    board.reading = dataclasses.replace(reading, values={**reading.values, "speed_kmh": speed_kmh})
    board.touch()


@pytest.mark.parametrize(
    "size",
    [PHONE, pytest.param({"width": 412, "height": 915}, marks=pytest.mark.long), DESK],
)
async def test_every_view_opens_by_its_tab_and_fits(browser: Browser, size: dict[str, int]) -> None:
    async with serving(app_over(FakeBoard())) as url, opened(browser, url, size=size) as page:
        for view in VIEWS:
            await go(page, view)
            tab = page.locator(f'#views a[href="#{view}"]')
            await expect(tab).to_have_attribute("aria-current", "page")
            await expect(page.locator("#views [aria-current]")).to_have_count(1)
            await expect(page.locator("main .panel").first).to_be_visible()
            await expect(page.locator("#chip")).to_be_visible(visible=view != "drive")
            assert await too_wide(page) == [], view
            await page.screenshot(path=OUTPUT / f"{view}-{size['width']}.png")
        await page.go_back()
        await expect(page.locator("main")).to_have_attribute("data-view", "drives")
        assert "Drives" in await page.title()


async def test_a_view_can_be_opened_with_the_keyboard(browser: Browser) -> None:
    async with serving(app_over(FakeBoard())) as url, opened(browser, url) as page:
        await page.locator('#views a[href="#why"]').focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#verdicts")).to_be_visible()
        await expect(page.locator("main")).to_be_focused()
        await expect(page.locator("main")).to_have_accessible_name("Why")


async def test_an_address_that_leads_nowhere_opens_the_drive_view(browser: Browser) -> None:
    async with serving(app_over(FakeBoard())) as url, opened(browser, url, "nonsense/%3Cb%3E") as page:
        await expect(page.locator("#link .word")).to_have_text("Learning")


async def test_a_cell_leads_to_its_history_and_samples(browser: Browser) -> None:
    async with serving(app_over(FakeBoard())) as url, opened(browser, url, "table") as page:
        await page.locator("#table tbody tr").nth(20).click()
        cell = page.locator("#cell")
        await expect(cell.locator("h2")).to_have_text("Cell at 2.44 V (21 of 54)")
        await expect(page.locator("#table")).to_be_hidden()
        await expect(cell.locator(".figure")).to_have_text(re.compile(r"^[+−]\d\.\d\s%$"))
        await expect(cell).to_contain_text("With 95\u00a0% certainty between")
        await expect(cell.get_by_text("From +1.0\u00a0% (earlier drives) to +2.5\u00a0%")).to_be_visible()
        await expect(cell.locator("svg .estimate")).to_have_count(1)
        await expect(cell.locator(".samples li")).to_have_count(10)
        await expect(cell.locator(".samples li").first).to_contain_text("−0.5\u00a0%2000\u00a0rpm · drive 7")
        await page.screenshot(path=OUTPUT / "cell-phone.png", full_page=True)
        await cell.get_by_role("link", name="Cell above").click()
        await expect(cell.locator("h2")).to_have_text("Cell at 2.51 V (22 of 54)")
        await page.go_back()
        await page.go_back()
        await expect(page.locator("#table tbody tr").first).to_be_visible()
        await expect(cell).to_be_hidden()


async def test_the_ends_of_the_table_have_no_neighbour_and_unknown_cells_say_so(browser: Browser) -> None:
    async with serving(app_over(FakeBoard())) as url, opened(browser, url, "table/53") as page:
        cell = page.locator("#cell")
        await expect(cell.locator(".figure")).to_have_text("No correction known")
        await expect(cell.get_by_text("Nothing known yet.")).to_be_visible()
        await expect(cell.get_by_text("None in the newest driving.")).to_be_visible()
        await expect(cell.get_by_label("Cell above")).to_be_hidden()
        await expect(cell.get_by_label("Cell below")).to_be_visible()


async def test_without_kept_samples_a_cell_says_why_it_has_none(browser: Browser) -> None:
    board = FakeBoard()
    review = FakeReview(board)
    review.kept = False
    app = create_app(board, version="1.2.3", review=review, sessions=FakeShelf())
    async with serving(app) as url, opened(browser, url, "table/20") as page:
        await expect(page.locator("#cell")).to_contain_text("no samples are kept yet: drive for a minute")
        await go(page, "why")
        await expect(page.locator("#what-if .words")).to_contain_text("no samples are kept yet")


async def test_a_cell_is_locked_and_unlocked_while_the_car_stands(browser: Browser) -> None:
    board = parked_board()
    board.allowed_commands = ("lock_cells", "unlock_cells")
    async with serving(app_over(board)) as url, opened(browser, url, "table/20") as page:
        await page.get_by_role("button", name="Lock this cell").click()
        await expect(page.locator("#cell .outcome")).to_contain_text("Locked")
        assert [(command.name, command.arguments) for command in board.commands] == [
            ("lock_cells", {"cells": [20]})
        ]
        await page.goto(f"{url}#table/24")  # is locked in this snapshot
        await page.get_by_role("button", name="Unlock this cell").click()
        await expect(page.locator("#cell .outcome")).to_contain_text("Unlocked")
        assert board.commands[-1].arguments == {"cells": [24]}
        set_speed(board, 1.0)
        await expect(page.get_by_role("button", name="Unlock this cell")).to_be_hidden()
        await expect(page.locator("#cell .moving")).to_be_visible()


async def test_the_car_moves_by_speed_else_by_engine_speed_else_by_air(browser: Browser) -> None:
    board = FakeBoard()
    async with serving(app_over(board)) as url, opened(browser, url, "flash") as page:
        await expect(page.locator("#chip")).to_have_text("Learning")
        pause = page.get_by_role("button", name="Hold to pause")
        for values, moves in (
            ({"speed_kmh": 0.0, "rpm": 4000.0}, False),
            ({"speed_kmh": 5.0, "rpm": 800.0}, True),
            ({"rpm": 850.0}, False),
            ({"rpm": 2400.0}, True),
            ({"maf_gs": 4.0}, False),
            ({"maf_gs": 30.0}, True),
            ({}, False),
        ):
            board.reading = dataclasses.replace(live_reading(2.41), values={"maf_v": 2.41, **values})
            board.touch()
            await expect(pause).to_be_visible(visible=not moves)


async def test_the_trail_of_cells_fades_behind_the_current_one(browser: Browser) -> None:
    board = FakeBoard()
    async with serving(app_over(board)) as url, opened(browser, url, "table") as page:
        await expect(page.locator("#table tr[aria-current] .volts")).to_have_text("2.44 V")
        for volts, left in ((2.1, "2.44 V"), (2.3, "2.13 V")):
            board.reading = live_reading(volts)
            board.touch()
            await expect(page.locator('#table tr[data-trail="1"] .volts')).to_have_text(left)
            await expect(page.locator("#table tr[aria-current]")).to_have_count(1)
        await expect(page.locator("#table tr[data-trail]")).to_have_count(0)


# ---- curve


async def shown_volts(page: Page) -> list[str]:
    """Numbers under the plot."""
    texts = await page.locator('#curve .grid text[text-anchor="middle"]').all_text_contents()
    return [text.strip() for text in texts]


async def test_the_curve_shows_correction_flow_and_slope(browser: Browser) -> None:
    async with serving(app_over(FakeBoard())) as url, opened(browser, url, "curve") as page:
        curve = page.locator("#curve")
        await expect(curve.locator(".plot .points")).to_have_count(1)
        dots = await curve.locator(".plot .points").get_attribute("d")
        assert dots is not None
        assert dots.count("M") > 200
        await expect(curve.locator(".words").last).to_contain_text("the air of 0.42\u00a0s before")
        await curve.get_by_role("button", name="Flow").click()
        await expect(curve.locator(".plot .current")).to_have_count(1)
        await expect(curve.locator(".plot .dot.stays").first).to_be_attached()
        await expect(curve.locator(".grid")).to_contain_text("flow, g/s")
        await page.screenshot(path=OUTPUT / "curve-flow-phone.png")
        await curve.get_by_role("button", name="Slope").click()
        await expect(curve.locator("h2")).to_have_text("Slope of the curve")
        await expect(curve.locator(".plot .dot")).to_have_count(53)
        await expect(curve.get_by_role("button", name="Slope")).to_have_attribute("aria-pressed", "true")


async def test_the_curve_is_enlarged_by_buttons_keys_and_wheel_and_dragged(browser: Browser) -> None:
    async with serving(app_over(FakeBoard())) as url, opened(browser, url, "curve", size=DESK) as page:
        plot = page.locator("#curve .zooms")
        await expect(page.locator("#curve .plot .estimate").first).to_be_attached()
        whole = await shown_volts(page)
        assert whole[0] == "1.0"
        await page.get_by_role("button", name="Larger").click()
        await page.get_by_role("button", name="Larger").click()
        await expect(plot).to_have_class(re.compile("is-enlarged"))
        await page.wait_for_timeout(700)
        middle = await shown_volts(page)
        assert float(middle[0]) > 1.0
        assert float(middle[-1]) < 5.0
        box = await plot.bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + 500, box["y"] + 150)
        await page.mouse.down()
        await page.mouse.move(box["x"] + 100, box["y"] + 150, steps=4)
        await page.mouse.up()
        await page.wait_for_timeout(700)
        assert float((await shown_volts(page))[0]) > float(middle[0])
        await plot.focus()
        await page.keyboard.press("0")
        await expect(plot).not_to_have_class(re.compile("is-enlarged"))


async def test_the_curve_is_enlarged_by_two_fingers(browser: Browser) -> None:
    async with (
        serving(app_over(FakeBoard())) as url,
        opened(browser, url, "curve", has_touch=True) as page,
    ):
        plot = page.locator("#curve .zooms")
        await expect(page.locator("#curve .plot .estimate").first).to_be_attached()
        box = await plot.bounding_box()
        assert box is not None
        touch = await page.context.new_cdp_session(page)
        y = box["y"] + 120

        async def fingers(kind: str, *at: float) -> None:
            points = [{"x": x, "y": y, "id": number} for number, x in enumerate(at)]
            await touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        await fingers("touchStart", 150, 210)
        for wide in (10, 25, 40, 60):
            await fingers("touchMove", 150 - wide, 210 + wide)
        await fingers("touchEnd")
        await expect(plot).to_have_class(re.compile("is-enlarged"))


# ---- why


async def test_why_says_it_in_total_by_minute_and_if_limits_were_others(browser: Browser) -> None:
    board = parked_board()
    board.minutes = [
        VerdictMinute(7, minute, {"accepted": 900 + minute, "open_loop": 500, "gap": 3})
        for minute in range(12)
    ]
    review = FakeReview(board)
    app = create_app(board, version="1.2.3", review=review, filters=FakeFilters(review), sessions=FakeShelf())
    async with serving(app) as url, opened(browser, url, "why") as page:
        await expect(page.locator('#verdicts [data-verdict="open_loop"]')).to_contain_text("open loop")
        await expect(page.locator("#minutes .words")).to_contain_text("12 minutes with 16\u2009902 samples")
        await expect(page.locator("#minutes rect")).to_have_count(36)
        await expect(page.locator("#minutes .legend")).to_contain_text("counted (64 %)")
        result = page.locator("#what-if .figure")
        await expect(result).to_have_text("20\u2009000 count, 67 %")
        await page.get_by_label("Coolant at least this warm").fill("60,5")
        await expect(result).to_have_text("20\u2009900 would count, 900 more (+5\u00a0%)")
        await expect(page.locator("#what-if .soft")).to_contain_text("for samples from now on")
        assert review.asked[-1] == ["min_ect_c=60.5"]
        async with page.expect_response("**/what-if?*allow_loop_fault*"):
            await page.get_by_label("Closed loop with a fault counts").select_option("yes")
        await expect(page.get_by_role("button", name="Use these limits")).to_be_visible()
        assert review.asked[-1] == ["min_ect_c=60.5", "allow_loop_fault=true"]
        assert review.changed == {}
        await page.get_by_label("Coolant at least this warm").fill("warm")
        await expect(result).to_have_text("This cannot be tried")
        await expect(page.locator("#what-if .words")).to_contain_text("'warm' is not a number")
        await expect(page.get_by_role("button", name="Use these limits")).to_be_hidden()
        await page.get_by_role("button", name="As it is now").click()
        await expect(result).to_have_text("20\u2009000 count, 67 %")


async def test_a_limit_that_was_tried_is_used_and_goes_back_to_what_is_configured(browser: Browser) -> None:
    board = parked_board()
    review = FakeReview(board)
    app = create_app(board, version="1.2.3", review=review, filters=FakeFilters(review), sessions=FakeShelf())
    async with serving(app) as url, opened(browser, url, "settings") as page:
        limits = page.locator("#limits")
        await expect(limits.locator(".words")).to_have_text(
            "Which samples count. All as the configuration says."
        )
        await expect(limits.locator(".facts > div").first).to_have_text(
            "Coolant at least this warm70\u00a0°C"
        )
        await limits.get_by_role("link", name="Try and change limits").click()
        await page.get_by_label("Coolant at least this warm").fill("60")
        await page.get_by_label("Engine speed at most").fill("4500")
        await page.get_by_role("button", name="Use these limits").click()
        await expect(page.locator("#what-if .outcome")).to_have_text("✓ In use for samples from now on.")
        assert review.changed == {"min_ect_c": 60.0, "max_rpm": 4500.0}
        await expect(page.locator("#what-if .figure")).to_have_text("20\u2009000 count, 67 %")
        await go(page, "settings")
        changed = limits.locator(".changed")
        await expect(changed).to_have_count(2)
        await expect(changed.first.locator("dd")).to_contain_text(
            "60\u00a0°C changed here, configuration says 70\u00a0°C"
        )
        await expect(changed.last.locator("dd")).to_contain_text(
            "4500\u00a01/min changed here, configuration says off"
        )
        await changed.first.get_by_role("button", name="Back to configuration").click()
        await expect(changed).to_have_count(1)
        assert review.changed == {"max_rpm": 4500.0}
        await go(page, "why")
        await expect(page.get_by_label("Coolant at least this warm")).to_have_value("70")
        await expect(page.get_by_label("Engine speed at most")).to_have_value("4500")
        board.reading = live_reading(3.0, verdict="accepted")
        board.touch()
        await page.get_by_label("Coolant at least this warm").fill("50")
        await expect(page.locator("#what-if .moving")).to_be_visible()
        await expect(page.get_by_role("button", name="Use these limits")).to_be_hidden()


# ---- drives and setup


async def test_drives_are_left_out_named_taken_along_and_deleted(browser: Browser) -> None:
    shelf = FakeShelf()
    board = parked_board()
    app = create_app(board, version="1.2.3", review=FakeReview(board), sessions=shelf)
    async with serving(app) as url, opened(browser, url, "drives") as page:
        drives = page.locator("#drives .drives > li")
        await expect(drives).to_have_count(3)
        await expect(drives.first).to_contain_text("Drive 7")
        await expect(drives.first).to_contain_text("goes on now")
        await expect(drives.last.locator("b").first).to_have_text("to work")
        await expect(drives.last).to_contain_text("50 % of 43\u2009000 samples counted")
        await drives.last.get_by_label("Counts in the table").uncheck()
        await expect(page.locator("#drives .words").first).to_have_text(
            "2 of 3 count in the table.", timeout=8000
        )
        assert shelf.drives[0]["included"] is False
        await drives.nth(1).locator("summary").click()
        await drives.nth(1).get_by_label("Name of drive 6").fill("hills")
        await drives.nth(1).get_by_role("button", name="Save name").click()
        await expect(drives.nth(1).locator("b").first).to_have_text("hills")
        async with page.expect_download() as download:
            await drives.nth(1).get_by_role("link", name="Samples as CSV").click()
        assert (await download.value).suggested_filename == "lowmaf-session-6.csv"
        await hold(page, drives.nth(1).get_by_role("button", name="Hold to delete"))
        await expect(page.locator("#drives .outcome")).to_have_text("Drive 6 is deleted.")
        await expect(drives).to_have_count(2)


async def test_units_are_chosen_and_kept(browser: Browser) -> None:
    board = FakeBoard()
    reading = live_reading(2.41)
    board.reading = dataclasses.replace(reading, values={**reading.values, "lambda_": 0.98})
    board.set_status(nothing_accepted_s=40.0, nothing_accepted_because="coolant 61 °C, needs 70 °C")
    async with serving(app_over(board)) as url, opened(browser, url, "settings") as page:
        for unit in ("°F", "lb/min", "AFR"):
            await page.get_by_label(unit).check()
        await page.reload()
        await expect(page.get_by_label("AFR")).to_be_checked()
        await expect(page.locator("#health")).to_contain_text("143\u00a0°F")
        await go(page, "drive")
        await expect(page.locator('[data-channel="ect_c"] dd')).to_have_text("190 °F")
        await expect(page.locator('[data-channel="maf_gs"] dd')).to_have_text("3.67 lb/min")
        await expect(page.locator('[data-channel="lambda_"] dd')).to_have_text("14.4 AFR")
        await expect(page.locator("#link .why")).to_contain_text("coolant 142 °F, needs 158 °F")
        await go(page, "table")
        await expect(page.locator("#table .flow").nth(21)).to_contain_text("lb/min")


async def test_setup_says_source_filters_machine_and_what_the_link_went_through(browser: Browser) -> None:
    board = FakeBoard()
    history = (LinkEvent("waiting", "the adapter is unplugged", 400.0), LinkEvent("running", "answers", 90.0))
    board.set_status(
        link=dataclasses.replace(board.state.link, history=history, reconnects=2),
        storage={"database_bytes": 5_250_000, "samples_dropped": 3, "notices": []},
    )
    review = FakeReview(board)
    review.held_back = ["the supply voltage is too low now"]
    app = create_app(board, version="1.2.3", review=review, sessions=FakeShelf())
    async with serving(app) as url, opened(browser, url, "settings") as page:
        await expect(page.locator("#source")).to_contain_text("ssm-can")
        await expect(page.locator("#source .history li").first).to_contain_text(
            "answers · 1\u00a0min 30\u00a0s ago"
        )
        await expect(page.locator("#source .history li").last).to_contain_text("the adapter is unplugged")
        health = page.locator("#health")
        await expect(health.locator(".figure")).to_have_text("✓ Everything moves")
        await expect(health).to_contain_text("12.0\u00a0GB, about 3\u2009000\u00a0h of driving")
        await expect(health).to_contain_text("lowmaf 1.2.3, Python 3.13.5")
        await expect(health).to_contain_text("62\u00a0°C")
        await expect(health.locator(".warnings")).to_contain_text("the supply voltage is too low now")
        await expect(page.locator("#limits")).to_contain_text("Coolant at least this warm70\u00a0°C")
        await expect(page.locator("#limits")).to_contain_text("Engine speed at mostoff")
        await expect(page.get_by_label("Or paste the table that is in the ECU")).to_be_attached()
        board.set_status(healthy=False, unhealthy_because="the disk is full")
        await expect(health.locator(".figure")).to_have_text("▲ the disk is full")


async def test_hostile_names_are_shown_and_never_run(browser: Browser) -> None:
    hostile = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
    snapshot = dataclasses.replace(
        realistic_snapshot(), warnings=(DataWarning("x", hostile, blocks_flash=True),)
    )
    board = FakeBoard(dataclasses.replace(snapshot, table=dataclasses.replace(snapshot.table, name=hostile)))
    board.set_link("running", hostile)
    board.set_status(
        version=hostile,
        storage={"notices": [{"code": "x", "message": f"store: {hostile}"}]},
        nothing_accepted_s=99.0,
        nothing_accepted_because=hostile,
        link=dataclasses.replace(
            board.state.link, driver=hostile, history=(LinkEvent("waiting", hostile, 1.0),)
        ),
    )
    shelf = FakeShelf()
    shelf.drives[0]["name"] = hostile
    review = FakeReview(board)
    review.held_back = [hostile]
    app = create_app(board, version="1.2.3", review=review, sessions=shelf)
    places = {
        "drive": ("#link .words", "#link .why", "#warnings li.blocks"),
        "flash": ("#checks", "#flashed"),
        "drives": ("#drives .drives",),
        "settings": ("#source .facts", "#source .history", "#health .facts", "#health .warnings"),
    }
    async with serving(app) as url, opened(browser, url) as page:
        for view, selectors in places.items():
            await go(page, view)
            for selector in selectors:
                await expect(page.locator(selector)).to_contain_text(hostile)
            assert await page.locator('main img[src="x"], main script').count() == 0
            assert await too_wide(page) == [], view
        assert await page.evaluate("window.hacked") is None

"""The page on the real program: a simulated car, a replayed log of a real one, and restarts."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from browsing import OUTPUT, PHONE, go, launched_browser, opened, too_wide  # noqa: F401 - a fixture
from playwright.async_api import Browser, Page, expect
from timing import at_most

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

REPLAY = """
[vehicle]
maf_table = "{table}"

[source]
driver = "replay"
file = "{log}"
speed = 0.0

[storage]
database = "{database}"

[web]
port = 0
"""
ADDRESS = re.compile(rb"http://[0-9.:]+/?")


@contextlib.asynccontextmanager
async def lowmaf(*arguments: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The program in a process of its own; yields its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "daemon",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdout is not None
    drain: asyncio.Task[bytes] | None = None
    try:
        said = b""
        async with asyncio.timeout(60):
            while (found := ADDRESS.search(said)) is None:
                line = await process.stdout.readline()
                assert line, said.decode()
                said += line
        drain = asyncio.create_task(process.stdout.read())
        yield found[0].decode().rstrip("/") + "/", process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        if drain is not None:
            await drain


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


async def number_in(page: Page, place: str, pattern: str) -> int:
    text = await page.locator(place).inner_text()
    found = re.search(pattern, text)
    assert found, text
    return int(found[1].replace("\u2009", ""))


async def every_view_shows_what_was_learned(page: Page, name: str) -> None:
    """Goes through all views and asserts what each says of this car."""
    await expect(page.locator('[data-channel="maf_v"] b')).to_have_text(re.compile(r"^\d\.\d\d$"))
    await expect(page.locator("#progress .words")).to_have_text(re.compile(r"[1-9]\d* of \d+ cells measured"))
    assert await page.locator('main img[src="x"]').count() == 0
    assert await page.evaluate("window.hacked") is None
    assert await too_wide(page) == []
    await page.screenshot(path=OUTPUT / f"{name}-drive.png")
    await go(page, "table")
    measured = page.locator('#table tr[data-state="measured"] .volts a')
    await expect(measured.first).to_be_attached()
    await measured.nth(await measured.count() // 2).click()  # the outer ones may live on their neighbours
    await expect(page.locator("#cell .figure")).to_have_text(re.compile(r"[+−]?\d+\.\d\s%"))
    await expect(page.locator("#cell .history .estimate")).to_have_count(1)
    await expect(page.locator("#cell .samples li").first).to_be_visible(timeout=30_000)
    await go(page, "curve")
    await expect(page.locator("#curve .plot .estimate").first).to_be_attached()
    await expect(page.locator("#curve .plot .points")).to_have_attribute("d", re.compile(r"M.*M"))
    await expect(page.locator("#curve .words").last).to_contain_text("before (median)")
    await page.get_by_role("button", name="Slope").click()
    await expect(page.locator("#curve .plot .current")).to_have_count(1)
    await go(page, "why")
    await expect(page.locator("#what-if .figure")).to_contain_text("count,")
    kept = await number_in(page, "#what-if .words", r"of the newest ([\d\u2009]+) kept samples")
    assert kept > 100
    await page.get_by_label("Coolant at least this warm").fill("149")
    await expect(page.locator("#what-if .figure")).to_contain_text("0 would count")
    await expect(page.locator("#minutes rect").first).to_be_attached()
    await go(page, "flash")
    await expect(page.locator("#checks .passed", has_text="cells are ● measured")).to_have_count(1)
    await go(page, "drives")
    await expect(page.locator("#drives .drives > li").first).to_contain_text("samples counted")
    await go(page, "settings")
    await expect(page.locator("#source .facts")).to_contain_text("Driver")
    await expect(page.locator("#limits")).to_contain_text("Coolant at least this warm70\u00a0°C")
    await expect(page.locator("#health")).to_contain_text("GB, about")


async def test_every_view_of_a_simulated_car_and_a_restart_with_the_page_open(
    browser: Browser, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    port = free_port()
    arguments = ("demo", "--speed", "50", "--port", port, "--database", str(tmp_path / "demo.sqlite3"))
    async with contextlib.AsyncExitStack() as stack:
        async with lowmaf(*arguments) as (url, process):
            page = await stack.enter_async_context(opened(browser, url))
            await expect(page.locator("#link .word")).to_have_text("Learning")
            await expect(page.locator("#simulated")).to_be_visible()
            await expect(page.locator("#progress .words")).to_have_text(
                re.compile(r"^([5-9]|\d\d) of 54 cells measured"), timeout=30_000
            )
            await every_view_shows_what_was_learned(page, "simulated")
            await go(page, "drive")
            process.kill()  # as if the Pi had lost its power
            await process.wait()
        await expect(page.locator("#stale")).to_contain_text("Stale since")
        await expect(page.locator("#link .word")).to_have_text("No data")
        async with lowmaf(*arguments):
            up_s = loop.time()
            await expect(page.locator("#stale")).to_be_hidden()
            assert loop.time() - up_s < at_most(2.0)
            await expect(page.locator("#link .word")).to_have_text("Learning")
            await expect(page.locator("#progress .words")).to_have_text(re.compile(r"^([5-9]|\d\d) of 54"))


async def test_every_view_of_a_real_cars_log(browser: Browser, shared_logs: Path, tmp_path: Path) -> None:
    config = tmp_path / "lowmaf.toml"
    config.write_text(
        REPLAY.format(
            log=shared_logs / "jafner" / "tactrix_long_names.csv",
            table=shared_logs / "maf_tables" / "A2UG000N_stock_2007_LegacyGT_MT.csv",
            database=tmp_path / "kept.sqlite3",
        ),
        encoding="utf-8",
    )
    async with (
        lowmaf("run", "--config", str(config)) as (url, _),
        opened(browser, url, size=PHONE) as page,
    ):
        await expect(page.locator("#link .word")).to_have_text("Ended", timeout=40_000)
        await expect(page.locator("#simulated")).to_be_hidden()
        await expect(page.locator("#truth")).to_be_hidden()
        await every_view_shows_what_was_learned(page, "real")
        await expect(page.locator("#source .facts")).to_contain_text("replay")
        await go(page, "drives")
        await a_log_is_sent_and_looked_at(page, shared_logs / "cobb" / "accessport_cp1252.csv")
        await a_log_goes_in_and_out_of_the_table(page, shared_logs / "jafner" / "tactrix_long_names.csv")


async def a_log_is_sent_and_looked_at(page: Page, log: Path) -> None:
    outcome = page.locator("#uploads .outcome")
    await page.locator("#upload-file").set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no log at all\n"}
    )
    await expect(outcome).to_contain_text("notes.txt: ")
    await expect(page.locator("#uploads .drives > li")).to_have_count(0)
    hostile = '<img src=x onerror="window.hacked=1">.csv'
    await page.locator("#upload-file").set_input_files(
        {"name": hostile, "mimeType": "text/csv", "buffer": log.read_bytes()}
    )
    await expect(outcome).to_contain_text(f"{hostile} is here.", timeout=20_000)
    row = page.locator("#uploads .drives > li")
    await expect(row.locator("b")).to_have_text(hostile)
    await expect(row).to_contain_text("2.1\u00a0MB · cobb")
    await expect(row.locator(".result")).to_contain_text(
        re.compile(r"By itself: .* samples counted, \d+ of \d+ cells measured"), timeout=30_000
    )
    await expect(page.locator("#analyses")).to_be_hidden()
    await expect(row.locator(".state-words")).to_have_text("Not in the table")
    assert await page.locator('main img[src="x"]').count() == 0
    assert await page.evaluate("window.hacked") is None


async def a_log_goes_in_and_out_of_the_table(page: Page, log: Path) -> None:
    """The replayed log once more, under another name: it is in the table already, and not a second time."""
    await page.locator("#upload-file").set_input_files(
        {"name": "the same again.csv", "mimeType": "text/csv", "buffer": log.read_bytes()}
    )
    row = page.locator("#uploads .drives > li", has_text="the same again.csv")
    state = row.locator(".state-words")
    await expect(state).to_have_text("✓ In the table, as drive 1", timeout=20_000)
    await row.get_by_role("button", name="Take out again").click()
    await expect(row.locator(".outcome")).to_have_text(
        "Out of the table again, without a trace.", timeout=20_000
    )
    await expect(state).to_have_text("Not in the table")
    await expect(page.locator("#drives .words").first).to_have_text(
        "0 of 1 count in the table.", timeout=8000
    )
    other = log.read_bytes().rstrip().rpartition(b"\n")[0]
    await page.locator("#upload-file").set_input_files(
        {"name": "another.csv", "mimeType": "text/csv", "buffer": other}
    )
    row = page.locator("#uploads .drives > li", has_text="another.csv")
    await row.get_by_role("button", name="Add to the table").click(timeout=20_000)
    await expect(row.locator(".state-words")).to_have_text("✓ In the table, as drive 2", timeout=20_000)
    await expect(page.locator("#drives .words").first).to_have_text(
        "1 of 2 count in the table.", timeout=8000
    )
    await page.screenshot(path=OUTPUT / "real-drives.png", full_page=True)

"""The MAF table in a real Chromium at every kind of window: no column may be lost at any width."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from browsing import launched_browser, opened  # noqa: F401 - a fixture
from fake_driving import app_over
from fakes import FakeBoard, realistic_snapshot, serving
from playwright.async_api import Browser, expect

from lowmaf.snapshot import CellState, Snapshot

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

WIDTHS = (
    320,
    360,
    412,
    600,
    700,
    759,
    760,
    780,
    800,
    900,
    1000,
    1099,
    1100,
    1180,
    1280,
    1366,
    1440,
    1600,
    1920,
)

CUT_OFF = """() => {
    const scroller = document.querySelector("#table .scroller");
    const box = scroller.getBoundingClientRect();
    const problems = [];
    if (scroller.scrollWidth > scroller.clientWidth) {
        problems.push(`${scroller.scrollWidth} px of table in ${scroller.clientWidth} px`);
    }
    for (const node of scroller.querySelectorAll("tbody th, tbody td, tbody b, tbody span")) {
        if (node.matches(".change") && getComputedStyle(node).display === "none") {
            continue; // only shown where there is room: it is nearly the correction
        }
        const inside = node.getBoundingClientRect();
        if (inside.right > box.right + 0.5 || inside.left < box.left - 0.5) {
            problems.push(`${node.className}: ${node.textContent}`);
        }
        if (inside.width < 1 && node.textContent !== "") {
            problems.push(`${node.className} has no room`);
        }
    }
    for (const row of scroller.querySelectorAll("tbody tr")) {
        const boxes = [...row.querySelectorAll("th, td")].map((node) => node.getBoundingClientRect());
        const overlap = boxes.some((one, at) => boxes.slice(at + 1).some((other) =>
            one.left < other.right - 1 && other.left < one.right - 1 &&
            one.top < other.bottom - 1 && other.top < one.bottom - 1));
        if (overlap) {
            problems.push(`columns lie over each other: ${row.textContent}`);
        }
    }
    return problems;
}"""


def widest_snapshot() -> Snapshot:
    """Every cell as wide as cells get: large flows that move, wide intervals, years of samples."""
    snapshot = realistic_snapshot()
    cells = snapshot.table.cells
    flow_gs = np.linspace(300.11, 412.34, cells)
    return dataclasses.replace(
        snapshot,
        table=dataclasses.replace(snapshot.table, flow_gs=flow_gs),
        correction_pct=np.full(cells, -12.34),
        stderr_pct=np.full(cells, 6.3),
        hits=np.full(cells, 123_456),
        effective_hits=np.full(cells, 12_345.0),
        states=tuple([CellState.INTERPOLATED, CellState.MEASURED] * (cells // 2)),
        proposed_gs=flow_gs * 0.9,
    )


@pytest.mark.parametrize("snapshot", [realistic_snapshot(), widest_snapshot()], ids=["usual", "widest"])
async def test_no_column_is_lost_at_any_width(browser: Browser, snapshot: Snapshot) -> None:
    async with serving(app_over(FakeBoard(snapshot))) as url, opened(browser, url, "table") as page:
        await expect(page.locator("#table tbody tr")).to_have_count(54)
        found = {}
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            found[width] = await page.evaluate(CUT_OFF)
            if await page.evaluate("document.documentElement.scrollWidth") > width:
                found[width].append("the page is wider than the window")
        assert {width: problems[:3] for width, problems in found.items() if problems} == {}


async def test_a_wide_panel_has_columns_with_headings_and_a_narrow_one_blocks(
    browser: Browser,
) -> None:
    async with serving(app_over(FakeBoard())) as url, opened(browser, url, "table") as page:
        row = page.locator("#table tbody tr").first
        for width, display in ((360, "grid"), (800, "table-row"), (1100, "grid"), (1280, "table-row")):
            await page.set_viewport_size({"width": width, "height": 900})
            await expect(row).to_have_css("display", display)

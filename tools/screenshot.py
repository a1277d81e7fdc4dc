"""Takes the documentation's pictures from the real program: ``python tools/screenshot.py``, three minutes.

Starts ``lowmaf demo`` at twenty times real time, lets it learn, and photographs its page in a real
Chromium: docs/dashboard.png on a phone and on a desk, side by side, and each view on a phone in
docs/pictures.
"""

from __future__ import annotations

import argparse
import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

PROJECT = Path(__file__).resolve().parents[1]
DOCS = PROJECT / "docs"
PHONE = {"width": 390, "height": 980}
DESK = {"width": 1366, "height": 980}
VIEWS = {
    "drive": "Drive here next",
    "table": "MAF",
    "curve": "Correction",
    "why": "counted",
    "flash": "Copy",
    "drives": "Drives",
    "settings": "Source",
}
"""Views of the page, and a text that is there when they are."""
LONGEST = 1200
"""No picture of a view is higher than this, px: what is further down is more of the same."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTLE_MS = 1500
MARGIN_S = 60
"""The car drives this much longer than it is waited for, so that it still drives in the picture."""


@contextmanager
def demo(seconds: int) -> Iterator[str]:
    """``lowmaf demo`` on a free port; yields its address."""
    command = [sys.executable, "-m", "daemon", "demo", "--speed", "20", "--port", "0"]
    command += ["--seconds", str(seconds)]
    with subprocess.Popen(  # noqa: S603 - our own program, and no argument comes from outside
        command, cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if found := re.search(r"http://\S+", line):
                    yield found[0]
                    return
            raise SystemExit("the demonstration ended before it printed its address")
        finally:
            process.terminate()
            process.communicate()  # its last words, so that it does not end on a closed pipe


def photograph(browser: Browser, url: str, size: dict[str, int], scheme: str, drive_s: int) -> bytes:
    """The page as it looks after ``drive_s`` seconds, as PNG."""
    context = browser.new_context(viewport=size, color_scheme=scheme, device_scale_factor=2)
    page = context.new_page()
    page.goto(url)
    page.locator("#link .word", has_text="Learning").wait_for()
    page.wait_for_timeout(1000 * drive_s)
    picture = page.screenshot()
    context.close()
    return picture


def photograph_views(browser: Browser, url: str, folder: Path) -> None:
    """Every view on a phone, as far down as it goes, into ``folder``: small files, in the page's own size."""
    folder.mkdir(exist_ok=True)
    context = browser.new_context(viewport=PHONE, color_scheme="light")
    page = context.new_page()
    for view, text in VIEWS.items():
        page.goto(f"{url}#{view}")
        page.locator("#board").get_by_text(text).first.wait_for()
        page.wait_for_timeout(SETTLE_MS)
        height = min(page.evaluate("document.documentElement.scrollHeight"), LONGEST)
        page.set_viewport_size({"width": PHONE["width"], "height": max(height, PHONE["height"])})
        page.wait_for_timeout(SETTLE_MS)
        page.screenshot(path=folder / f"{view}.png")
        page.set_viewport_size(PHONE)
    context.close()


def side_by_side(browser: Browser, phone: bytes, desk: bytes) -> bytes:
    """Both pictures in one, composed by the browser itself."""
    page = browser.new_page(
        viewport={"width": PHONE["width"] + DESK["width"] + 72, "height": PHONE["height"] + 48}
    )
    images = "".join(
        f'<img width="{size["width"]}" src="data:image/png;base64,{base64.b64encode(picture).decode()}">'
        for picture, size in ((phone, PHONE), (desk, DESK))
    )
    style = "body{margin:0;padding:24px;display:flex;gap:24px;background:#c9d0d7}img{border-radius:14px}"
    page.set_content(f"<style>{style}</style>{images}")
    return page.screenshot()


def main() -> None:
    """Writes the picture."""
    parser = argparse.ArgumentParser(
        description="Take the documentation's pictures from a running demonstration."
    )
    parser.add_argument(
        "--drive-seconds", type=int, default=150, help="real time to learn before it is taken"
    )
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder that the pictures are written to")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium on this machine (sudo apt install chromium)")
    with sync_playwright() as playwright, demo(options.drive_seconds + MARGIN_S) as url:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        desk = photograph(browser, url, DESK, "light", options.drive_seconds)
        phone = photograph(browser, url, PHONE, "dark", 2)
        options.docs.mkdir(exist_ok=True)
        (options.docs / "dashboard.png").write_bytes(side_by_side(browser, phone, desk))
        photograph_views(browser, url, options.docs / "pictures")
        browser.close()
    print(f"wrote {options.docs / 'dashboard.png'} and {len(VIEWS)} views to {options.docs / 'pictures'}")


if __name__ == "__main__":
    main()

"""The dashboard's files, without a browser: nothing from elsewhere, no text run, colours that can be read."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from web.front import STATIC

SCRIPTS = sorted(STATIC.rglob("*.js"))
TEXTS = sorted(path for path in STATIC.rglob("*") if path.is_file() and path.suffix != ".png")


def short(path: Path) -> str:
    return str(path.relative_to(STATIC))


@pytest.mark.parametrize("path", TEXTS, ids=short)
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    text = text.replace("url(#", "")  # of the same page
    assert not re.search(r"https?:|//[a-z0-9-]+\.[a-z]|@import|url\(", text)


@pytest.mark.parametrize("path", SCRIPTS, ids=short)
def test_text_is_never_run_or_parsed_as_markup(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|AdjacentHTML|document\.write|\beval\b|new Function", text)


@pytest.mark.parametrize("path", SCRIPTS, ids=short)
def test_imports_lead_to_files(path: Path) -> None:
    for target in re.findall(r'(?:from |import\()"([^"]+)"', path.read_text(encoding="utf-8")):
        assert (path.parent / target).is_file(), target


@pytest.mark.parametrize("path", sorted((STATIC / "panels").glob("*.js")), ids=short)
def test_every_panel_is_built_rendered_and_stands_in_a_view(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(r"^export function build\(", text, re.MULTILINE)
    assert re.search(r"^export function render\(view", text, re.MULTILINE)
    views = (STATIC / "views.js").read_text(encoding="utf-8")
    assert f'"./panels/{path.name}"' in views


def needed_by(path: Path) -> set[Path]:
    """Modules that one imports, and those that they import; not what is fetched later."""
    found: set[Path] = set()
    for target in re.findall(r'from "([^"]+)"', path.read_text(encoding="utf-8")):
        module = (path.parent / target).resolve()
        found |= {module, *needed_by(module)}
    return found


def test_what_the_first_view_needs_is_asked_for_at_once() -> None:
    """A module that is only found in another costs the phone one more way to the Pi and back."""
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    modules = {short(path) for path in needed_by(STATIC / "app.js")}
    assert set(re.findall(r'rel="modulepreload" href="/static/([\w/]+\.js)"', page)) == modules
    assert len(modules) <= 20


def test_every_sheet_is_loaded() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    sheets = {path.name for path in STATIC.glob("*.css")}
    assert set(re.findall(r'href="/static/(\w+\.css)"', page)) == sheets


@pytest.mark.parametrize("path", SCRIPTS, ids=short)
def test_scripts_stay_small_enough_to_be_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_page_has_no_inline_script_or_style() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == ["", ""]


def test_page_is_light_enough_for_a_hotspot() -> None:
    packed = sum(len(gzip.compress(path.read_bytes())) for path in TEXTS)
    assert packed <= 100_000


# ---- colours


def themes() -> dict[str, dict[str, str]]:
    """Theme → variable → value; dark and sun override light."""
    css = (STATIC / "theme.css").read_text(encoding="utf-8")
    blocks = re.findall(r'^:root(?:\[data-theme="(\w+)"\])? \{(.*?)^\}', css, re.DOTALL | re.MULTILINE)
    found = {name or "light": dict(re.findall(r"--([\w-]+): (#\w+);", body)) for name, body in blocks}
    return {name: {**found["light"], **colours} for name, colours in found.items()}


def luminance(colour: str) -> float:
    """Relative luminance of sRGB (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark", "sun"])
@pytest.mark.parametrize("ground", ["panel", "ground", "now"])
@pytest.mark.parametrize("text", ["ink", "soft", "good", "wait", "bad"])
def test_text_can_be_read_in_every_theme(theme: str, ground: str, text: str) -> None:
    colours = themes()[theme]
    assert contrast(colours[text], colours[ground]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark", "sun"])
@pytest.mark.parametrize("mark", ["estimate", "truth", "now-edge", "plus", "minus", "hits"])
def test_marks_can_be_seen_in_every_theme(theme: str, mark: str) -> None:
    colours = themes()[theme]
    assert contrast(colours[mark], colours["panel"]) >= 3.0

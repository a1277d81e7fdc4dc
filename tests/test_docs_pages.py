"""What the documentation names is there, and what it shows works."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import log_samples
import pytest

from daemon.cli import COMMANDS, parser_with
from daemon.config.check import check_config
from lowmaf.filters import Filters
from lowmaf.settings import CurveSettings

PAGES_OF_THE_ROOT = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
PICTURE_BYTES = 120_000
PAIR = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STANDS_FOR = {"ID": "1", "SHELL": "bash"}
"""Words in capitals that are no text, and one of what they stand for."""
LANGUAGES = {"toml", "sh", "python", "csv", "text", "sql", "", "ini", "json"}

PROJECT = Path(__file__).resolve().parents[1]
PAGES = sorted(path.relative_to(PROJECT).as_posix() for path in (PROJECT / "docs").rglob("*.md"))


def text_of(page: str) -> str:
    return (PROJECT / page).read_text(encoding="utf-8")


def blocks(language: str) -> list[tuple[str, str]]:
    """Page and content of every block in this language."""
    return [
        (page, content)
        for page in PAGES
        for found, content in BLOCK.findall(text_of(page))
        if found == language
    ]


def anchors(page: Path) -> set[str]:
    """Names of the headings, as forges make them."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.replace("`", "").lower()).strip() for title in titles)
    return {title.replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", [*PAGES, *PAGES_OF_THE_ROOT])
def test_every_link_leads_somewhere(page: str) -> None:
    place = PROJECT / page
    for target in PAIR.findall(BLOCK.sub("", text_of(page))):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (place.parent / path).resolve() if path else place
        assert file.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{page}: {target}"


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set(), ["docs/README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in PAIR.findall(text_of(page)):
            path = (PROJECT / page).parent.joinpath(target.partition("#")[0]).resolve()
            if path.suffix == ".md" and path.is_relative_to(PROJECT / "docs"):
                waiting.append(path.relative_to(PROJECT).as_posix())
    assert set(PAGES) - reached == set()


def test_pictures_are_small_and_all_of_them_are_shown() -> None:
    shown = {Path(target).name for page in PAGES for target in PAIR.findall(text_of(page))}
    pictures = list((PROJECT / "docs" / "pictures").iterdir())
    assert len(pictures) >= 5
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG"), picture.name
        assert picture.stat().st_size <= PICTURE_BYTES, f"{picture.name}: {picture.stat().st_size} bytes"
        assert picture.name in shown, f"{picture.name} is shown nowhere"


def test_every_block_says_what_it_is_in() -> None:
    for page in PAGES:
        text = text_of(page)
        assert text.count("\n```") % 2 == 0, page
        assert {language for language, _ in BLOCK.findall(text)} <= LANGUAGES, page


@pytest.fixture
def folder(tmp_path: Path, project: Path) -> Path:
    """A folder with every file that the snippets name."""
    (tmp_path / "stock.csv").write_text("V,g/s\n0.9,1.5\n2.0,12\n3.0,60\n4.9,300\n", encoding="utf-8")
    (tmp_path / "drive.csv").write_bytes(log_samples.romraider())
    shutil.copy(project / "tests" / "recordings" / "broadcast.dbc", tmp_path / "car.dbc")
    (tmp_path / "logger.xml").write_text(
        '<logger><protocols><protocol id="SSM"><parameters/></protocol></protocols></logger>',
        encoding="utf-8",
    )
    return tmp_path


def make_certificate(folder: Path) -> None:
    """By the very line of the page, in this folder and without what needs the service."""
    (line,) = re.findall(
        r"^sudo (openssl .*?[^\\])$", text_of("docs/how-to/https.md"), re.MULTILINE | re.DOTALL
    )
    words = shlex.split(line.replace("\\\n", " ").replace("/etc/lowmaf/", f"{folder}/"))
    subprocess.run(words, capture_output=True, check=True, timeout=30)


@pytest.mark.parametrize(
    ("page", "snippet"),
    [pytest.param(*block, id=f"{block[0]}-{n}") for n, block in enumerate(blocks("toml"))],
)
def test_a_configuration_is_one(page: str, snippet: str, folder: Path) -> None:
    assert tomllib.loads(snippet), page
    if "tls_certificate" in snippet:
        if shutil.which("openssl") is None:
            pytest.skip("no openssl here, which makes the certificate")
        make_certificate(folder)
    path = folder / "lowmaf.toml"
    path.write_text(snippet, encoding="utf-8")
    check_config(path, {})


def commands() -> Iterator[tuple[str, list[str]]]:
    """Page and words of every command line of lowmaf, in blocks and in the midst of a sentence."""
    for page in [*PAGES, "README.md"]:
        text = text_of(page)
        if page.startswith("docs/reference/"):
            continue
        shells = [content for language, content in BLOCK.findall(text) if language == "sh"]
        lines = [line for content in shells for line in content.replace("\\\n", " ").split("\n")]
        lines += [line.strip() for line in re.findall(r"^    (?:sudo )?lowmaf .*$", text, re.MULTILINE)]
        lines += re.findall(r"`((?:sudo )?lowmaf [^`]+)`", text)
        for line in lines:
            words = shlex.split(line.replace("…", ""), comments=True)
            if "lowmaf" in words[:2] and words[-1] != "lowmaf":
                yield page, words[words.index("lowmaf") + 1 :]


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    return parser_with(COMMANDS)


@pytest.mark.parametrize(
    ("page", "words"), [pytest.param(*one, id=f"{one[0]}-{n}") for n, one in enumerate(commands())]
)
def test_a_command_is_one(
    page: str, words: list[str], parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the parser reads it; a bare name of a command needs no arguments."""
    if words[0] == "COMMAND" or "|" in " ".join(words):
        assert set(words) <= {"COMMAND", "--help"} or words[0] in COMMANDS
        return
    meant = [STANDS_FOR.get(word, word) for word in words]
    incomplete = len(meant) == 1 or (meant[0] in ("sessions", "token") and len(meant) == 2)
    status = 0
    try:
        parser.parse_args(meant)
    except SystemExit as ended:
        status = int(ended.code or 0)
    said = capsys.readouterr().err
    missing = incomplete and ("are required" in said or "is needed" in said)
    assert status == 0 or missing, f"{page}: lowmaf {shlex.join(words)}: {said}"


def test_every_target_of_make_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+)(?: [a-z-]+)*:", text_of("Makefile"), re.MULTILINE))
    targets |= {
        word
        for line in re.findall(r"^\.PHONY: (.*)$", text_of("Makefile"), re.MULTILINE)
        for word in line.split()
    }
    named = {
        (page, target)
        for page in [*PAGES, *PAGES_OF_THE_ROOT]
        for target in re.findall(r"(?:`|\n|    |sudo )make ([a-z-]+)", text_of(page))
    }
    assert {(page, target) for page, target in named if target not in targets} == set()


def test_shell_lines_are_whole() -> None:
    """A shell reads every block without running it."""
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    for page, content in blocks("sh"):
        done = subprocess.run(["bash", "-n"], input=content, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{page}: {done.stderr}"


def test_programs_can_be_read() -> None:
    for page, content in blocks("python"):
        compile(content, page, "exec")


def test_routes_that_are_named_are_there() -> None:
    there = set(re.findall(r"`[A-Z]+ (/[^`]*)`", text_of("docs/reference/http.md"))) | {"/"}
    known = [re.compile(re.sub(r"\\\{\w+\\\}", "[^/?]+", re.escape(route)) + "/?") for route in there]
    for page in [page for page in PAGES if not page.startswith("docs/reference/")]:
        for route in re.findall(r"(/(?:api/|metrics\b(?!\.)|healthz)[^\s`'\"?)]*)", text_of(page)):
            assert any(pattern.fullmatch(route.rstrip(".,:")) for pattern in known), f"{page}: {route}"


def test_settings_are_named_with_their_defaults() -> None:
    text = text_of("docs/explanation/estimator.md")
    defaults = {spec.name: spec.default for kind in (CurveSettings, Filters) for spec in fields(kind)}
    named = re.findall(r"`(\w+_\w+)`(?: (-?\d+(?:\.\d+)?)\b)?", text)
    assert len({name for name, value in named if value}) >= 20
    for name, value in named:
        assert name in defaults, name
        assert not value or float(value) == defaults[name], f"{name} is {defaults[name]}, not {value}"

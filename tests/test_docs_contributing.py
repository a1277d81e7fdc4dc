"""CONTRIBUTING names files, names and commands that there are."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

MADE_BY_THE_READER = re.compile(r"NAME|THE\.csv")
FILE = re.compile(r"[\w./-]+\.(?:py|js|toml|json|md|html)")


@pytest.fixture(scope="module")
def text(project: Path) -> str:
    return (project / "CONTRIBUTING.md").read_text(encoding="utf-8")


def quoted(text: str) -> list[str]:
    return [words for words in re.findall(r"`([^`\n]+)`", text) if not MADE_BY_THE_READER.search(words)]


def test_every_file_is_there(project: Path, text: str) -> None:
    folders = [project, project / "web" / "static"]
    files = [words for words in quoted(text) if FILE.fullmatch(words)]
    assert len(files) > 20
    missing = [
        name
        for name in files
        if not any((folder / part / name).exists() for folder in folders for part in ("", "panels"))
    ]
    assert missing == []


def test_every_name_of_the_code_is_there(project: Path, text: str) -> None:
    known = set()
    for room in ("daemon", "drivers", "lowmaf", "web", "tests"):
        for module in (project / room).rglob("*.py"):
            source = module.read_text(encoding="utf-8")
            known |= set(re.findall(r"\w+", source))
    for module in (project / "web" / "static").rglob("*.js"):
        known |= set(re.findall(r"\w+", module.read_text(encoding="utf-8")))
    for words in quoted(text):
        if re.fullmatch(r"[A-Za-z_.]+(\([\w, ]*\))?", words) and not FILE.fullmatch(words):
            assert set(re.findall(r"\w+", words)) <= known, words


def test_its_commands_work(project: Path, text: str) -> None:
    """Those that change nothing; others name files that the test before has looked for."""
    commands = [line.strip() for line in text.splitlines() if line.startswith("       .venv/bin/python -c")]
    assert commands
    for command in commands:
        words = shlex.split(command)
        ast.parse(words[2])
        done = subprocess.run(
            [sys.executable, *words[1:]], cwd=project, capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout.strip() == "kurzzeit-korrektur"

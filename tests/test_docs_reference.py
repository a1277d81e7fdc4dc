"""The reference is what the code says, and says all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daemon.cli import COMMANDS
from daemon.config.config import section_keys
from daemon.config.sections import SECTIONS
from drivers.registry import DRIVERS, SECOND_SOURCES
from lowmaf.samples import CHANNELS
from lowmaf.verdicts import Verdict

SAMPLE_ROUTES = ("GET /api/v1/table", "PUT /api/v1/maf-table", "POST /api/v1/ingest", "POST /api/analyze/0/")


@pytest.fixture(scope="module")
def made(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference as the code makes it now."""
    folder = tmp_path_factory.mktemp("reference")
    command = [sys.executable, "-m", "tools.reference", "--output", str(folder)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_it_was_made_from_this_code(project: Path, made: Path) -> None:
    kept = project / "docs" / "reference"
    assert {path.name for path in kept.iterdir()} == {path.name for path in made.iterdir()}
    differing = [
        path.name
        for path in made.iterdir()
        if path.read_text(encoding="utf-8") != (kept / path.name).read_text(encoding="utf-8")
    ]
    assert differing == [], "make docs writes them anew"


def test_nothing_is_left_out(made: Path) -> None:
    """Every name that a person may have to look up has a row of its own."""
    keys = [f"| `{key}` |" for kind in SECTIONS.values() for key in section_keys(kind)]
    wanted = {
        "configuration.md": [*keys, *(f"## `[{name}]`" for name in SECTIONS)],
        "drivers.md": [f"## `{name}`" for name in (*DRIVERS, *SECOND_SOURCES)],
        "samples.md": [f"| `{name}` |" for name in (*CHANNELS, *(verdict.label for verdict in Verdict))],
        "commands.md": [f"## lowmaf {name}" for name in COMMANDS],
        "http.md": [f"| `{route}` |" for route in SAMPLE_ROUTES],
        "metrics.md": ["| `lowmaf_samples_total` |"],
        "database.md": ["## `sessions`", "## `sample_chunks`"],
        "warnings.md": ["| `air_leak_suspected` |", "| `trims_at_own_limit` |"],
        "log-columns.md": ["| `maf_v` |", "| `time` |"],
    }
    assert set(wanted) == {path.name for path in made.iterdir()}
    for name, words in wanted.items():
        page = made.joinpath(name).read_text(encoding="utf-8")
        assert [word for word in words if word not in page] == [], name


def test_every_key_and_option_says_what_it_means(made: Path) -> None:
    for name in ("configuration.md", "drivers.md", "commands.md", "samples.md", "metrics.md"):
        for line in made.joinpath(name).read_text(encoding="utf-8").splitlines():
            cells = [cell.strip() for cell in line.replace("\\|", "/").split("|")[1:-1]]
            if cells and cells[0].startswith("`"):
                assert any(len(cell.split()) > 1 for cell in cells[1:]) or cells[-1], f"{name}: {line}"

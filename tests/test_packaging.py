"""What is installed is ours, complete, licensed, locked and light."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOMS = ("daemon", "drivers", "lowmaf", "web")
HEAVY = {"matplotlib", "numba", "pandas", "polars", "pyarrow", "scipy"}
"""Each costs the daemon 140 to 400 ms at its start and 37 to 92 MB."""

ARM = "_aarch64"
UNREACHABLE = ("Failed to establish a new connection", "Temporary failure in name resolution", "timed out")


@pytest.fixture(scope="session")
def pyproject(project: Path) -> dict[str, Any]:
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def wheel(project: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """The wheel that this checkout makes."""
    copy, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for room in ROOMS:
        shutil.copytree(project / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(project / "systemd", copy / "systemd")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICES.md", "config.example.toml"):
        shutil.copy(project / name, copy)
    program = f"from setuptools.build_meta import build_wheel; build_wheel({str(made)!r})"
    built = subprocess.run(
        [sys.executable, "-c", program], cwd=copy, capture_output=True, text=True, timeout=120, check=False
    )
    assert built.returncode == 0, built.stderr
    (path,) = made.glob("lowmaf-*.whl")
    return zipfile.Path(path)


def packages_of(project: Path) -> set[str]:
    """Every folder of ours with Python files in it, as a package name."""
    return {
        ".".join(module.parent.relative_to(project).parts)
        for room in ROOMS
        for module in (project / room).rglob("*.py")
    }


def test_nobody_else_owns_our_names(project: Path) -> None:
    """python-daemon or web.py in the same environment would have overwritten our files."""
    owners = importlib.metadata.packages_distributions()
    for room in ROOMS:
        assert set(owners.get(room, [])) <= {"lowmaf"}, (
            f"install lowmaf in an environment of its own ({room})"
        )
        located = importlib.import_module(room).__file__
        assert located is not None
        assert Path(located) == project / room / "__init__.py"


def test_every_package_is_listed(project: Path, pyproject: dict[str, Any]) -> None:
    assert set(pyproject["tool"]["setuptools"]["packages"]) == packages_of(project)
    for package in packages_of(project):
        assert (project / package.replace(".", "/") / "__init__.py").exists(), package


def test_the_wheel_holds_every_module_and_every_file_of_the_page(project: Path, wheel: zipfile.Path) -> None:
    inside = set(wheel.root.namelist())
    wanted = {
        str(path.relative_to(project))
        for room in ROOMS
        for path in (project / room).rglob("*")
        if path.suffix == ".py" or "static" in path.parts
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert any(name.startswith("web/static/") for name in wanted)
    assert wanted - inside == set()
    outside_our_rooms = {
        name for name in inside if name.split("/")[0] not in ROOMS and ".dist-info/" not in name
    }
    beside = {name.partition(".data/data/")[2] for name in outside_our_rooms if not name.endswith("/")}
    assert beside == {"share/lowmaf/config.example.toml"} | {
        f"share/lowmaf/systemd/{path.name}"
        for path in (project / "systemd").iterdir()
        if path.suffix != ".sh"
    }


def test_the_wheel_carries_licence_notices_and_the_command(wheel: zipfile.Path) -> None:
    names = wheel.root.namelist()
    for wanted in ("licenses/LICENSE", "licenses/NOTICES.md", "entry_points.txt"):
        assert any(name.endswith(wanted) for name in names), wanted
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "lowmaf = daemon.cli:main" in wheel.root.read(entry_points).decode()


@pytest.mark.long
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_every_locked_package_is_a_wheel_for_64_bit_arm(project: Path, tmp_path: Path, python: str) -> None:
    """What a Raspberry Pi would install, resolved and checked against its hashes; nothing is installed."""
    platforms = [f"--platform=manylinux{glibc}_aarch64" for glibc in ("_2_17", "2014", "_2_28", "_2_34")]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet",
         "--require-hashes", "--only-binary=:all:", *platforms, f"--python-version={python}",
         f"--target={tmp_path}", f"--report={tmp_path}/report.json",
         f"--requirement={project}/requirements.lock"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode != 0 and any(words in done.stderr for words in UNREACHABLE):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    wheels = [Path(each["download_info"]["url"]).name for each in report["install"]]
    assert any(name.startswith("numpy-") and "aarch64" in name for name in wheels)
    assert [name for name in wheels if not name.endswith((f"{ARM}.whl", "-none-any.whl"))] == []


def test_the_version_is_written_in_one_place(project: Path, pyproject: dict[str, Any]) -> None:
    version = re.escape(pyproject["project"]["version"])
    assert importlib.metadata.version("lowmaf") == pyproject["project"]["version"]
    written = [
        str(path.relative_to(project))
        for room in ROOMS
        for path in (project / room).rglob("*.py")
        if re.search(rf"""["']{version}["']""", path.read_text(encoding="utf-8"))
    ]
    assert written == []


def test_every_dependency_is_noticed_with_its_licence(project: Path, pyproject: dict[str, Any]) -> None:
    notices = (project / "NOTICES.md").read_text(encoding="utf-8")
    extras = pyproject["project"]["optional-dependencies"].values()
    for requirement in [*pyproject["project"]["dependencies"], *itertools.chain(*extras)]:
        name = re.split(r"[^a-z0-9-]", requirement)[0]
        assert f"| {name} |" in notices, f"NOTICES.md does not name {name}"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "requirements-audit.lock"])
def test_locks_pin_by_hash_cover_what_is_needed_and_name_no_registry(
    project: Path, pyproject: dict[str, Any], lock: str
) -> None:
    text = (project / lock).read_text(encoding="utf-8")
    requirements = re.split(r"\n(?=\S)", text.strip())
    for requirement in requirements:
        assert re.match(r"[a-z0-9.-]+==[0-9][\w.]*( ;[^\\]*)? \\\n", requirement), requirement
        assert "--hash=sha256:" in requirement
    assert not re.search(r"://|^--(extra-)?index|^--find-links|^/|file:", text, re.MULTILINE)
    pinned = {requirement.partition("==")[0] for requirement in requirements}
    groups = pyproject["dependency-groups"]
    wanted = [*pyproject["project"]["dependencies"], *groups["build"]]
    if lock == "requirements-audit.lock":
        wanted = groups["audit"]
    if lock == "requirements-dev.lock":
        wanted += [requirement for requirement in groups["dev"] if isinstance(requirement, str)]
    missing = {re.split(r"[^a-z0-9-]", requirement)[0] for requirement in wanted} - pinned
    assert missing == set(), "run: make lock"


def test_both_locks_agree(project: Path) -> None:
    def pins(lock: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (project / lock).read_text(encoding="utf-8"), re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("exit 1", "lowmaf needs Python 3.11 or newer, and none of these is: "),
        ('case "$*" in *ensurepip*) exit 1;; esac', "sudo apt install python3-venv"),
    ],
)
def test_make_says_what_is_missing(project: Path, tmp_path: Path, python: str, words: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make here")
    fake = tmp_path / "python3"
    fake.write_text(f"#!/bin/sh\n{python}\n")
    fake.chmod(0o755)
    ended = subprocess.run(
        ["make", "run", f"PYTHON={fake}", f"VENV={tmp_path}/venv"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "venv").exists()


def test_continuous_integration_runs_what_a_person_runs(project: Path) -> None:
    script = project / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text(encoding="utf-8")


def test_the_daemon_is_light() -> None:
    """What it imports to run on the simulated car, in a fresh process."""
    program = (
        "import json, sys\n"
        "import daemon.live.hub, daemon.store.store, daemon.commands.run, daemon.commands.demo, web.app\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(json.loads(ended.stdout)) & HEAVY == set()

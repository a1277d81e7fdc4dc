"""``make install`` and ``make uninstall`` in a folder instead of a machine: every file, and what stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from daemon.config.config import load_config

LIB = "usr/local/lib"
FILES = {
    "etc/lowmaf/lowmaf.toml",
    f"{LIB}/systemd/system/lowmaf.service",
    f"{LIB}/sysusers.d/lowmaf.conf",
    f"{LIB}/tmpfiles.d/lowmaf.conf",
    f"{LIB}/udev/rules.d/60-lowmaf.rules",
    f"{LIB}/systemd/network/80-lowmaf-can0.network",
    "usr/local/bin/lowmaf",
    "usr/local/share/man/man1/lowmaf.1",
    "usr/local/share/bash-completion/completions/lowmaf",
    "usr/local/share/zsh/site-functions/_lowmaf",
    "usr/local/share/fish/vendor_completions.d/lowmaf.fish",
}
UNREACHABLE = ("Failed to establish a new connection", "Temporary failure in name resolution", "timed out")


def make(project: Path, target: str, root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("no make here")
    return subprocess.run(
        ["make", "--no-print-directory", target, f"DESTDIR={root}", f"PYTHON={sys.executable}"],
        cwd=project, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PIP_NO_CACHE_DIR": "0", **variables},
    )  # fmt: skip


@pytest.fixture(scope="module")
def installed(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    before = {path.name for path in project.iterdir()}
    done = make(project, "install", root)
    if done.returncode != 0 and any(words in done.stderr for words in UNREACHABLE):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    assert "sudo systemctl enable --now lowmaf" in done.stdout
    assert {path.name for path in project.iterdir()} <= before, "something was left in the checkout"
    return root


def outside_the_program(root: Path) -> set[str]:
    paths = (path.relative_to(root) for path in root.rglob("*") if path.is_symlink() or path.is_file())
    return {str(path) for path in paths if path.parts[:2] != ("opt", "lowmaf")}


def test_every_file_is_in_its_place_and_nothing_else(installed: Path, project: Path) -> None:
    assert outside_the_program(installed) == FILES
    for name in FILES:
        if (ours := project / "systemd" / Path(name).name).exists():
            assert (installed / name).read_bytes() == ours.read_bytes()
        if "/share/" in name:
            assert b"lowmaf" in (installed / name).read_bytes()
        if "bin" not in Path(name).parts and name != "etc/lowmaf/lowmaf.toml":
            assert (installed / name).stat().st_mode & 0o777 == 0o644, name
    assert (installed / "usr/local/bin/lowmaf").readlink() == Path("/opt/lowmaf/bin/lowmaf")
    assert sorted(path.name for path in (installed / "opt").iterdir()) == ["lowmaf"]


def test_the_unit_starts_what_was_installed(installed: Path) -> None:
    unit = (installed / f"{LIB}/systemd/system/lowmaf.service").read_text(encoding="utf-8")
    (start,) = (line for line in unit.splitlines() if line.startswith("ExecStart="))
    program, command, option, config = start.removeprefix("ExecStart=").split()
    assert (command, option) == ("run", "--config")
    assert (installed / program.lstrip("/")).stat().st_mode & 0o111
    assert (installed / config.lstrip("/")).is_file()


def test_the_program_runs_and_names_the_folder_it_will_run_from(installed: Path) -> None:
    bin_folder = installed / "opt/lowmaf/bin"
    assert (bin_folder / "lowmaf").read_text(encoding="utf-8").startswith("#!/opt/lowmaf/bin/python\n")
    told = subprocess.run(
        [bin_folder / "python", "-P", "-m", "daemon", "--version"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert told.stdout.startswith("lowmaf "), told.stderr
    named = [
        path.name
        for path in bin_folder.iterdir()
        if path.is_file() and not path.is_symlink() and str(installed).encode() in path.read_bytes()
    ]
    assert named == []


def test_the_configuration_is_the_example_with_the_services_places(installed: Path, project: Path) -> None:
    path = installed / "etc/lowmaf/lowmaf.toml"
    assert path.stat().st_mode & 0o777 == 0o640
    config = load_config(path, {})
    assert config.storage.database == Path("/var/lib/lowmaf/lowmaf.sqlite3")
    assert config.web.host == "0.0.0.0"
    example = tomllib.loads((project / "config.example.toml").read_text(encoding="utf-8"))
    written = tomllib.loads(path.read_text(encoding="utf-8"))
    written["storage"]["database"] = example["storage"]["database"]
    written["web"]["host"] = example["web"]["host"]
    assert written == example


@pytest.fixture
def own(installed: Path, tmp_path: Path) -> Path:
    """A copy to change: every file but the program's library."""
    for name in (*FILES, "opt/lowmaf/bin/lowmaf"):
        copy = tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(installed / name, copy, follow_symlinks=False)
    return tmp_path


def test_an_upgrade_that_fails_leaves_everything_as_it_was(own: Path, project: Path) -> None:
    config, program = own / "etc/lowmaf/lowmaf.toml", own / "opt/lowmaf/bin/lowmaf"
    config.write_text(config.read_text(encoding="utf-8") + "# mine\n")
    before = program.stat().st_ino
    nothing = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(own / "nowhere"), "PIP_CONFIG_FILE": os.devnull}
    assert make(project, "install", own, **nothing).returncode != 0
    assert program.stat().st_ino == before
    assert sorted(path.name for path in (own / "opt").iterdir()) == ["lowmaf"]
    assert config.read_text(encoding="utf-8").endswith("# mine\n")


def test_uninstall_leaves_data_unless_asked(own: Path, project: Path) -> None:
    data = own / "var/lib/lowmaf/lowmaf.sqlite3"
    data.parent.mkdir(parents=True)
    data.write_bytes(b"what was learned")
    done = make(project, "uninstall", own)
    assert done.returncode == 0, done.stderr
    assert outside_the_program(own) == {"etc/lowmaf/lowmaf.toml", "var/lib/lowmaf/lowmaf.sqlite3"}
    assert not (own / "opt/lowmaf").exists()
    assert make(project, "uninstall", own).returncode == 0, "a second time is no error"
    assert make(project, "uninstall", own, PURGE="1").returncode == 0
    assert outside_the_program(own) == set()


def test_a_python_that_cannot_do_it_is_named(project: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        [project / "systemd/install.sh", "install"], capture_output=True, text=True, timeout=30, check=False,
        env={"PATH": os.environ["PATH"], "DESTDIR": str(tmp_path / "root"), "PYTHON": str(old)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "lowmaf needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / "root").exists()

"""A Debian that is really booted, in a container, so that a real systemd starts and watches the service.

Needs root, debootstrap and systemd-nspawn. The Debian is made once (about 300 MB, one to two minutes)
in :data:`CACHE` and copied for each use; the container has no network.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SUITE = "trixie"
CACHE = Path("/var/tmp/lowmaf-tests")
MIRROR = "http://deb.debian.org/debian"
PACKAGES = "systemd,systemd-sysv,udev,dbus,make,python3,python3-venv"
PYTHON_VERSION = "3.13"
"""Of the suite."""

PROGRAMS = ("debootstrap", "systemd-nspawn", "unshare", "nsenter")
NAMESPACES = ("-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w")
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

UP = ("running\n", "degraded\n")

BOOT = """
mount -t tmpfs tmpfs /run
umount --recursive --lazy /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec systemd-nspawn --quiet --boot --directory="$1" --private-network --resolv-conf=off \\
    --register=no --keep-unit --console=pipe --link-journal=no
"""
"""In mount and control group namespaces of its own: nothing of this machine is touched."""


def until(wanted: Callable[[], bool], limit_s: float) -> float:
    """Seconds until ``wanted`` holds; the limit only ends a test that has failed."""
    began_s = time.monotonic()
    while not wanted():
        assert time.monotonic() - began_s < limit_s, f"not within {limit_s} s"
        time.sleep(0.05)
    return time.monotonic() - began_s


class Machine:
    """A booted Debian. ``root`` is its file tree, ``init`` the process that is number 1 in it."""

    def __init__(self, root: Path, init: int) -> None:
        self.root = root
        self._enter = ["nsenter", f"--target={init}", *NAMESPACES]

    def ask(
        self, *command: str, limit_s: float = 120.0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the machine as root."""
        environment = [f"{name}={value}" for name, value in (ENVIRONMENT | variables).items()]
        return subprocess.run(
            [*self._enter, "env", "-i", *environment, *command],
            capture_output=True, text=True, timeout=limit_s, check=False,
        )  # fmt: skip

    def run(self, *command: str, limit_s: float = 120.0, **variables: str) -> str:
        """Like :meth:`ask`, for a command that must succeed; what it printed."""
        done = self.ask(*command, limit_s=limit_s, **variables)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def show(self, unit: str) -> dict[str, str]:
        """What systemd knows of a unit."""
        lines = self.run("systemctl", "show", unit).splitlines()
        return dict(line.split("=", 1) for line in lines)


@contextmanager
def booted() -> Iterator[Machine]:
    """A fresh copy of the Debian, running until the block ends; skips where this machine cannot."""
    made = debian()
    with tempfile.TemporaryDirectory(prefix="machine-", dir=CACHE) as folder:
        root = Path(folder) / "root"
        subprocess.run(["cp", "-a", "--reflink=auto", made, root], check=True, timeout=300)
        container = subprocess.Popen(
            ["unshare", "--mount", "--cgroup", "sh", "-euc", BOOT, "sh", root],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        init = 0
        try:
            init = _init_of(container)
            machine = Machine(root, init)
            until(lambda: machine.ask("systemctl", "is-system-running").stdout in UP, 120.0)
            yield machine
        finally:
            if init:
                os.kill(init, signal.SIGKILL)  # takes every process of the container along; nspawn then ends
            else:
                container.kill()
            container.communicate(timeout=60)


def debian() -> Path:
    """The Debian's file tree, made where there is none yet; skips where this machine cannot."""
    if os.geteuid() != 0:
        pytest.skip("only root can boot a container (sudo make test-long)")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here (sudo apt install debootstrap systemd-container)")
    CACHE.mkdir(mode=0o700, exist_ok=True)
    if CACHE.is_symlink() or CACHE.stat().st_uid != 0:
        pytest.skip(f"{CACHE} belongs to somebody else")
    made = CACHE / f"debian-{SUITE}"
    if not made.exists():
        part = CACHE / f"debian-{SUITE}.part"
        shutil.rmtree(part, ignore_errors=True)
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, part, MIRROR],
            capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            pytest.skip(f"debootstrap made no Debian: {last_line(done.stdout + done.stderr)}")
        part.rename(made)
    return made


def _init_of(container: subprocess.Popen[str]) -> int:
    """The container's first process: unshare and the shell became nspawn, and that has one child."""
    children = Path(f"/proc/{container.pid}/task/{container.pid}/children")
    init: list[int] = []

    def found() -> bool:
        if container.poll() is not None:
            said, _ = container.communicate()
            pytest.skip(f"this machine boots no container: {last_line(said)}")
        with suppress(FileNotFoundError):  # one that has just ended
            init.extend(
                int(child)
                for child in children.read_text().split()
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n"
            )
        return bool(init)

    until(found, 60.0)
    return init[0]


def last_line(text: str) -> str:
    """What a program said last, which is mostly why it failed."""
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def put_checkout(project: Path, root: Path) -> None:
    """The checkout as ``/src`` and its locked packages as ``/wheels`` below ``root``: it has no network."""
    source = root / "src"
    for room in ("daemon", "drivers", "lowmaf", "web", "systemd", "docs"):
        shutil.copytree(project / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        "Makefile", "pyproject.toml", "requirements.lock", "config.example.toml",
        "README.md", "LICENSE", "NOTICES.md", "CHANGELOG.md", "SECURITY.md",
    ):  # fmt: skip
        shutil.copy(project / name, source)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
         "--only-binary", ":all:", "--python-version", PYTHON_VERSION, "--dest", root / "wheels",
         "--requirement", project / "requirements.lock"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"the locked packages cannot be fetched: {last_line(done.stderr)}")

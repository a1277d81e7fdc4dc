"""The Debian package on a Debian that is really booted: built, installed, upgraded, removed, purged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian_machine import Machine, booted, put_checkout

pytestmark = pytest.mark.long

OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
CONFIG = "etc/lowmaf/lowmaf.toml"
DATABASE = "var/lib/lowmaf/lowmaf.sqlite3"
BUILD_LIMIT_S = 600.0


@pytest.fixture(scope="module")
def machine(project: Path) -> Iterator[Machine]:
    """A Debian in which the package was built from a checkout."""
    with booted() as debian:
        put_checkout(project, debian.root)
        debian.run("make", "-C", "/src", "deb", limit_s=BUILD_LIMIT_S, **OFFLINE)
        yield debian


def package(machine: Machine) -> str:
    (made,) = (machine.root / "src" / "dist").glob("*.deb")
    size_mb = made.stat().st_size / 1e6
    print(f"{made.name}: {size_mb:.1f} MB")
    assert size_mb < 60.0
    return f"/src/dist/{made.name}"


def owned(machine: Machine, name: str) -> str:
    return machine.run("stat", "--format=%U:%G %a", f"/{name}").strip()


def test_it_installs_runs_upgrades_and_goes(machine: Machine) -> None:
    deb = package(machine)
    listed = machine.run("dpkg-deb", "--contents", deb)
    assert " ./usr/local" not in listed
    assert " ./etc" not in listed, "the configuration is the owner's"

    machine.run("dpkg", "--install", deb)
    assert machine.run("lowmaf", "--version").startswith("lowmaf ")
    assert owned(machine, CONFIG) == "root:lowmaf 640"
    assert owned(machine, "var/lib/lowmaf") == "lowmaf:lowmaf 750"
    assert (machine.root / "usr/share/man/man1/lowmaf.1").is_file()
    assert (machine.root / "usr/share/bash-completion/completions/lowmaf").is_file()

    said = machine.run("lowmaf", "setup", "--yes", "--driver", "simulator", "--name", "mine")
    assert "sudo systemctl enable lowmaf" in said
    assert owned(machine, CONFIG) == "root:lowmaf 640"
    machine.run("systemctl", "enable", "--now", "lowmaf")
    healthy = machine.run("lowmaf", "doctor", "--json")
    found = {each["subject"]: each["words"] for each in json.loads(healthy)["findings"]}
    assert found["dashboard"] == "lowmaf answers on port 8000 of 0.0.0.0"
    before = machine.show("lowmaf")["MainPID"]

    machine.run("dpkg", "--install", deb)
    after = machine.show("lowmaf")
    assert after["ActiveState"] == "active"
    assert after["MainPID"] != before, "what runs is what is installed"
    assert 'name = "mine"' in (machine.root / CONFIG).read_text(encoding="utf-8")

    refused = machine.ask("make", "-C", "/src", "install", **OFFLINE)
    assert refused.returncode != 0
    assert "sudo apt remove lowmaf first" in refused.stderr

    machine.run("dpkg", "--remove", "lowmaf")
    assert machine.show("lowmaf")["ActiveState"] == "inactive"
    assert not (machine.root / "opt/lowmaf").exists()
    assert (machine.root / CONFIG).is_file()
    assert (machine.root / DATABASE).is_file()

    machine.run("dpkg", "--install", deb)
    assert 'name = "mine"' in (machine.root / CONFIG).read_text(encoding="utf-8")
    machine.run("dpkg", "--purge", "lowmaf")
    for gone in (CONFIG, DATABASE, "opt/lowmaf", "usr/bin/lowmaf", "usr/lib/systemd/system/lowmaf.service"):
        assert not (machine.root / gone).exists(), gone
    assert machine.ask("getent", "passwd", "lowmaf").returncode != 0


def test_it_does_not_go_beside_one_that_was_installed_from_a_clone(machine: Machine) -> None:
    machine.run("make", "-C", "/src", "install", limit_s=BUILD_LIMIT_S, **OFFLINE)
    refused = machine.ask("dpkg", "--install", package(machine))
    assert refused.returncode != 0
    assert "sudo make uninstall there first" in refused.stderr
    machine.run("make", "-C", "/src", "uninstall")

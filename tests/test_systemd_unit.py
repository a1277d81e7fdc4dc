"""The unit and its companions: systemd accepts them, and the daemon may do little."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

MOST_EXPOSED = 17
"""Tenths of systemd's exposure score; serial ports, CAN and the own network alone are worth 16."""


def systemd(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here (Debian: sudo apt install systemd)")
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def settings(file: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(file.read_text(encoding="utf-8"))
    return parser


@pytest.fixture(scope="session")
def unit(project: Path) -> Path:
    return project / "systemd" / "lowmaf.service"


def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path, tmp_path: Path) -> None:
    here = tmp_path / unit.name
    text = unit.read_text(encoding="utf-8")
    assert "ExecStart=/opt/lowmaf/bin/lowmaf " in text
    here.write_text(text.replace("/opt/lowmaf/bin/lowmaf ", "/bin/true "))  # not installed on this machine
    done = systemd("systemd-analyze", "verify", "--man=no", here)
    about_us = [line for line in done.stderr.splitlines() if "lowmaf" in line]
    assert about_us == []


def test_verify_would_see_a_mistake(unit: Path, tmp_path: Path) -> None:
    here = tmp_path / unit.name
    text = unit.read_text(encoding="utf-8").replace("/opt/lowmaf/bin/lowmaf ", "/bin/true ")
    here.write_text(text.replace("WatchdogSec=20", "WatchdogSec=soon"))
    done = systemd("systemd-analyze", "verify", "--man=no", here)
    assert any("lowmaf.service" in line and "soon" in line for line in done.stderr.splitlines())


def test_little_is_exposed(unit: Path) -> None:
    done = systemd(
        "systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", unit
    )
    assert done.returncode == 0, done.stdout


def test_serial_ports_can_and_the_own_network_stay_open(unit: Path) -> None:
    lines = unit.read_text(encoding="utf-8").splitlines()
    assert {"DeviceAllow=char-ttyUSB rw", "DeviceAllow=char-ttyACM rw"} <= set(lines)
    service = settings(unit)["Service"]
    assert service["SupplementaryGroups"] == "dialout"
    assert set(service["RestrictAddressFamilies"].split()) == {"AF_UNIX", "AF_INET", "AF_INET6", "AF_CAN"}
    assert {"localhost", "192.168.0.0/16", "10.0.0.0/8"} <= set(service["IPAddressAllow"].split())
    assert "ProcSubset" not in service, "the boot id lies in /proc/sys"


def test_it_is_restarted_always_but_for_a_wrong_configuration(unit: Path) -> None:
    parsed = settings(unit)
    service = parsed["Service"]
    assert (service["Type"], service["Restart"], service["RestartPreventExitStatus"]) == (
        "notify",
        "always",
        "2",
    )
    assert parsed["Unit"]["StartLimitIntervalSec"] == "0"
    assert "kill -HUP $MAINPID" in service["ExecReload"]


def test_udev_accepts_the_rules(project: Path) -> None:
    rules = project / "systemd" / "60-lowmaf.rules"
    done = systemd("udevadm", "verify", rules)
    if "Unknown command verb" in done.stderr:
        pytest.skip("this udevadm cannot verify rules (systemd 254 or newer can)")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_jumps_only_to_labels_that_are_there(project: Path) -> None:
    text = (project / "systemd" / "60-lowmaf.rules").read_text(encoding="utf-8")
    rules = [line for line in text.splitlines() if line and not line.startswith("#")]
    labels = {line.split('"')[1] for line in rules if line.startswith("LABEL")}
    jumps = {line.rsplit("GOTO=", 1)[1].strip('"') for line in rules if "GOTO=" in line}
    assert jumps == labels
    assert 'DRIVER=="ftdi_sio", ATTR{latency_timer}="1"' in text
    assert 'SYMLINK+="lowmaf-' in text


def test_can0_comes_up_as_a_diagnostic_bus(project: Path) -> None:
    network = settings(project / "systemd" / "80-lowmaf-can0.network")
    assert network["Match"]["Name"] == "can0"
    assert dict(network["CAN"]) == {"BitRate": "500K", "SamplePoint": "87.5%", "RestartSec": "100ms"}
    assert network["Link"]["RequiredForOnline"] == "no"

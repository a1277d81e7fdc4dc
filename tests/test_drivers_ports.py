"""What is plugged in, on a machine made up of files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from drivers.ports import can_interfaces, serial_hint, serial_ports


def interface(folder: Path, name: str, kind: int, state: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "type").write_text(f"{kind}\n")
    (folder / name / "operstate").write_text(f"{state}\n")


def test_can_interfaces_are_told_from_others(tmp_path: Path) -> None:
    interface(tmp_path, "eth0", 1, "up")
    interface(tmp_path, "can1", 280, "down")
    interface(tmp_path, "can0", 280, "up")
    (tmp_path / "bonding_masters").write_text("")
    found = list(can_interfaces(tmp_path))
    assert [port.path for port in found] == ["can0", "can1"]
    assert found[0].words == "CAN interface, up"
    assert "bring it up" in found[1].words
    assert 'interface = "socketcan"' in found[0].hint
    assert list(can_interfaces(tmp_path / "none")) == []


def test_serial_ports_go_by_the_name_that_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "ttyUSB0"
    device.write_text("")
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    (by_id / "usb-FTDI_FT232R-if00").symlink_to(device)
    port = SimpleNamespace(
        device=str(device), manufacturer="FTDI", product="FT232R", description="n/a", vid=0x0403, pid=0x6001
    )
    unknown = str(tmp_path / "ttyS1")
    other = SimpleNamespace(
        device=unknown, manufacturer=None, product=None, description="n/a", vid=None, pid=None
    )
    monkeypatch.setattr("drivers.ports.list_ports.comports", lambda: [port, other])
    unnamed, named = serial_ports(by_id)
    assert named.path == str(by_id / "usb-FTDI_FT232R-if00")
    assert named.words == f"FTDI FT232R (now {device})"
    assert "ssm-kline" in named.hint
    assert (unnamed.path, unnamed.words) == (str(tmp_path / "ttyS1"), "serial port")
    assert [port.path for port in serial_ports(tmp_path / "none")] == [str(tmp_path / "ttyS1"), str(device)]


@pytest.mark.parametrize(
    ("vid", "pid", "words", "driver"),
    [
        (0x16D0, 0x117E, "MCS CANable2", "slcan"),
        (0x1D50, 0x606F, "canable.io slcan adapter", "slcan"),
        (0x0403, 0x6015, "ScanTool.net LLC OBDLink SX", "elm327"),
        (None, None, "/dev/rfcomm0", "elm327"),
        (0x1A86, 0x7523, "QinHeng USB Serial", "ssm-kline"),
    ],
)
def test_hints(vid: int | None, pid: int | None, words: str, driver: str) -> None:
    assert driver in serial_hint(vid, pid, words)

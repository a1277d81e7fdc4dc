"""The installed service on a computer of its own: boot, a real CAN bus, and adapters that come and go."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from virtual_machine import VirtualMachine, disk_option, eventually, powered
from vm_image import VmImage, data_disk

from drivers.simulator.car import Car
from drivers.simulator.settings import CarSettings
from lowmaf.table_text import format_csv

pytestmark = pytest.mark.vm

START_LIMIT_S = 600.0
BACK_LIMIT_S = 120.0
"""For what takes a few seconds: the emulated processor is slow, and how slow depends on who else computes."""

CONFIG = """
[vehicle]
maf_table = "stock.csv"
[source]
{source}
[storage]
database = "/var/lib/lowmaf/lowmaf.sqlite3"
[web]
host = "0.0.0.0"
"""
ECU_ANSWERS = "/run/ecu-answers"
ADAPTER = "K1"
DECOY = "K0"


@pytest.fixture(scope="module")
def machine(image: VmImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualMachine]:
    """Booted with the service as it was installed, its data on a partition of their own."""
    folder = tmp_path_factory.mktemp("vm")
    with powered(image, folder / "machine", *disk_option(data_disk(folder / "data.img"))) as booted:
        print(f"lowmaf.service ready {booted.wait_until_ready():.0f} s after power on")
        yield booted


def configure(machine: VirtualMachine, **source: str) -> None:
    """Restarts the service with another source; returns once it is ready."""
    table = Car(CarSettings()).maf_table
    assert table.flow_gs is not None
    machine.write("/etc/lowmaf/stock.csv", format_csv(table.maf_v, table.flow_gs))
    lines = "\n".join(f'{key} = "{value}"' for key, value in source.items())
    machine.write("/etc/lowmaf/lowmaf.toml", CONFIG.format(source=lines))
    machine.run("systemctl", "restart", "lowmaf", limit_s=START_LIMIT_S)


def link(machine: VirtualMachine) -> str:
    return str(machine.get("/api/v1/status")["link"]["state"])


def seen(machine: VirtualMachine) -> int:
    return int(machine.get("/api/v1/table")["samples"]["seen"])


def flows(machine: VirtualMachine) -> bool:
    """Whether the link runs and samples come in now."""
    status = machine.get("/api/v1/status")
    return status["link"]["state"] == "running" and (status["last_sample_age_s"] or 99.0) < 1.0


@contextmanager
def ecu_on(machine: VirtualMachine, interface: str) -> Iterator[None]:
    """The simulated ECU answers on a CAN interface of the machine."""
    script = Path(__file__).with_name("guest_can_ecu.py").read_text(encoding="utf-8")
    machine.run("rm", "--force", ECU_ANSWERS)
    machine.run(
        "systemd-run", "--unit=ecu", "--collect", "--quiet",
        "/opt/lowmaf/bin/python", "-c", script, interface, ECU_ANSWERS,
    )  # fmt: skip
    eventually(lambda: machine.ask("test", "-e", ECU_ANSWERS).returncode == 0, BACK_LIMIT_S)
    try:
        yield
    finally:
        machine.run("systemctl", "stop", "ecu")


def test_after_the_boot_the_service_runs_and_the_dashboard_answers(machine: VirtualMachine) -> None:
    shown = machine.show("lowmaf")
    assert (shown["Type"], shown["NotifyAccess"], shown["NRestarts"]) == ("notify", "main", "0")
    ready_s = (
        int(shown["ActiveEnterTimestampMonotonic"]) - int(shown["InactiveExitTimestampMonotonic"])
    ) / 1e6
    print(
        f"ready {ready_s:.1f} s after its start, {int(shown['CPUUsageNSec']) / 1e9:.1f} s of processor time"
    )
    assert machine.get("/healthz") == {"status": "ok"}
    assert "<html" in machine.get("/")
    eventually(lambda: flows(machine), BACK_LIMIT_S)
    before = seen(machine)
    eventually(lambda: seen(machine) > before + 20, BACK_LIMIT_S)
    assert machine.run("findmnt", "--noheadings", "--output=SOURCE,FSTYPE", "/var/lib/lowmaf").split() == [
        "/dev/vdb", "ext4",
    ]  # fmt: skip
    owned = machine.run("stat", "--format=%U %a", "/var/lib/lowmaf", "/var/lib/lowmaf/lowmaf.sqlite3")
    assert owned.split("\n")[:2] == ["lowmaf 750", "lowmaf 600"]
    assert machine.run("systemctl", "--failed", "--no-legend").strip() == ""


def newest_drive(machine: VirtualMachine) -> dict[str, Any]:
    return max(machine.get("/api/v1/sessions")["sessions"], key=lambda drive: int(drive["id"]))


def test_a_clock_that_is_set_while_the_car_is_driven_dates_the_drive(machine: VirtualMachine) -> None:
    """Ten years back and forth, then the network knows the time."""
    eventually(lambda: machine.get("/api/v1/sessions")["sessions"], BACK_LIMIT_S)
    before, number = datetime.fromisoformat(newest_drive(machine)["started"]), seen(machine)

    def moved_days() -> float:
        return (datetime.fromisoformat(newest_drive(machine)["started"]) - before).total_seconds() / 86400.0

    machine.run("date", "--set=3650 days ago")
    back_s = eventually(lambda: abs(moved_days() + 3650.0) < 1.0, BACK_LIMIT_S)
    assert newest_drive(machine)["clock"] == "unsynced"
    machine.run("date", "--set=+7300 days")
    machine.run("install", "-D", "/dev/null", "/run/systemd/timesync/synchronized")
    eventually(lambda: abs(moved_days() - 3650.0) < 1.0, BACK_LIMIT_S)
    assert newest_drive(machine)["clock"] == "synced"
    print(f"the drive has its new date {back_s:.1f} s after the clock was set")
    eventually(lambda: flows(machine) and seen(machine) > number, BACK_LIMIT_S)
    assert newest_drive(machine)["duration_s"] is None or newest_drive(machine)["duration_s"] < 86400.0
    assert machine.show("lowmaf")["NRestarts"] == "0"


def test_networkd_brings_can0_up_as_installed(machine: VirtualMachine) -> None:
    shown = machine.run("ip", "-details", "link", "show", "can0")
    assert re.search(r"<[^>]*\bUP\b", shown)
    assert "bitrate 500000 sample-point 0.875" in shown
    assert "restart-ms 100" in shown
    assert "DOWN" in machine.run("ip", "link", "show", "can1"), "the car's end is none of ours"


@pytest.mark.parametrize("driver", ["ssm-can", "obd-can"])
def test_samples_come_over_a_real_can_bus(machine: VirtualMachine, driver: str) -> None:
    """Two controllers, two drivers in the kernel, one bus. Bus-off cannot be had: QEMU's has no errors."""
    machine.run("ip", "link", "set", "can1", "down")
    machine.run("ip", "link", "set", "can1", "up", "type", "can", "bitrate", "500000")
    configure(machine, driver=driver, channel="can0")
    assert link(machine) != "running", "nobody answers yet"
    with ecu_on(machine, "can1"):
        took_s = eventually(lambda: flows(machine), BACK_LIMIT_S)
        began_s, before = time.monotonic(), seen(machine)
        eventually(lambda: seen(machine) > before + 50, BACK_LIMIT_S)
        rate_hz = (seen(machine) - before) / (time.monotonic() - began_s)
        print(f"{driver}: samples {took_s:.1f} s after the ECU was there, {rate_hz:.1f} samples/s")
        machine.run("ip", "link", "set", "can0", "down")
        lost_s = eventually(lambda: not flows(machine), BACK_LIMIT_S)
        assert machine.show("lowmaf")["ActiveState"] == "active"
        machine.run("ip", "link", "set", "can0", "up")
        back_s = eventually(lambda: flows(machine), BACK_LIMIT_S)
        print(
            f"{driver}: can0 down noticed after {lost_s:.1f} s, samples {back_s:.1f} s after it was up again"
        )
    assert eventually(lambda: not flows(machine), BACK_LIMIT_S) < BACK_LIMIT_S
    with ecu_on(machine, "can1"):
        back_s = eventually(lambda: flows(machine), BACK_LIMIT_S)
        print(f"{driver}: samples {back_s:.1f} s after the ECU had been gone")
    assert machine.show("lowmaf")["NRestarts"] == "0"
    assert "Traceback" not in machine.journal("lowmaf")


@pytest.fixture
def kline_port(machine: VirtualMachine) -> Iterator[str]:
    """A serial port of this machine on which the simulated ECU answers; QEMU leads it into the machine."""
    with subprocess.Popen(
        [sys.executable, "-m", "daemon", "simulate", "--transport", "kline"],
        stdout=subprocess.PIPE, text=True,
    ) as ecu:  # fmt: skip
        assert ecu.stdout is not None
        found = re.search(r"answers on (/dev/\S+)\. ", ecu.stdout.readline())
        assert found
        try:
            yield found[1]
        finally:
            ecu.terminate()


@pytest.fixture
def plug(machine: VirtualMachine, kline_port: str) -> Iterator[Callable[[str, bool], None]]:
    """Plugs an FTDI adapter with a serial number in, or pulls it out."""
    machine.monitor("chardev-add", id=ADAPTER, backend={
        "type": "serial", "data": {"device": kline_port},
    })  # fmt: skip
    machine.monitor("chardev-add", id=DECOY, backend={"type": "ringbuf", "data": {}})
    plugged: set[str] = set()

    def change(name: str, present: bool) -> None:
        if present:
            machine.monitor(
                "device_add", driver="usb-serial", id=f"usb-{name}", chardev=name, serial=name, bus="usb.0"
            )
            plugged.add(name)
        else:
            machine.monitor("device_del", id=f"usb-{name}")
            plugged.discard(name)

    yield change
    for name in list(plugged):
        change(name, False)


def leads_to(machine: VirtualMachine, name: str) -> str:
    """Where a stable name leads; empty where there is none."""
    return machine.ask("readlink", "--canonicalize-existing", f"/dev/lowmaf-{name}").stdout.strip()


def test_an_adapter_that_is_plugged_in_elsewhere_is_found_again(
    machine: VirtualMachine, plug: Callable[[str, bool], None]
) -> None:
    plug(ADAPTER, True)
    eventually(lambda: leads_to(machine, ADAPTER), BACK_LIMIT_S)
    first = leads_to(machine, ADAPTER)
    assert leads_to(machine, "adapter") == first == "/dev/ttyUSB0"
    assert machine.run("stat", "--format=%G", first).strip() == "dialout"
    configure(machine, driver="ssm-kline", port=f"/dev/lowmaf-{ADAPTER}")
    eventually(lambda: flows(machine), BACK_LIMIT_S)
    for round_ in range(2):
        plug(ADAPTER, False)
        eventually(lambda: not flows(machine), BACK_LIMIT_S)
        eventually(lambda: not leads_to(machine, ADAPTER), BACK_LIMIT_S)
        if round_ == 0:  # something else takes the port that the adapter had
            plug(DECOY, True)
            eventually(lambda: leads_to(machine, DECOY) == "/dev/ttyUSB0", BACK_LIMIT_S)
        plugged_s = time.monotonic()
        plug(ADAPTER, True)
        eventually(lambda: flows(machine), BACK_LIMIT_S)
        took_s, port = time.monotonic() - plugged_s, leads_to(machine, ADAPTER)
        print(f"pulled out and plugged in again as {port}: samples after {took_s:.1f} s")
        assert port == "/dev/ttyUSB1"
        assert machine.get("/healthz") == {"status": "ok"}
    assert machine.show("lowmaf")["NRestarts"] == "0"
    assert "Traceback" not in machine.journal("lowmaf")

"""The real unit under a real systemd: installed, started, killed, hung, misconfigured, stopped, removed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from debian_machine import Machine, booted, put_checkout, until
from timing import at_most

pytestmark = pytest.mark.long

OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
GET = "import sys, urllib.request as web; print(web.urlopen(sys.argv[1], timeout=10).read().decode())"
START_LIMIT_S = 6.0
STOP_LIMIT_S = 2.0
WATCHDOG_S = 20.0


@pytest.fixture(scope="module")
def machine(project: Path) -> Iterator[Machine]:
    """A Debian on which lowmaf was installed as its owner would."""
    with booted() as debian:
        put_checkout(project, debian.root)
        debian.run("make", "-C", "/src", "install", **OFFLINE)
        yield debian


@pytest.fixture
def service(machine: Machine) -> Iterator[Machine]:
    """The service runs, with the configuration that was installed; the same afterwards."""
    config = machine.root / "etc/lowmaf/lowmaf.toml"
    installed = config.read_text(encoding="utf-8")
    machine.run("systemctl", "start", "lowmaf")
    yield machine
    config.write_text(installed, encoding="utf-8")
    machine.run("systemctl", "restart", "lowmaf")


def get(machine: Machine, path: str) -> Any:
    return json.loads(machine.run("/opt/lowmaf/bin/python", "-c", GET, f"http://127.0.0.1:8000{path}"))


def journal(machine: Machine, invocation: str) -> str:
    return machine.run("journalctl", "--no-pager", "--output=cat", f"_SYSTEMD_INVOCATION_ID={invocation}")


def restarted(machine: Machine, before: dict[str, str]) -> Callable[[], bool]:
    def again() -> bool:
        now = machine.show("lowmaf")
        return now["ActiveState"] == "active" and now["MainPID"] != before["MainPID"]

    return again


def test_once_it_is_ready_the_dashboard_answers(
    service: Machine, record_property: Callable[[str, object], None]
) -> None:
    service.run("systemctl", "restart", "lowmaf")
    assert get(service, "/healthz") == {"status": "ok"}
    shown = service.show("lowmaf")
    ready_s = (
        int(shown["ActiveEnterTimestampMonotonic"]) - int(shown["InactiveExitTimestampMonotonic"])
    ) / 1e6
    rss = service.run("sed", "-n", "s/^VmRSS:[^0-9]*//p", f"/proc/{shown['MainPID']}/status").strip()
    record_property("ready_s", ready_s)
    record_property("rss", rss)
    print(f"ready {ready_s:.2f} s after the start; resident memory {rss}")
    assert ready_s < START_LIMIT_S
    until(lambda: "samples/s" in service.show("lowmaf")["StatusText"], 60.0)


def test_it_runs_as_a_user_that_may_do_little(service: Machine) -> None:
    pid = service.show("lowmaf")["MainPID"]
    status = dict(re.findall(r"^(\w+):\s*(.*)$", service.run("cat", f"/proc/{pid}/status"), re.MULTILINE))
    assert status["Uid"].split()[0] == service.run("id", "-u", "lowmaf").strip() != "0"
    assert int(service.run("getent", "group", "dialout").split(":")[2]) in map(int, status["Groups"].split())
    assert int(status["CapBnd"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    owned = service.run("stat", "--format=%U %a", "/var/lib/lowmaf/lowmaf.sqlite3", "/etc/lowmaf/lowmaf.toml")
    assert owned.split("\n")[:2] == ["lowmaf 600", "root 640"]


def test_the_newest_systemd_finds_nothing_wrong_either(machine: Machine) -> None:
    """Debian 13's; on a development machine it is Debian 12's that looks (test_systemd_unit)."""
    lib = "/usr/local/lib"
    done = machine.ask("systemd-analyze", "verify", "--man=no", f"{lib}/systemd/system/lowmaf.service")
    assert (done.returncode, done.stderr) == (0, "")
    machine.run("systemd-analyze", "security", "--threshold=17", "--no-pager", "lowmaf.service")
    machine.run("udevadm", "verify", f"{lib}/udev/rules.d/60-lowmaf.rules")


def test_reload_changes_what_it_can_and_names_the_rest(service: Machine) -> None:
    before = service.show("lowmaf")
    config = service.root / "etc/lowmaf/lowmaf.toml"
    text = config.read_text(encoding="utf-8").replace('level = "info"', 'level = "debug"')
    config.write_text(text.replace("speed = 1.0", "speed = 2.0"), encoding="utf-8")
    service.run("systemctl", "reload", "lowmaf")
    until(lambda: "wait for a restart: [source] speed" in journal(service, before["InvocationID"]), 10.0)
    assert "messages from level debug on" in journal(service, before["InvocationID"])
    after = service.show("lowmaf")
    assert (after["MainPID"], after["ActiveState"]) == (before["MainPID"], "active")


def test_killed_it_comes_back_and_knows_what_it_knew(service: Machine) -> None:
    until(lambda: get(service, "/api/v1/table")["samples"]["seen"] > 50, 60.0)
    commits = get(service, "/api/v1/status")["storage"]["commits"]
    seen = get(service, "/api/v1/table")["samples"]["seen"]
    until(lambda: get(service, "/api/v1/status")["storage"]["commits"] > commits + 1, 30.0)
    before = service.show("lowmaf")
    service.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "lowmaf")
    took_s = until(restarted(service, before), 30.0)
    print(f"kill -9: ready again after {took_s:.1f} s")
    assert get(service, "/api/v1/table")["samples"]["seen"] >= seen


def test_hung_it_is_restarted_by_the_watchdog(service: Machine) -> None:
    before = service.show("lowmaf")
    assert before["WatchdogUSec"] == f"{WATCHDOG_S:.0f}s"
    service.run("systemctl", "kill", "--signal=STOP", "--kill-whom=main", "lowmaf")
    took_s = until(lambda: service.show("lowmaf")["MainPID"] not in {before["MainPID"], "0"}, WATCHDOG_S + 30)
    print(f"SIGSTOP: started anew after {took_s:.1f} s")
    assert took_s < WATCHDOG_S + at_most(3.0)
    until(restarted(service, before), 30.0)
    said = service.run("journalctl", "--no-pager", "--unit=lowmaf")
    assert "Watchdog timeout" in said
    assert get(service, "/healthz") == {"status": "ok"}


def test_a_wrong_configuration_is_said_once_and_not_tried_again(service: Machine) -> None:
    config = service.root / "etc/lowmaf/lowmaf.toml"
    config.write_text(config.read_text(encoding="utf-8") + "\n[weather]\nsun = true\n", encoding="utf-8")
    assert service.ask("systemctl", "restart", "lowmaf").returncode != 0
    shown = service.show("lowmaf")
    assert (shown["ActiveState"], shown["SubState"]) == ("failed", "failed"), "auto-restart would be a loop"
    assert (shown["ExecMainStatus"], shown["NRestarts"]) == ("2", "0")
    said = journal(service, shown["InvocationID"])
    assert said.count("no section [weather]") == 1
    assert "Traceback" not in said


def test_told_to_stop_it_ends_in_time_with_everything_kept(service: Machine) -> None:
    until(lambda: get(service, "/api/v1/table")["samples"]["seen"] > 50, 60.0)
    seen = get(service, "/api/v1/table")["samples"]["seen"]
    began_s = time.monotonic()
    service.run("systemctl", "stop", "lowmaf")
    took_s = time.monotonic() - began_s
    print(f"stopped in {took_s:.2f} s")
    shown = service.show("lowmaf")
    assert (shown["Result"], shown["ExecMainStatus"]) == ("success", "0")
    assert took_s < STOP_LIMIT_S
    service.run("systemctl", "start", "lowmaf")
    assert get(service, "/api/v1/table")["samples"]["seen"] >= seen


def test_upgraded_it_goes_on_and_removed_it_leaves_what_is_the_owners(service: Machine) -> None:
    config = service.root / "etc/lowmaf/lowmaf.toml"
    config.write_text(config.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    seen = get(service, "/api/v1/table")["samples"]["seen"]
    before = service.show("lowmaf")
    service.run("make", "-C", "/src", "install", **OFFLINE)
    assert restarted(service, before)()
    assert config.read_text(encoding="utf-8").endswith("# mine\n")
    assert get(service, "/api/v1/table")["samples"]["seen"] >= seen
    service.run("make", "-C", "/src", "uninstall")
    assert service.show("lowmaf")["LoadState"] == "not-found"
    assert not (service.root / "opt/lowmaf").exists()
    assert config.read_text(encoding="utf-8").endswith("# mine\n")
    assert (service.root / "var/lib/lowmaf/lowmaf.sqlite3").exists()
    service.run("make", "-C", "/src", "install", **OFFLINE)
    service.run("systemctl", "start", "lowmaf")
    assert get(service, "/api/v1/table")["samples"]["seen"] >= seen

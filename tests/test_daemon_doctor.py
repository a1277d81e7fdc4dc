"""``lowmaf doctor``: says what is wrong and what to do, on machines made up of files; changes nothing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import main
from daemon.commands import doctor
from daemon.config.sections import SourceSettings, StorageSettings, WebSettings
from daemon.doctor import link as doctor_link
from daemon.doctor.database import database_findings
from daemon.doctor.findings import Finding, State
from daemon.doctor.link import can_findings, link_findings, serial_findings
from daemon.doctor.machine import machine_findings
from daemon.doctor.service import port_findings, service_findings
from daemon.store.opening import DatabaseLock, prepare
from daemon.wall_clock import ClockReading, ClockState

NOW = ClockReading(1.8e9, 100.0, ClockState.SYNCED, "boot")


def told(findings: Iterable[Finding], *, least: State = State.GOOD) -> list[str]:
    """Findings as ``state: words > advice``."""
    order = list(State)
    return [
        f"{each.state}: {each.words} > {each.advice}"
        for each in findings
        if order.index(each.state) >= order.index(least)
    ]


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("LOWMAF_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "INSTALLED_CONFIG", tmp_path / "nowhere" / "lowmaf.toml")
    monkeypatch.setattr(doctor, "unit_properties", dict)
    return tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_sound_installation_has_nothing_wrong(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clean / "lowmaf.toml").write_text(f"[web]\nport = {free_port()}\n", encoding="utf-8")
    before = set(clean.iterdir())
    assert main(["doctor"]) == 0
    out, _ = capsys.readouterr()
    assert out.endswith("Nothing is wrong.\n")
    assert "configuration lowmaf.toml is fine" in out
    assert set(clean.iterdir()) == before
    assert main(["doctor", "--json", "--config", "lowmaf.toml"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["healthy"]) == ("lowmaf.doctor/1", True)
    assert {"python", "packages", "sqlite", "clock", "temperature", "disk", "database", "dashboard"} <= {
        finding["subject"] for finding in document["findings"]
    }


def test_each_error_of_the_configuration_is_a_finding_and_the_exit_status_is_1(
    clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clean / "lowmaf.toml").write_text("[web]\nport = 'x'\nhost = 3\n", encoding="utf-8")
    assert main(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    wrong = [finding["words"] for finding in document["findings"] if finding["state"] == "wrong"]
    assert [words.partition(" = ")[0] for words in wrong] == [
        "lowmaf.toml:2: [web] port",
        "lowmaf.toml:3: [web] host",
    ]


def test_without_a_configuration_setup_is_advised(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 1
    out, _ = capsys.readouterr()
    assert "lowmaf setup makes one" in out
    assert out.endswith("Something is wrong: see above.\n")


def test_a_folder_is_no_configuration(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--config", str(clean)]) == 1
    assert "a folder, not a configuration file" in capsys.readouterr().out


def test_a_configuration_of_others_is_no_fault(
    clean: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = clean / "etc"
    folder.mkdir()
    monkeypatch.setattr(doctor, "INSTALLED_CONFIG", folder / "lowmaf.toml")

    opened = Path.open

    def refused(path: Path, *arguments: Any, **more: Any) -> Any:
        if path.parent == folder:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", refused)
    assert main(["doctor"]) == 0
    assert "sudo lowmaf doctor looks into it" in capsys.readouterr().out


def test_clock_heat_and_supply(tmp_path: Path) -> None:
    zone = tmp_path / "thermal_zone0"
    zone.mkdir()
    (zone / "temp").write_text("84500")
    throttled = tmp_path / "get_throttled"
    throttled.write_text("50001")
    never = ClockReading(86_400.0, 100.0, ClockState.UNSYNCED, "boot")
    words = told(machine_findings(never, thermal=tmp_path, throttled=throttled), least=State.NOTE)
    assert [line.partition(" > ")[0] for line in words] == [
        "note: never set: it shows 1970-01-02",
        "wrong: 84 °C",
        "wrong: the supply voltage is too low now: a better 5 V supply or cable is needed",
        "note: the supply voltage was too low since the start",
        "note: the processor was throttled since the start",
    ]
    assert told(machine_findings(NOW, thermal=zone, throttled=zone), least=State.NOTE) == []


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        "daemon.doctor.machine.requires", lambda _: ["no-such-thing>=1", "other; extra == 'png'"]
    )
    monkeypatch.setattr("daemon.doctor.machine.OLDEST_SQLITE", (99, 0))
    monkeypatch.setattr("daemon.doctor.machine.OLDEST_PYTHON", (99, 0))
    words = told(machine_findings(NOW, thermal=tmp_path, throttled=tmp_path), least=State.WRONG)
    assert "lowmaf needs Python 99.0 or newer" in words[0]
    assert words[1:2] == ["wrong: not installed: no-such-thing > install lowmaf anew"]
    assert "SQLite 99.0 or newer is needed" in words[2]


def interface(folder: Path, state: str) -> Path:
    (folder / "can0").mkdir(parents=True)
    (folder / "can0" / "operstate").write_text(f"{state}\n")
    return folder


@pytest.mark.parametrize(
    ("state", "info", "expected"),
    [
        ("up", {"state": "ERROR-ACTIVE", "bittiming": {"bitrate": 500_000}}, []),
        ("up", {}, []),
        ("down", {"state": "STOPPED"}, ["wrong: can0 is down"]),
        ("up", {"state": "BUS-OFF"}, ["wrong: can0 is off the bus after too many errors"]),
        ("up", {"state": "ERROR-PASSIVE"}, ["note: can0 sees many errors"]),
        ("up", {"bittiming": {"bitrate": 250_000}}, ["note: can0 runs at 250000 bit/s"]),
    ],
)
def test_can_interfaces(tmp_path: Path, state: str, info: dict[str, object], expected: list[str]) -> None:
    words = told(can_findings("can0", interface(tmp_path, state), lambda _: info), least=State.NOTE)
    assert [line.partition(" > ")[0] for line in words] == expected


def test_a_can_interface_that_is_not_there(tmp_path: Path) -> None:
    source = SourceSettings(driver="ssm-can", options={"channel": "can3"})
    (words,) = told(link_findings(source, None, network=tmp_path))
    assert words.startswith("wrong: there is no interface can3 > plug it in")


def test_serial_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    try:
        port = Path(os.ttyname(theirs))
        by_id = tmp_path / "by-id"
        by_id.mkdir()
        (by_id / "usb-cable").symlink_to(port)
        proc = tmp_path / "proc"
        (proc / "77" / "fd").mkdir(parents=True)
        (proc / "77" / "fd" / "3").symlink_to(port)
        (proc / "77" / "cmdline").write_bytes(b"ModemManager\0")
        words = told(serial_findings(port, None, by_id=by_id, proc=proc))
        assert words == [
            f"good: {port} is there > ",
            f"good: {doctor_link._me()} may open it > ",
            f'note: {port} may have another name tomorrow > write port = "{by_id}/usb-cable"',
            f"wrong: ModemManager (pid 77) has {port} open > stop it: two cannot read one port",
        ]
        (proc / "77" / "cmdline").write_bytes(b"/opt/lowmaf/bin/python\0/opt/lowmaf/bin/lowmaf\0run\0")
        assert (
            told(serial_findings(by_id / "usb-cable", None, by_id=by_id, proc=proc), least=State.NOTE) == []
        )
        port.chmod(0o600)
        words = told(
            serial_findings(port, "nobody", by_id=tmp_path / "none", proc=tmp_path), least=State.NOTE
        )
        assert len(words) == 1
        assert words[0].startswith(f"wrong: nobody may not open {port} > sudo usermod --append --groups ")
        port.chmod(0o606)
        assert told(serial_findings(port, "nobody", proc=tmp_path, by_id=tmp_path), least=State.NOTE) == []
        words = told(serial_findings(port, "no-such-user", proc=tmp_path, by_id=tmp_path), least=State.WRONG)
        assert len(words) == 1
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("driver", "options", "expected"),
    [
        ("simulator", {}, "note: a SIMULATED car"),
        ("elm327", {"port": "tcp://192.168.0.10:35000"}, "note: tcp://192.168.0.10:35000, in the network"),
        ("ssm-kline", {"port": "/dev/none"}, "wrong: /dev/none: No such file or directory > plug it in"),
        ("obd-can", {"interface": "slcan", "channel": "/dev/none"}, "wrong: /dev/none: No such file"),
        ("obd-can", {"interface": "pcan", "channel": "PCAN_USBBUS1"}, "note: PCAN_USBBUS1 (pcan)"),
        ("ssm-kline", {"port": "/"}, "wrong: / is no device"),
        ("replay", {"file": "x.csv"}, "note: replay: no adapter"),
    ],
)
def test_every_kind_of_link_is_looked_at(driver: str, options: dict[str, object], expected: str) -> None:
    (words,) = told(link_findings(SourceSettings(driver=driver, options=options), None))
    assert words.startswith(expected)


def storage(folder: Path, **settings: float) -> StorageSettings:
    return StorageSettings(database=folder / "kept.sqlite3", **settings)  # type: ignore[arg-type]


def test_a_database_that_is_whole_in_use_and_has_a_damaged_one_beside_it(tmp_path: Path) -> None:
    lock, _ = prepare(tmp_path / "kept.sqlite3")
    try:
        (tmp_path / "kept.sqlite3.damaged-20260101").write_bytes(b"x")
        words = told(database_findings(storage(tmp_path)))
    finally:
        lock.release()
    assert any("kept.sqlite3 is whole, in use by a running lowmaf" in line for line in words)
    assert any("damaged-20260101 was damaged and set aside" in line for line in words)
    assert not any(line.startswith("wrong") for line in words)


def test_a_damaged_database_is_seen_and_left_as_it_is(tmp_path: Path) -> None:
    database = tmp_path / "kept.sqlite3"
    prepare(database)[0].release()
    content = bytearray(database.read_bytes())
    for page in range(2, len(content) // 1024):
        content[page * 1024 : page * 1024 + 400] = b"\xff" * 400
    database.write_bytes(content)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    (words,) = told(database_findings(storage(tmp_path)), least=State.WRONG)
    assert "damaged" in words or "cannot be read" in words
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path in before} == before


def test_somebody_elses_file_and_too_little_room(tmp_path: Path) -> None:
    (tmp_path / "kept.sqlite3").write_bytes(b"not a database at all" * 100)
    words = told(database_findings(storage(tmp_path, min_free_mb=1e12)), least=State.WRONG)
    assert "samples are no longer kept: delete something" in words[0]
    assert len(words) == 2
    (words_gone,) = told(database_findings(storage(tmp_path / "none")))
    assert words_gone.startswith("wrong: there is no folder")


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ({}, []),
        ({"LoadState": "not-found"}, []),
        ({"LoadState": "loaded", "ActiveState": "active", "StatusText": "20 samples/s"}, []),
        (
            {"LoadState": "loaded", "ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "2"},
            ["wrong: failed (exit-code) > lowmaf check says what is wrong"],
        ),
        (
            {"LoadState": "loaded", "ActiveState": "failed", "Result": "watchdog", "ExecMainStatus": "0"},
            ["wrong: failed (watchdog) > the journal says why"],
        ),
        (
            {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled"},
            ["note: does not run (inactive)", "note: does not start with the machine"],
        ),
        (
            {"LoadState": "loaded", "ActiveState": "active", "NRestarts": "3"},
            ["note: was restarted 3 times > journalctl"],
        ),
    ],
)
def test_the_service(unit: dict[str, str], expected: list[str]) -> None:
    words = told(service_findings(unit), least=State.NOTE)
    assert len(words) == len(expected)
    assert all(line.startswith(start) for line, start in zip(words, expected, strict=True))


def test_a_port_that_somebody_else_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.doctor.service._ANSWER_S", 0.2)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        web = WebSettings(port=held.getsockname()[1])
        (words,) = told(port_findings(web, running=False, owner=lambda _: "nginx (pid 3)"))
    assert words.startswith(
        f"wrong: port {web.port} of 127.0.0.1: address already in use by nginx (pid 3) > "
    )
    (words,) = told(port_findings(web, running=True))
    assert words.startswith("wrong: lowmaf runs, but nobody listens")
    assert told(port_findings(web, running=False)) == [f"good: port {web.port} of 127.0.0.1 is free > "]
    (words,) = told(port_findings(WebSettings(host="999.1.2.3"), running=False))
    assert words.startswith("wrong: ")


def test_what_the_dashboard_says_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as held:
        web = WebSettings(port=held.getsockname()[1])
        for answer, expected in [
            ((200, '{"status": "ok"}'), "good: lowmaf answers"),
            ((503, '{"status": "no sample"}'), "wrong: lowmaf on port"),
        ]:
            monkeypatch.setattr("daemon.doctor.service.health", lambda *_, answer=answer: answer)
            (words,) = told(port_findings(web, running=True))
            assert words.startswith(expected)


def test_a_database_in_use_is_seen_by_its_lock(tmp_path: Path) -> None:
    prepare(tmp_path / "kept.sqlite3")[0].release()
    assert not any("in use" in line for line in told(database_findings(storage(tmp_path))))
    lock = DatabaseLock(tmp_path / "kept.sqlite3")
    assert any("in use" in line for line in told(database_findings(storage(tmp_path))))
    lock.release()

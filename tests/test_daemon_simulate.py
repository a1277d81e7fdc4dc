"""``lowmaf simulate`` in a process of its own, read by ``lowmaf probe``; and ``lowmaf ports``."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from passive_links import controller
from test_drivers_wideband import ISP2

from daemon.cli import main
from drivers.ports import FoundPort
from drivers.simulator.link_faults import LinkFaults, parse_faults


@contextlib.contextmanager
def simulated(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command and the ``[source]`` section that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "daemon", "simulate", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        printed = "".join(lines)
        assert "[source]" in printed, (printed, process.stderr and process.stderr.read())
        yield process, printed[printed.index("[source]") : printed.index("Ctrl-C")]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def probe(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    for name in list(os.environ):
        if name.startswith("LOWMAF_"):
            monkeypatch.delenv(name)

    def run(source: str, *options: str) -> tuple[int, str, str]:
        path = tmp_path / "car.toml"
        path.write_text(source, encoding="utf-8")
        status = main(["probe", "--config", str(path), *options])
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.mark.parametrize(
    ("transport", "words"),
    [
        ("kline", "SSM on K-line /dev/pts/"),
        ("slcan", "SSM on CAN /dev/pts/"),
        ("elm327", "OBD through ELM327 /dev/pts/"),
    ],
)
def test_an_ecu_of_its_own_is_probed_and_ends_when_told(probe, transport: str, words: str) -> None:
    with simulated("--transport", transport, "--seed", "3") as (process, source):
        status, out, err = probe(source, "--seconds", "1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5.0) == 0
    assert (status, err) == (0, "")
    assert out.startswith(words)
    assert "ECU 4D12044006" in out or "ECU 7E8" in out
    assert "samples per second; the newest:" in out
    assert "mass air flow" in out
    assert "g/s" in out
    assert not re.search(r"lambda .* 1$", out, re.MULTILINE), "a ratio has no unit"
    assert "closed" in out or "open cold" in out


def test_an_ecu_on_a_bus_over_udp_is_read_by_another_program(probe) -> None:
    with contextlib.ExitStack() as stack:
        try:
            _, source = stack.enter_context(simulated("--transport", "udp-multicast"))
        except AssertionError as error:
            if "cannot be opened" in str(error):
                pytest.skip("this machine has no route for multicast")
            raise
        status, out, err = probe(source, "--seconds", "1")
    assert (status, err) == (0, "")
    assert out.startswith("SSM on CAN 239.74.163.2 (udp_multicast), ECU 4D12044006")


def test_a_recorded_log_is_driven_probed_recorded_and_replayed(probe, tmp_path: Path, capsys) -> None:
    """The whole way round: log, simulated ECU, driver, raw recording, and the table made of that."""
    rows = [f"{100 * n},2.5,-1.5,8,1.52,4.56,900" for n in range(600)]
    header = (
        "Time (msec),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL Fueling* (status),"
        "Mass Airflow Sensor Voltage (V),Mass Airflow (g/s),Engine Speed (rpm)"
    )
    log, folder = tmp_path / "drive.csv", tmp_path / "raw"
    log.write_text("\n".join([header, *rows, ""]))
    with simulated("--transport", "kline", "--drive", str(log)) as (_, source):
        status, out, _ = probe(source, "--seconds", "1", "--record", str(folder))
    assert status == 0
    assert re.search(r"MAF sensor voltage +1\.52 V\n", out)
    assert re.search(r"mass air flow +4\.56 g/s\n", out)
    assert re.search(r"throttle opening +not delivered\n", out)
    assert f"recorded in {folder}" in out
    samples = int(re.search(r"^(\d+) samples", out, re.MULTILINE)[1])
    (recording,) = folder.iterdir()
    assert main(["replay", str(recording), "--filters", "none", "--format", "json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert samples <= table["samples"]["seen"] <= samples + 3, "what came while it was told to end"
    assert table["logs"][0]["format"] == "recording of ssm-kline"


def test_a_second_source_is_probed_and_recorded_beside_the_first(probe, tmp_path: Path) -> None:
    with simulated("--transport", "kline") as (_, source), controller(lambda: ISP2) as device:
        second = f'\n[[second_source]]\nport = "{device.port.path}"\nsilent_s = 1.0\n'
        status, out, err = probe(source + second, "--seconds", "1", "--record", str(tmp_path / "raw"))
        assert (status, err) == (0, "")
        assert re.search(r"measured lambda +0\.991\n", out)
        assert f"\nwideband innovate on {device.port.path}: measuring, lambda 0.991\n" in out
        kinds = {path.name.rpartition("-2")[0] for path in (tmp_path / "raw").iterdir()}
        assert kinds == {"lowmaf-ssm-kline", "lowmaf-wideband"}
        status, out, err = probe('[source]\ndriver = "ssm-kline"\nport = "/dev/nosuchport7"\n' + second)
        assert (status, out) == (1, f"wideband innovate on {device.port.path}: measuring, lambda 0.991\n")
        assert err.startswith("lowmaf probe: serial port /dev/nosuchport7 cannot be opened")
        device.mute()
        status, out, err = probe(source + second, "--seconds", "1")
        assert status == 1
        assert "samples per second; the newest:" in out
        assert err.startswith(
            f"lowmaf probe: wideband innovate on {device.port.path} gave no reading for 1 s"
        )
        assert err.count("\n") == 1


def test_only_a_link_can_be_recorded(probe, tmp_path: Path) -> None:
    status, _, err = probe("[source]\n", "--record", str(tmp_path))
    assert status == 2
    assert "driver simulator has no link that can be recorded; those of can-broadcast, elm327, obd-can" in err


def test_a_bad_link_is_read_as_well(probe) -> None:
    with simulated("--transport", "kline", "--fault", "drop=0.1,garbage=0.2") as (_, source):
        status, out, _ = probe(source, "--seconds", "1")
    assert status == 0
    assert "samples" in out


def test_an_address_that_the_ecu_refuses_is_done_without(probe) -> None:
    with simulated("--transport", "slcan", "--fault", "negative=FF9921") as (_, source):
        status, out, _ = probe(source, "--seconds", "0.5")
    assert status == 0
    assert "loop state from OBD PID 03" in out


def test_a_link_that_goes_away_ends_the_command() -> None:
    with simulated("--transport", "kline", "--fault", "unplug=0.1s") as (process, _):
        assert process.wait(20.0) == 0


def test_nothing_to_probe_is_one_line_and_exit_status_1(probe) -> None:
    status, out, err = probe('[source]\ndriver = "ssm-kline"\nport = "/dev/nosuchport7"\n')
    assert (status, out) == (1, "")
    assert err.startswith("lowmaf probe: serial port /dev/nosuchport7 cannot be opened: no such port;")
    assert err.count("\n") == 1
    assert probe("[source]\n", "--seconds", "0")[0] == 2
    assert probe("[source]\ndriver = 'x'\n")[0] == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--transport", "kline", "--speed", "0"], "--speed 0 is impossible: allowed are 0.1 to 100"),
        (["--transport", "kline", "--seconds", "-1"], "--seconds -1 is impossible"),
        (
            ["--transport", "kline", "--fault", "drip=1"],
            "no fault 'drip', did you mean 'drop'?; known: drop, corrupt, garbage, delay_ms",
        ),
        (["--transport", "kline", "--fault", "drop=2"], "fault drop: met '2', allowed are 0 to 1"),
        (["--transport", "kline", "--fault", "drop"], "fault drop: met '', allowed are 0 to 1"),
        (
            ["--transport", "kline", "--fault", "negative=XYZ"],
            "fault negative: met 'XYZ', allowed are up to 6",
        ),
        (["--transport", "kline", "--drive", "citty"], "is no drive and no file, did you mean 'city'?"),
    ],
)
def test_what_cannot_be_simulated(capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    assert main(["simulate", *options]) == 2
    assert words in capsys.readouterr().err


def test_faults_in_words() -> None:
    assert parse_faults("drop=0.2, delay_ms=40") == LinkFaults(drop=0.2, delay_ms=40.0)
    assert not parse_faults("seed=3").any
    assert parse_faults("mute=10s,unplug=30,negative=ff9921") == LinkFaults(
        mute=10.0, unplug=30.0, negative=0xFF9921
    )


def test_ports_are_listed_with_what_to_write(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "daemon.commands.ports.serial_ports", lambda: [FoundPort("/dev/x", "a cable", "a hint")]
    )
    monkeypatch.setattr("daemon.commands.ports.can_interfaces", list)
    assert main(["ports"]) == 0
    assert capsys.readouterr().out == "/dev/x\n    a cable\n    a hint\n"
    monkeypatch.setattr("daemon.commands.ports.serial_ports", list)
    assert main(["ports"]) == 0
    assert "No serial port and no CAN interface was found" in capsys.readouterr().out


def test_a_driver_without_voltage_needs_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "car.toml"
    path.write_text('[source]\ndriver = "elm327"\n', encoding="utf-8")
    assert main(["check", "--config", str(path)]) == 2
    assert "driver elm327 reads the flow but no MAF voltage: [vehicle] maf_table" in capsys.readouterr().err
    (tmp_path / "maf.csv").write_text("V,g/s\n1.0,2.5\n2.0,10\n3.0,40\n", encoding="utf-8")
    path.write_text('[vehicle]\nmaf_table = "maf.csv"\n[source]\ndriver = "elm327"\n', encoding="utf-8")
    assert main(["check", "--config", str(path)]) == 0

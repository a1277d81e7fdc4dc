"""``lowmaf setup``: only the port that was picked, and a checked configuration or nothing."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import log_samples
import pytest
from passive_links import DBC, SIGNALS, controller

from daemon.cli import main
from daemon.commands import setup
from daemon.config.config import load_config
from daemon.config.example import example_text
from daemon.errors import WorkError
from daemon.setup import source as setup_source
from daemon.setup import writing as setup_writing
from daemon.setup.source import Identified, Source, sources_for
from daemon.store.opening import DatabaseLock
from drivers.clock import WallClock
from drivers.ports import DriverHint, FoundPort
from drivers.simulator.car import Car
from drivers.simulator.link_faults import NO_FAULTS
from drivers.simulator.settings import CarSettings
from drivers.simulator.transports import Transport, serve

TABLE = "V,g/s\n0.9,1.5\n2.0,12\n3.0,60\n4.9,300\n"
KLINE = FoundPort("/dev/null", "FTDI cable", DriverHint.CABLE)
OTHER = FoundPort("/dev/zero", "another device", DriverHint.SLCAN)


class Typed(io.StringIO):
    """A terminal on which somebody answers, and then presses Ctrl-C or goes away."""

    def __init__(self, *answers: str, then: type[BaseException] | None = None) -> None:
        super().__init__("".join(f"{answer}\n" for answer in answers))
        self._then = then

    def readline(self, size: int | None = -1, /) -> str:
        line = super().readline(-1 if size is None else size)
        if not line and self._then is not None:
            raise self._then
        return line


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a MAF table, on a machine with nothing installed and nothing plugged in."""
    for name in list(os.environ):
        if name.startswith("LOWMAF_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stock.csv").write_text(TABLE, encoding="utf-8")
    nowhere = tmp_path / "nowhere" / "lowmaf.toml"
    monkeypatch.setattr(setup, "INSTALLED_CONFIG", nowhere)
    monkeypatch.setattr(setup_writing, "INSTALLED_CONFIG", nowhere)
    monkeypatch.setattr(setup, "found_ports", list)
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def call(
        *options: str, answers: tuple[str, ...] = (), then: type[BaseException] | None = None
    ) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", Typed(*answers, then=then))
        status = main(["setup", *options])
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def car(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, object]]]:
    """Ports that are there, and a car that answers one driver on one of them; what was asked."""

    def plugged(answers: str | None, delivered: str = "maf_v fuel_loop", ports: int = 2):
        asked = []

        def identify(source: Source) -> Identified:
            asked.append((source.driver, source.options.get("port", source.options.get("channel"))))
            if source.driver != answers:
                raise WorkError(f"nobody speaks {source.driver}")
            return Identified(source, "ECU 1234", 30.4, frozenset(delivered.split()))

        monkeypatch.setattr(setup, "found_ports", lambda: [KLINE, OTHER][:ports])
        monkeypatch.setattr(setup, "identify", identify)
        return asked

    return plugged


@contextlib.contextmanager
def simulated(transport: Transport) -> Iterator[str]:
    served = serve(transport, Car(CarSettings(seed=1)), WallClock(), NO_FAULTS)
    try:
        yield served.source.get("port") or served.source["channel"]
    finally:
        served.stop()


def test_a_subaru_on_a_k_line_is_found_named_and_configured(run, folder: Path) -> None:
    with simulated(Transport.KLINE) as port:
        status, out, err = run(answers=(port, "Anna's WRX", "'stock.csv'"))
        assert (status, err) == (0, "")
        assert "found: SSM on K-line" in out
        assert "ECU 4D12044006" in out
        assert "understood: 4 cells from 0.90 to 4.90 V, 1.50 to 300.00 g/s" in out
        assert f"lowmaf run --config {folder}/lowmaf.toml" in out
        assert "http://localhost:8000" in out
    config = load_config(folder / "lowmaf.toml", {})
    assert (config.source.driver, config.source.options) == ("ssm-kline", {"port": port})
    assert config.vehicle.name == "Anna's WRX"
    assert config.vehicle.maf_table == folder / "stock.csv"
    assert main(["check", "--config", "lowmaf.toml"]) == 0


def test_an_obd_adapter_on_the_same_kind_of_port_is_found_after_it_did_not_speak_ssm(
    run, folder: Path
) -> None:
    with simulated(Transport.ELM327) as port:
        status, out, _ = run("--yes", "--port", port, "--maf-table", "stock.csv")
    assert status == 0, out
    assert "ssm-kline …\n  no Subaru ECU answers" in out
    assert load_config(folder / "lowmaf.toml", {}).source.driver == "elm327"


def test_only_the_port_that_was_picked_is_asked(run, car) -> None:
    asked = car("elm327")
    status, out, _ = run(answers=("1", "", "stock.csv"))
    assert status == 0, out
    assert "2  /dev/zero: another device" in out
    assert asked == [("ssm-kline", "/dev/null"), ("elm327", "/dev/null")]


def test_with_several_ports_nobody_picks_one_for_the_owner(run, car, folder: Path) -> None:
    asked = car("ssm-kline")
    status, _, err = run("--yes")
    assert (status, asked) == (2, [])
    assert "--port is needed" in err
    car("ssm-kline", ports=1)
    assert run("--yes")[0] == 0
    assert load_config(folder / "lowmaf.toml", {}).source.options == {"port": "/dev/null"}


def test_a_car_that_is_silent_is_asked_again_then_a_driver_is_chosen(run, car, folder: Path) -> None:
    asked = car(None)
    status, out, _ = run(answers=("1", "", "1", "n", "obd-can", "", "stock.csv"))
    assert status == 0, out
    assert len(asked) == 4
    config = load_config(folder / "lowmaf.toml", {})
    assert config.source.driver == "obd-can"
    assert config.source.options == {"interface": "slcan", "channel": "/dev/null", "bitrate": 500_000}


def test_without_a_person_a_silent_car_is_an_error_unless_the_driver_is_named(run, car, folder: Path) -> None:
    car(None)
    before = set(folder.iterdir())
    status, _, err = run("--yes", "--port", "/dev/null")
    assert status == 1
    assert "no car was found on /dev/null: switch the ignition on" in err
    assert set(folder.iterdir()) == before
    status, out, _ = run("--yes", "--port", "/dev/null", "--driver", "ssm-kline")
    assert status == 0
    assert "The car did not answer; going on with what you say." in out


def test_without_a_person_what_is_not_there_is_said_before_the_car_is_asked(run, car, folder: Path) -> None:
    asked = car("ssm-kline")
    status, _, err = run("--yes", "--port", "/dev/nowhere")
    assert (status, err.count("\n")) == (1, 1)
    assert "there is no /dev/nowhere here" in err
    status, _, err = run("--yes", "--port", "/dev/null", "--maf-table", "nowhere.csv")
    assert status == 2
    assert "nowhere.csv" in err
    assert asked == []


def test_nothing_is_sent_where_that_is_not_wanted(run, car, folder: Path) -> None:
    asked = car("ssm-kline")
    assert run("--yes", "--no-identify", "--port", "can7", "--driver", "ssm-can")[0] == 0
    assert asked == []
    options = load_config(folder / "lowmaf.toml", {}).source.options
    assert options == {"interface": "socketcan", "channel": "can7"}
    status, _, err = run("--yes", "--replace", "--no-identify", "--port", "can7")
    assert status == 2
    assert "--port and --driver are needed" in err


def test_the_definition_is_asked_for_only_where_the_loop_is_not_known(run, car) -> None:
    car("ssm-kline", delivered="maf_v stft_pct")
    status, out, _ = run(answers=("1", "", "", ""))
    assert status == 0
    assert "A RomRaider logger definition (XML) knows it." in out
    car("ssm-kline")
    status, out, _ = run("--replace", answers=("1", "", ""))
    assert status == 0
    assert "RomRaider logger definition" not in out


@pytest.mark.parametrize("answered", range(4))
@pytest.mark.parametrize(("then", "expected"), [(KeyboardInterrupt, 130), (None, 2)])
def test_who_stops_half_way_leaves_nothing_behind(
    run, car, folder: Path, answered: int, then, expected
) -> None:
    car("elm327")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    answers = ("1", "WRX", "none.csv", "stock.cvs")[:answered]
    status, _, err = run(answers=answers, then=then)
    assert status == expected
    assert (expected == 2) == ("the answers ended at" in err)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_what_ends_it_while_it_writes_leaves_nothing_behind(run, folder: Path, monkeypatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(setup_writing, "check_config", interrupted)
    before = set(folder.iterdir())
    assert run("--yes", "--driver", "simulator")[0] == 130
    assert set(folder.iterdir()) == before


def test_interrupted_while_it_asks_the_car_it_ends_at_once_and_leaves_nothing(folder: Path) -> None:
    ours, theirs = os.openpty()
    before = set(folder.iterdir())
    port = os.ttyname(theirs)
    process = subprocess.Popen(
        [sys.executable, "-m", "daemon", "setup", "--config", "car.toml", "--port", port],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        env=os.environ | {"TERM": "dumb", "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"Asking on {port} with ssm-kline …\n"
        assert os.read(ours, 100)[:3] == bytes.fromhex("80 10 f0"), "the request was on the wire"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20.0)
    finally:
        process.kill()
        process.communicate()
        os.close(ours)
        os.close(theirs)
    assert (process.returncode, out, err) == (130, "", "")
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--maf-table", "none.csv"), "--maf-table: "),
        (("--ecu-definition", "stock.csv"), "--ecu-definition: "),
        (("--name", "a\nb"), "[vehicle] name"),
        (("--host", ""), "[web] host"),
        (("--config", "no/where.toml"), "there is no folder"),
        (("--config", "."), "this is a folder"),
    ],
)
def test_what_cannot_be_is_said_in_a_line_and_nothing_is_written(
    run, folder: Path, options, words: str
) -> None:
    before = set(folder.iterdir())
    status, _, err = run("--yes", "--driver", "simulator", *options)
    if options == ("--host", ""):  # an empty one is none: the default
        assert status == 0
        return
    assert status == 2
    assert words in err
    assert str(folder / ".lowmaf") not in err, "the place where it was staged is nobody's business"
    assert set(folder.iterdir()) == before


def test_an_earlier_configuration_is_never_lost(run, folder: Path) -> None:
    place = folder / "lowmaf.toml"
    place.write_text("[vehicle]\nname = 'mine'\n", encoding="utf-8")
    place.chmod(0o600)
    status, _, err = run("--yes", "--driver", "simulator")
    assert status == 2
    assert "there is a configuration already; --replace" in err
    assert run("--driver", "simulator", answers=("n",))[0] == 1
    assert "mine" in place.read_text(encoding="utf-8")
    status, out, _ = run("--driver", "simulator", answers=("y", "new"))
    assert status == 0, out
    (kept,) = folder.glob("lowmaf.toml.before-*")
    assert str(kept) in out
    assert "mine" in kept.read_text(encoding="utf-8")
    assert load_config(place, {}).vehicle.name == "new"
    assert [path.stat().st_mode & 0o777 for path in (place, kept)] == [0o600, 0o600]


def test_the_installed_example_is_replaced_and_what_the_service_needs_lies_beside_it(
    run, car, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder / "etc" / "lowmaf.toml"
    place.parent.mkdir()
    installed = (
        example_text().replace("127.0.0.1", "0.0.0.0").replace('"lowmaf.sqlite3"', '"/somewhere.sqlite3"')
    )
    place.write_text(installed, encoding="utf-8")
    place.chmod(0o640)
    for module in (setup, setup_writing):
        monkeypatch.setattr(module, "INSTALLED_CONFIG", place)
    monkeypatch.setattr(setup_writing, "INSTALLED_DATABASE", folder / "kept.sqlite3")
    car("ssm-kline", ports=1)
    status, out, _ = run("--yes", "--maf-table", "stock.csv")
    assert status == 0, out
    assert sorted(path.name for path in place.parent.iterdir()) == ["lowmaf.toml", "maf_table.csv"]
    config = load_config(place, {})
    assert config.vehicle.maf_table == place.parent / "maf_table.csv"
    assert config.storage.database == folder / "kept.sqlite3"
    assert config.web.host == "0.0.0.0"
    assert place.stat().st_mode & 0o777 == 0o640
    assert "sudo systemctl enable lowmaf" in out
    (folder / "stock.csv").write_text(TABLE.replace("60", "61"), encoding="utf-8")
    assert run("--yes", "--replace", "--maf-table", "stock.csv")[0] == 0
    (kept,) = place.parent.glob("maf_table.csv.before-*")
    assert kept.read_text(encoding="utf-8") == TABLE


def test_a_running_daemon_is_not_disturbed(run, car, folder: Path) -> None:
    asked = car("ssm-kline")
    (folder / "lowmaf.toml").write_text("[source]\ndriver = 'ssm-kline'\n", encoding="utf-8")
    lock = DatabaseLock(folder / "lowmaf.sqlite3")
    try:
        status, _, err = run("--yes", "--replace", "--port", "/dev/null")
    finally:
        lock.release()
    assert (status, asked) == (1, [])
    assert "has the link to the car: stop it, then try again" in err


def test_what_a_device_calls_itself_cannot_move_the_cursor(run, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = FoundPort("/dev/null", "\x1b[2J gift", DriverHint.CABLE)
    monkeypatch.setattr(setup, "found_ports", lambda: [evil])
    _, out, _ = run(answers=())
    assert "\\x1b[2J gift" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("port", "driver", "expected"),
    [
        ("can0", None, [("ssm-can", "socketcan"), ("obd-can", "socketcan")]),
        ("/dev/acm", None, [("ssm-can", "slcan"), ("obd-can", "slcan")]),
        ("tcp://192.168.0.10:35000", None, [("elm327", None)]),
        ("/dev/rfcomm0", None, [("elm327", None)]),
        ("/dev/ttyUSB7", None, [("ssm-kline", None), ("elm327", None)]),
        ("/dev/ttyUSB7", "elm327", [("elm327", None)]),
        ("/dev/ttyUSB7", "obd-can", [("obd-can", "slcan")]),
        ("", "simulator", [("simulator", None)]),
    ],
)
def test_what_is_tried_follows_from_the_port(port: str, driver: str | None, expected) -> None:
    found = [FoundPort("can0", "", DriverHint.SOCKETCAN), FoundPort("/dev/acm", "", DriverHint.SLCAN)]
    sources = sources_for(port, found, driver)
    assert [(source.driver, source.options.get("interface")) for source in sources] == expected
    for source in sources:
        assert port in source.options.values() or source.driver == "simulator"


def test_why_a_port_cannot_be_one_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_source, "can_interfaces", lambda: [FoundPort("can0", "", DriverHint.SOCKETCAN)])
    assert setup_source.missing("can0") is None
    assert setup_source.missing("/dev/null") is None
    assert "there is no can1 here" in str(setup_source.missing("can1"))
    assert "neither a serial port nor" in str(setup_source.missing(str(tmp_path)))
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "usermod -aG dialout" in str(setup_source.missing("/dev/null"))


def test_what_was_built_in_is_listed_last(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [FoundPort(path, "", DriverHint.CABLE) for path in ("/dev/ttyAMA0", "/dev/ttyS0", "/dev/ttyUSB0")]
    monkeypatch.setattr(setup_source, "serial_ports", lambda: ports)
    monkeypatch.setattr(setup_source, "can_interfaces", lambda: [FoundPort("can0", "", DriverHint.SOCKETCAN)])
    listed = [port.path for port in setup_source.found_ports()]
    assert listed == ["/dev/ttyUSB0", "can0", "/dev/ttyAMA0", "/dev/ttyS0"]


def test_an_ecu_that_broadcasts_is_asked_for_its_file_and_its_signals(run, car, folder: Path) -> None:
    car("can-broadcast", ports=1)
    shutil.copy(DBC, folder / "car.dbc")
    signals = "maf_v=MafVoltage, stft_pct=ShortTrim, ltft_pct=0, fuel_loop=LoopState:Closed"
    answers = ("no.dbc", "stock.csv", "car.dbc", "maf_v=Volts", "maf_v=MafVoltage", signals, "WRX", "", "")
    status, out, err = run("--driver", "can-broadcast", "--port", "can7", answers=answers)
    assert (status, err) == (0, "")
    assert "no.dbc: No such file" in out
    assert "it has Engine.EngineSpeed, MafVoltage" in out
    assert "no signal for stft_pct, ltft_pct, fuel_loop" in out
    options = load_config(folder / "lowmaf.toml", {}).source.options
    assert options == {
        "interface": "socketcan",
        "channel": "can7",
        "dbc": str(folder / "car.dbc"),
        "signals": signals,
    }
    assert run("--yes", "--replace", "--port", "can7", "--dbc", "car.dbc", "--signals", signals)[0] == 0
    assert load_config(folder / "lowmaf.toml", {}).source.driver == "can-broadcast"
    for more, words in (
        (("--dbc", "stock.csv"), "--dbc: "),
        (("--dbc", "car.dbc"), "--signals is needed"),
        (("--dbc", "car.dbc", "--signals", "maf_v=Volts"), "--signals: "),
        (("--dbc", "car.dbc", "--driver", "ssm-can"), "are for can-broadcast here, not for ssm-can"),
    ):
        status, _, err = run("--yes", "--replace", "--port", "can7", *more)
        assert status == 2
        assert words in err


def test_a_log_in_place_of_a_port_is_replayed(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "drive.csv").write_bytes(log_samples.romraider())
    assert run(answers=("drive.csv", "", "stock.csv"))[0] == 0
    config = load_config(folder / "lowmaf.toml", {})
    assert (config.source.driver, config.source.options["file"]) == ("replay", str(folder / "drive.csv"))
    status, _, err = run("--yes", "--replace", "--driver", "replay", "--port", "none.csv")
    assert status == 2
    assert "there is no such file" in err
    place = folder / "etc" / "lowmaf.toml"
    place.parent.mkdir()
    for module in (setup, setup_writing):
        monkeypatch.setattr(module, "INSTALLED_CONFIG", place)
    monkeypatch.setattr(setup_writing, "INSTALLED_DATABASE", folder / "kept.sqlite3")
    shutil.copy(DBC, folder / "car.dbc")
    status, _, err = run("--yes", "--port", "drive.csv", "--dbc", "car.dbc", "--signals", SIGNALS)
    assert (status, err) == (0, "")
    assert sorted(path.name for path in place.parent.iterdir()) == [
        "broadcast.dbc", "log.csv", "lowmaf.toml"
    ]  # fmt: skip
    options = load_config(place, {}).source.options
    assert options["dbc"] == str(place.parent / "broadcast.dbc"), "the service sees nobody's home"


def test_another_serial_port_may_be_a_wideband_controller(run, car, folder: Path, monkeypatch) -> None:
    car("ssm-kline", ports=1)
    with controller(lambda: b"14.7\r\n") as aem:
        beside = FoundPort(aem.port.path, "USB serial", DriverHint.CABLE)
        monkeypatch.setattr(setup, "found_ports", lambda: [KLINE, beside, OTHER])
        status, out, _ = run(answers=("1", "", "stock.csv", "3"))
        assert status == 0, out
        assert f"{beside.path}: USB serial" in out
        assert f"found: wideband aem on {beside.path}, measuring, lambda 1.000" in out
        second = load_config(folder / "lowmaf.toml", {}).second_source
        assert second is not None
        assert (second.driver, second.options) == ("wideband", {"controller": "aem", "port": beside.path})
        assert run("--replace", answers=("1", "", "", ""))[0] == 0
        assert load_config(folder / "lowmaf.toml", {}).second_source is None
        assert run("--yes", "--replace", "--port", "/dev/null")[0] == 0
        assert load_config(folder / "lowmaf.toml", {}).second_source is None


def test_a_wideband_controller_that_is_silent_is_configured_all_the_same(run, car, folder: Path) -> None:
    car("ssm-kline", ports=1)
    given = ("--wideband", "innovate", "--wideband-port", str(folder / "ttyUSB9"))
    status, out, _ = run("--yes", *given)
    assert status == 0
    assert "is the adapter plugged in?; it is configured all the same" in out
    assert load_config(folder / "lowmaf.toml", {}).second_source is not None
    assert run("--yes", "--replace", "--wideband", "aem-can", "--wideband-port", "can3")[0] == 0
    second = load_config(folder / "lowmaf.toml", {}).second_source
    assert second is not None
    assert second.options == {"controller": "aem-can", "interface": "socketcan", "channel": "can3"}
    for options, words in (
        (("--wideband", "aem"), "--wideband-port is needed too"),
        (("--wideband-port", "/dev/null"), "--wideband is needed too"),
        (("--driver", "simulator", *given), "nothing that is measured now can be laid over simulator"),
    ):
        status, _, err = run("--yes", "--replace", *options)
        assert status == 2
        assert words in err

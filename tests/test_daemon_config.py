"""Configuration: what is read, what is refused and in which words, and the example file."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.config import DEFINITION, ConfigError, load_config, section_keys
from daemon.config.example import example_text
from daemon.config.sections import SECTIONS, Config, SecondSourceSettings
from daemon.config.toml_lines import key_lines
from drivers.clock import WallClock
from drivers.registry import DRIVERS, create, create_second
from lowmaf.filters import Filters


@pytest.fixture
def write(tmp_path: Path):
    def write_config(content: str | bytes) -> Path:
        path = tmp_path / "car.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_config


def problems(path: Path, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environment or {})
    assert all("\n" not in problem for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]


def test_an_empty_file_gives_every_default(write) -> None:
    path = write("")
    config = load_config(path, {})
    assert config == Config(path=path, storage=config.storage)
    assert config.storage.database == path.parent / "lowmaf.sqlite3"
    assert config.filters == Filters()
    assert config.web.host == "127.0.0.1"


def test_values_reach_their_sections(write) -> None:
    config = load_config(
        write(
            """
            web.port = 0
            [vehicle]
            name = "WRX"
            maf_table = "tables/now.csv"
            [source]
            driver = "ssm-can"
            channel = "vcan0"
            bitrate = 500_000
            [filters]
            min_ect_c = "off"
            max_iat_c = 40
            max_rpm = inf
            [estimator]
            name = "nearest"
            loop_kp = 1
            [storage]
            database = "/var/lib/lowmaf/lowmaf.sqlite3"
            """
        ),
        {},
    )
    assert config.vehicle.maf_table == config.path.parent / "tables/now.csv"
    assert config.source.options == {"channel": "vcan0", "bitrate": 500_000}
    assert config.filters == Filters(min_ect_c=-math.inf, max_iat_c=40.0)
    assert config.estimator.name == "nearest"
    assert config.estimator.curve.loop_kp == 1.0
    assert isinstance(config.estimator.curve.loop_kp, float)
    assert config.storage.database == Path("/var/lib/lowmaf/lowmaf.sqlite3")
    assert config.web.port == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[vehicle]\nnmae = 'x'", "2: no key 'nmae' in [vehicle]; nearest is 'name'"),
        ("[web]\nqqq = 1", "2: no key 'qqq' in [web]; keys are host, port, tls_certificate"),
        ("[web]\nlevel = 'info'", "2: no key 'level' in [web]; it belongs below [log]"),
        ("port = 80", "1: port stands outside its section: it belongs below [web]"),
        ("\n[wbe]\nport = 80", "2: no section [wbe]; nearest is [web]; sections are vehicle,"),
        ("[[web]]\nport = 80", "1: web is a section: write [web] once"),
        ("web = 3", "1: web is a section: write [web] once"),
        ("[web]\nport = 80000", "2: [web] port = 80000: a whole number from 0 to 65535 is needed"),
        ("[web]\nport = 80.0", "2: [web] port = 80.0: a whole number from 0 to 65535 is needed"),
        ("[web]\nport = true", "2: [web] port = true: a whole number from 0 to 65535 is needed"),
        ("[web]\nhost = ''", '2: [web] host = "": an empty text is not allowed here'),
        ('[web]\nhost = "a\\u0000"', '2: [web] host = "a\\u0000": a text on one line'),
        ("[web]\nhost = 127", "2: [web] host = 127: a text in quotes is needed"),
        ("[web]\nhost_names = 'pi'", "2: [web] host_names = \"pi\": a list of texts is needed"),
        ("[storage]\nkeep_samples = 1", "2: [storage] keep_samples = 1: true or false is needed"),
        ("[storage]\ndatabase = ''", '2: [storage] database = "": an empty text is not allowed here'),
        ("[log]\nlevel = 'loud'", '2: [log] level = "loud": allowed are "debug", "info", "warning", "error"'),
        ("[log]\nlevel = ['info']", '2: [log] level = ["info"]: allowed are "debug",'),
        ("[filters]\nmin_ect_c = nan", '2: [filters] min_ect_c = nan: a number from -50 to 150 °C, or "off"'),
        ("[filters]\nmin_ect_c = inf", "2: [filters] min_ect_c = inf: a number from -50"),
        ("[filters]\nmin_ect_c = 1" + "0" * 400, "2: [filters] min_ect_c = 1000"),
        ("[filters]\nmin_ect_c = 2026-01-01", "2: [filters] min_ect_c = 2026-01-01: a number from"),
        ("#\n[estimator]\ndelay_min_s = 0.6", "2: [estimator] delay_min_s = 0.6 s is above delay_max_s"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(write, text: str, expected: str) -> None:
    path = write(text)
    (problem,) = problems(path)
    assert problem.startswith(expected)


def test_all_errors_are_told_at_once_in_the_order_of_the_file(write) -> None:
    path = write("[log]\nlevel = 1\n[web]\nport = -1\nhsot = 'x'\n[filters]\nmax_rpm = 'fast'\n")
    assert [problem.partition(":")[0] for problem in problems(path)] == ["2", "4", "5", "7"]
    with pytest.raises(ConfigError, match=r"^4 errors in the configuration\n"):
        load_config(path, {})


def test_the_value_of_an_unknown_key_is_not_told(write) -> None:
    path = write("[web]\npasword = 'hunter2'\n")
    told = problems(path, {"LOWMAF_WEB_TOKEN": "hunter3", "LOWMAF_TOKEN": "hunter4"})
    assert len(told) == 3
    assert "hunter" not in "".join(told)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[web\n", r":1:5: not valid TOML: "),
        (b"[web]\nport 80\n", r":2:6: not valid TOML: Expected '=' after a key"),
        (b"[web]\nport = \n", r":2:8: not valid TOML: "),
        (b"[web]\nport = 1\nport = 2\n", r":3:\d+: not valid TOML: Cannot overwrite a value"),
        (b"[web]\nhost = '\xff'\n", r":2: byte 0xff is not UTF-8"),
        ("[web]\nhost = 'x'\n".encode("utf-16"), r":1: byte 0xff is not UTF-8"),
        (b"x = " + b"[" * 100_000, r": not valid TOML: "),
        (b"x = 1" + b"0" * 5000, r": not valid TOML: Exceeds the limit"),
        (b"#" * 1_000_001, r": more than 1000000 bytes are no configuration"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_toml_is_refused_in_one_line(write, content: bytes, expected: str) -> None:
    path = write(content)
    with pytest.raises(ConfigError, match=expected) as caught:
        load_config(path, {})
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "none.toml", "no such file"),
        (tmp_path, "a folder, not a configuration file"),
        (tmp_path / "a\0b", "cannot be read"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
    ):
        with pytest.raises(ConfigError, match=words):
            load_config(path, {})


def test_line_ends_and_a_byte_order_mark_do_not_matter(write) -> None:
    path = write(b"\xef\xbb\xbf[web]\r\nport = 81\r\n")
    assert load_config(path, {}).web.port == 81


def test_the_environment_overrides_the_file(write) -> None:
    config = load_config(
        write("[web]\nport = 81\nhost = '0.0.0.0'\n[source]\nchannel = 'can0'\n"),
        {
            "LOWMAF_SOURCE_DRIVER": "ssm-can",
            "LOWMAF_WEB_PORT": "82",
            "LOWMAF_WEB_HOST_NAMES": "car.example, pi",
            "LOWMAF_STORAGE_KEEP_SAMPLES": "False",
            "LOWMAF_STORAGE_COMMIT_INTERVAL_S": "5",
            "LOWMAF_FILTERS_MIN_ECT_C": "off",
            "LOWMAF_SOURCE_CHANNEL": "vcan1",
            "LOWMAF_SOURCE_BITRATE": "500000",
            "PATH": "/bin",
        },
    )
    assert config.web.port == 82
    assert config.web.host == "0.0.0.0"
    assert config.web.host_names == ("car.example", "pi")
    assert config.storage.keep_samples is False
    assert config.storage.commit_interval_s == 5.0
    assert config.filters.min_ect_c == -math.inf
    assert config.source.options == {"channel": "vcan1", "bitrate": 500_000}


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("LOWMAF_WEB_PORT", "x\ny = 1", '[web] port = "x\\ny = 1": a whole number'),
        ("LOWMAF_WEB_PORT", "", '[web] port = "": a whole number'),
        ("LOWMAF_STORAGE_KEEP_SAMPLES", "perhaps", '[storage] keep_samples = "perhaps": true or false'),
        ("LOWMAF_WEB_PROT", "1", "no key 'prot' in [web]; nearest is 'port'"),
        ("LOWMAF_WBE_PORT", "1", "no section [wbe]; nearest is [web]"),
        ("LOWMAF_WEB", "1", "no section [web]"),
    ],
)
def test_a_wrong_variable_is_named(write, variable: str, value: str, expected: str) -> None:
    (problem,) = problems(write(""), {variable: value})
    assert problem.startswith(f"environment variable {variable}: {expected}")


def test_the_example_shows_every_key_as_it_is_by_default(project: Path) -> None:
    written = (project / "config.example.toml").read_text(encoding="utf-8")
    assert written == example_text(), "run: python -m daemon.config.example > config.example.toml"
    document = tomllib.loads(written)
    simulator = create("simulator", {}, WallClock())
    for option, default in asdict(simulator.options).items():
        assert document["source"].pop(option) == default
    assert {name: set(content) for name, content in document.items()} == {
        name: set(section_keys(kind)) for name, kind in SECTIONS.items()
    }


def test_the_example_is_accepted_and_changes_nothing(project: Path, write) -> None:
    example = load_config(project / "config.example.toml", {})
    nothing = load_config(write(""), {})
    for name in SECTIONS:
        if name not in ("storage", "source"):
            assert getattr(example, name) == getattr(nothing, name), name
    assert example.storage.database.parent == project
    assert example.source.driver == nothing.source.driver


def test_the_example_shows_the_options_of_every_driver(project: Path) -> None:
    written = (project / "config.example.toml").read_text(encoding="utf-8")
    for name in DRIVERS:
        assert f'driver = "{name}"' in written
        for option in asdict(create(name, {}, WallClock()).options).keys() - {DEFINITION}:
            assert re.search(rf"^(# )?{option} = ", written, re.MULTILINE), f"{name}: {option}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("driver = 'ssm-cam'", "2: [source] no driver 'ssm-cam', did you mean 'ssm-can'?; known: "),
        ("speed = 0", "2: [source] driver simulator, option speed: met 0"),
        ("driver = 'ssm-can'\nbitrat = 1", "3: [source] driver ssm-can has no option 'bitrat', did you mean"),
    ],
)
def test_the_driver_has_its_say(write, text: str, expected: str) -> None:
    (problem,) = problems(write(f"[source]\n{text}\n"))
    assert problem.startswith(expected)


def test_every_wrong_option_of_the_driver_is_told(write) -> None:
    path = write("[source]\nspeed = 'fast'\nseed = 3\ndrive = 'moon'\n")
    assert [problem.partition(":")[0] for problem in problems(path)] == ["2", "4"]


def test_the_example_shows_the_second_source_commented_out(project: Path) -> None:
    written = (project / "config.example.toml").read_text(encoding="utf-8")
    assert "second_source" not in tomllib.loads(written)
    for option in asdict(create_second("wideband", {}, WallClock()).options):
        assert re.search(rf"^# {option} = ", written, re.MULTILINE), option


def test_a_second_source_is_read_with_its_options(write) -> None:
    config = load_config(write("[[second_source]]\ncontroller = 'aem'\nport = '/dev/ttyUSB7'\n"), {})
    assert config.second_source == SecondSourceSettings(options={"controller": "aem", "port": "/dev/ttyUSB7"})
    assert load_config(write(""), {}).second_source is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[second_source]\nport = 'x'", "1: [[second_source]] stands once, with two brackets"),
        ("second_source = 3", "1: [[second_source]] stands once"),
        ("[[second_source]]\n[[second_source]]", "1: [[second_source]] stands once, with two brackets, and "),
        ("[[second_source]]\nprot = 'x'", "2: [[second_source]] driver wideband has no option 'prot', did"),
        ("[[second_source]]\ndriver = 'widebnd'", "2: [[second_source]] no second source 'widebnd', did you"),
        ("[[second_source]]\ndriver = 'obd-can'", "2: [[second_source]] no second source 'obd-can'; known: "),
        ("[[second_source]]\ndriver = 3", "2: [[second_source]] driver = 3: a text"),
        ("[[second_source]]\nsensor = 0", "2: [[second_source]] driver wideband, option sensor: met 0"),
        ("[source]\ndriver = 'wideband'", "2: [source] wideband is a second source: write it below [[second"),
    ],
)
def test_what_is_wrong_with_a_second_source_is_named(write, text: str, expected: str) -> None:
    (problem,) = problems(write(text))
    assert problem.startswith(expected)


def test_the_definition_of_the_cars_ecu_reaches_the_drivers_that_read_one(write, tmp_path: Path) -> None:
    (tmp_path / "logger.xml").write_text("<logger/>")
    vehicle = "[vehicle]\necu_definition = 'logger.xml'\n"
    config = load_config(write(f"{vehicle}[source]\ndriver = 'ssm-can'\n"), {})
    assert config.source.options == {DEFINITION: str(tmp_path / "logger.xml")}
    config = load_config(write(f"{vehicle}[source]\ndriver = 'obd-can'\n"), {})
    assert config.source.options == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[vehicle]\necu_definition = 'none.xml'", "2: [vehicle] ecu_definition: definition "),
        ("[vehicle]\necu_definition = 'bad.xml'", "2: [vehicle] ecu_definition: definition "),
        ("[source]\ndriver = 'ssm-can'\ndefinition = 'bad.xml'", "3: [source] definition: write it below [v"),
    ],
)
def test_a_definition_that_is_none_is_told(write, tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "bad.xml").write_text("<logger>")
    (problem,) = problems(write(text))
    assert problem.startswith(expected)


def test_every_key_says_what_it_means() -> None:
    for name, kind in SECTIONS.items():
        for key, (hint, spec) in section_keys(kind).items():
            assert spec.metadata.get("meaning"), f"[{name}] {key}"
            if hint in (int, float):
                assert {"unit", "low", "high"} <= set(spec.metadata), f"[{name}] {key}"


KEYS = st.sampled_from(["a", "b-c", '"d e"', "'f.g'", "h_1"])
VALUES = st.sampled_from(
    ["1", '"x # y"', "'[z]'", '["a",\n "=", # [c]\n]', '"""\n[no]\nk = 1\n"""', "'''\nq = 2'''", "{ i = 1 }"]
)
BETWEEN = st.sampled_from(["", "\n", "# [comment]\n", "   # k = v\n"])


@given(st.lists(st.tuples(BETWEEN, KEYS, VALUES), max_size=5, unique_by=lambda entry: entry[1]), BETWEEN)
def test_lines_are_found_around_every_kind_of_value(
    entries: list[tuple[str, str, str]], between: str
) -> None:
    text = f"{between}[table.sub] # = [x]\n"
    expected = {("table", "sub"): text.count("\n")}
    for space, key, value in entries:
        text += space
        expected[("table", "sub", key.strip("\"'"))] = text.count("\n") + 1
        text += f"{key} = {value}\n"
    tomllib.loads(text)
    found = key_lines(text)
    assert {path: line for path, line in found.items() if path != ("table",)} == expected

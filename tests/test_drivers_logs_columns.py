"""Names, units and dialects: what each logger's headers are taken for."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.logs.aliases import ROLES, header_of, plain_name
from drivers.logs.column_units import resolve, time_unit
from drivers.logs.columns import candidates
from drivers.logs.dialect import recognise
from drivers.logs.formats import format_name
from drivers.logs.units import AFR, CELSIUS, FAHRENHEIT, LAMBDA, unit_of
from lowmaf.samples import CHANNELS


@pytest.mark.parametrize(
    ("header", "role"),
    [
        ("Time (msec)", "time"), ("Time", "time"), ("Time (sec)", "time"), ("Device Time", "time"),
        ("Mass Airflow Sensor Voltage (V)", "maf_v"), ("MAF Volts (V)", "maf_v"), ("MAF Volt. (V)", "maf_v"),
        ("MAF(V)", "maf_v"), ("MAF Voltage", "maf_v"),
        ("Mass Airflow (g/s)", "maf_gs"), ("MAF", "maf_gs"), ("MAF_g/s", "maf_gs"), ("MAF Corr. (g/s)",
        "maf_gs"),
        ("MAF Sensor (g/s)", "maf_gs"), ("Mass Air Flow Rate(g/s)", "maf_gs"),
        ("Mass Airflow (SAE) (lb/min)", "maf_gs"),
        ("A/F Correction #1 (%)", "stft_pct"), ("A/F Correction #1 (4-byte)* (%)", "stft_pct"),
        ("AF Correction 1 (%)", "stft_pct"), ("AFC", "stft_pct"), ("F_AFR_C_%", "stft_pct"),
        ("Fuel correct (%)", "stft_pct"), ("Fuel Trim Bank 1 Short Term(%)", "stft_pct"),
        ("SHORT TERM FUEL TRIM BANK 1", "stft_pct"), ("SHORT_TERM_FUEL_TRIM_BANK_1 ()", "stft_pct"),
        ("A/F Learning #1 (%)", "ltft_pct"), ("AFL", "ltft_pct"), ("Long Term FT", "ltft_pct"),
        ("CL/OL Fueling* (status)", "fuel_loop"), ("CL/OL", "fuel_loop"), ("Fuel System Status ()",
        "fuel_loop"),
        ("Closed Loop Sw (on/off)", "fuel_loop"),
        ("Engine Speed (rpm)", "rpm"), ("RPM (RPM)", "rpm"), (" Engine RPM(rpm)", "rpm"),
        ("Throttle_%", "throttle_pct"), ("Throttle Pos. (%)", "throttle_pct"),
        ("Engine Load (Calculated) (g/rev)", "load_g_rev"), ("Load_g/rev", "load_g_rev"),
        ("Engine Load (load)", "load_g_rev"),
        ("Vehicle Speed (mph)", "speed_kmh"), ("MPH", "speed_kmh"),
        ("Intake Air Temperature (\ufffdC)", "iat_c"), ("IAT_F", "iat_c"), ("Intake (degF)", "iat_c"),
        ("Coolant Temperature (Â°C)", "ect_c"), ("ECT_F", "ect_c"),
        ("A/F Sensor #1 (AFR)", "lambda_"), ("AFR (lambda)", "lambda_"), ("wbo2", "lambda_"),
        ("AEM UEGO Wideband [9600 baud] (AFR Gasoline)", "lambda_"), ("PLX O2 - Wideband (AFR Gasoline)",
        "lambda_"),
        ("Final Fueling Base (2-byte)* (estimated AFR)", "lambda_target"), ("FFB", "lambda_target"),
        ("Comm Fuel Final (AFR)", "lambda_target"), ("AFR Target (lambda)", "lambda_target"),
        ("Equivalence Ratio Commanded (AFR)", "lambda_target"),
    ],
)  # fmt: skip
def test_headers_of_every_logger_are_recognised(header: str, role: str) -> None:
    found = candidates([header_of(header)], {})
    assert list(found) == [role]


@pytest.mark.parametrize("channel", ["t_s", *CHANNELS])
def test_our_own_names_are_columns_too(channel: str) -> None:
    assert list(candidates([header_of(channel)], {})) == ["time" if channel == "t_s" else channel]


@pytest.mark.parametrize(
    "header",
    ["Mass Airflow Sensor (Hz)", "A/F Correction #3 (32-bit ECU) (%)", "Engine Load(%)", "Long B2 Trim",
     "LONG TERM FUEL TRIM BANK 2", "A/F Sensor #1 Resistance (ohm)", "MAF Corr. (V/s)", "Fuel Pump Duty (%)",
     "Boost Air Temp.", "Intake Temp Manifold (F)", "RPM Delta (RPM)", "AF Sens 3 Volts (V)",
     "time of day (%)"],
)  # fmt: skip
def test_other_headers_are_left_alone(header: str) -> None:
    found = candidates([header_of(header)], {})
    layout = resolve(found, lambda _index: np.array([50.0, 60.0]))
    assert layout.columns == {}


def test_alias_names_are_written_as_they_are_looked_up_and_belong_to_one_channel() -> None:
    for role in ROLES.values():
        names = [alias.name for alias in role.aliases]
        assert [plain_name(name) for name in names] == names
        assert len(set(names)) == len(names), role.name
        assert role.name == "time" or role.name in CHANNELS


@pytest.mark.parametrize(
    ("text", "unit"),
    [("°C", CELSIUS), ("\ufffdC", CELSIUS), ("Â°C", CELSIUS), ("degF", FAHRENHEIT), ("F", FAHRENHEIT),
    ("AFR", AFR),
     ("AFR Gasoline", AFR), ("λ", LAMBDA), ("furlong", None), ("", None)],
)  # fmt: skip
def test_units_however_they_are_written(text: str, unit) -> None:
    assert unit_of(text) is unit


@pytest.mark.parametrize(
    ("unit", "logged", "ours"),
    [("F", 212.0, 100.0), ("F", -40.0, -40.0), ("K", 273.15, 0.0), ("kg/h", 36.0, 10.0), ("lb/min",
    1.0, 7.559873),
     ("mph", 100.0, 160.9344), ("psi", 14.5037738, 100.0), ("bar", 1.0, 100.0), ("AFR", 14.7, 1.0),
     ("mV", 1500.0, 1.5), ("ms", 1500.0, 1.5), ("inHg", 29.92, 101.3207),
     ("min", 0.5, 30.0), ("h", 0.5, 1800.0)],
)  # fmt: skip
def test_conversions(unit: str, logged: float, ours: float) -> None:
    found = unit_of(unit)
    assert found is not None
    assert logged * found.factor + found.offset == pytest.approx(ours, rel=1e-6)


def resolved(headers: str, **values: list[float]):
    names = [header_of(text) for text in headers.split(";")]
    columns = [np.array(values.get(name.name.replace(" ", "_"), [1.0, 2.0])) for name in names]
    return resolve(candidates(names, {}), lambda index: columns[index])


@pytest.mark.parametrize(
    ("values", "unit"),
    [([62.6, 60.8], "°F"), ([35.6, 37.4], "°F"), ([69.0, 70.0], "°F"), ([20.0, 35.0], "°C"),
    ([20.5, 21.0], "°C"),
     ([], "°C")],
)  # fmt: skip
def test_the_unit_of_an_unlabelled_intake_temperature(values: list[float], unit: str) -> None:
    layout = resolved("IAT", iat=values)
    assert layout.columns["iat_c"].unit.symbol == unit
    assert layout.inferred
    assert bool(layout.warnings) == (unit == "°F")


def test_two_temperatures_of_a_log_have_one_unit() -> None:
    layout = resolved("IAT;ECT", iat=[40.0, 45.0], ect=[180.0, 190.0])
    assert layout.columns["iat_c"].unit is FAHRENHEIT
    assert any("°F, as ECT is" in words for words in layout.inferred)
    layout = resolved("IAT (C);ECT (C)", iat=[40.0], ect=[180.0])
    assert layout.columns["iat_c"].unit is CELSIUS


def test_an_afr_column_that_holds_lambda_is_read_as_lambda() -> None:
    layout = resolved("AFR;AFR Target (AFR)", afr=[0.98, 1.01], afr_target=[14.7, 14.6])
    assert layout.columns["lambda_"].unit is LAMBDA
    assert layout.columns["lambda_target"].unit is AFR
    called = resolved("A/F Sensor #1 (AFR);FFB", **{"a/f_sensor_1": [0.99, 1.0], "ffb": [14.7]})
    assert called.columns["lambda_"].unit is LAMBDA


@pytest.mark.parametrize(("step", "symbol"), [(0.04, "s"), (1.0, "s"), (40.0, "ms"), (40_000.0, "µs")])
def test_the_unit_of_an_unlabelled_time_is_told_by_its_steps(step: float, symbol: str) -> None:
    (option,) = candidates([header_of("Time")], {})["time"]
    unit, why = time_unit(option, 1e9 + step * np.arange(50.0))
    assert unit.symbol == symbol
    assert f"because rows are {step:g} apart" in why


def test_an_unlabelled_speed_is_left_out_and_said() -> None:
    layout = resolved("Vehicle Speed", vehicle_speed=[29.0, 30.0])
    assert layout.columns == {}
    assert layout.warnings == ["Vehicle Speed is left out: nothing says its unit"]


@pytest.mark.parametrize(
    ("largest", "symbol"), [(1.01, "bar"), (14.6, "psi"), (101.0, "kPa"), (1013.0, "mbar"), (0.0, None)]
)
def test_an_unlabelled_pressure_is_told_by_its_largest_value(largest: float, symbol: str | None) -> None:
    layout = resolved("MAP", map=[largest / 3, largest])
    found = layout.columns.get("map_kpa")
    assert (found.unit.symbol if found else None) == symbol


@pytest.mark.parametrize(
    ("lines", "separator", "decimal_comma", "header_line", "data_line"),
    [
        (["Time;RPM;MAF", "0;765;1,5"], ";", True, 0, 1),
        (["Time;RPM;MAF", "0;765;1.5"], ";", False, 0, 1),
        (["Time,RPM,MAF", "0,765,1"], ",", False, 0, 1),
        (["# made, by, hand", "notes", "Time\tRPM\tMAF", "s\trpm\tg/s", "0\t1\t2"], "\t", False, 2, 4),
        (["a,b", "1,2"], ",", False, 0, 1),
        (["x", "a b,c,d", "q,w", "1,2"], ",", False, 2, 3),
    ],
)
def test_dialects(lines, separator: str, decimal_comma: bool, header_line: int, data_line: int) -> None:
    dialect = recognise([line.encode() for line in lines], None)
    assert dialect is not None
    assert (dialect.separator, dialect.decimal_comma) == (separator, decimal_comma)
    assert (dialect.header_line, dialect.data_line) == (header_line, data_line)


def test_text_without_columns_has_no_dialect() -> None:
    assert recognise([b"hello", b"world"], None) is None


def test_format_names_are_only_names() -> None:
    assert format_name([], [header_of("a"), header_of("b")], ",") == "unknown"
    assert format_name(["Logfile created by ME7-Logger v1.20"], [header_of("a")], ";") == "me7logger"

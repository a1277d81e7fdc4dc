"""Small recorded logs of our own making, one for each shape that loggers write.

``python tests/log_samples.py`` writes them to ``recordings/logs``. The car is made up: it drives a sine,
its trims follow the voltage, and it opens the loop now and then.
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

FOLDER = pathlib.Path(__file__).resolve().parent / "recordings" / "logs"


@dataclass(frozen=True)
class Moment:
    """What the made-up car did at one time."""

    t_s: float
    volts: float
    short: float
    learned: float
    closed: bool
    rpm: int
    afr: float
    target: float

    @property
    def flow(self) -> float:
        return round(2.0 * self.volts**2.6, 2)


def drive(rows: int, step_s: float, start_s: float = 0.0) -> list[Moment]:
    """``rows`` moments, ``step_s`` apart."""
    moments = []
    for i in range(rows):
        volts = round(1.6 + 0.4 * math.sin(i / 9.0) + 0.02 * ((i * 7) % 3), 2)
        closed = (i // 25) % 4 != 3
        short = round(0.78125 * round(4.0 * math.sin(i / 3.7)), 5) if closed else 0.0
        moments.append(
            Moment(round(start_s + i * step_s, 3), volts, short, -1.5625, closed, 800 + 10 * i,
                   round(14.7 + short / 20.0, 2) if closed else 11.8, 14.7 if closed else 11.1)
        )  # fmt: skip
    return moments


def table(
    names: Sequence[str], rows: Sequence[Sequence[object]], separator: str = ",", end: str = "\n"
) -> str:
    """Lines of a delimited text."""
    return end.join(separator.join(str(cell) for cell in row) for row in (names, *rows)) + end


def romraider() -> bytes:
    names = ["Time (msec)", "A/F Correction #1 (%)", "A/F Correction #3 (32-bit ECU) (%)",
             "A/F Learning #1 (%)", "A/F Sensor #1 (AFR)", "CL/OL Fueling* (status)",
             "Coolant Temperature (C)", "Engine Speed (rpm)",
             "Final Fueling Base (2-byte)* (estimated AFR)", "Mass Airflow (g/s)",
             "Mass Airflow Sensor Voltage (V)"]  # fmt: skip
    rows = [
        [round(m.t_s * 1000), m.short, 9.99, m.learned, m.afr, 8 if m.closed else 10, 85, m.rpm, m.target,
         m.flow, m.volts]
        for m in drive(120, 0.1)
    ]  # fmt: skip
    return table(names, rows).encode()


def romraider_semicolon() -> bytes:
    """Decimal commas, and the names again in the middle because a unit changed."""
    parts = []
    for unit, degrees, moments in (
        ("C", "85,00", drive(60, 0.2)),
        ("F", "185,00", drive(60, 0.2, 12.0)),
    ):
        names = ["Time (msec)", "A/F Correction #1 (%)", "A/F Learning #1 (%)", "CL/OL Fueling* (status)",
                 f"Coolant Temperature ({unit})", "Mass Airflow Sensor Voltage (V)"]  # fmt: skip
        rows = [
            [
                round(m.t_s * 1000),
                comma(m.short),
                comma(m.learned),
                8 if m.closed else 7,
                degrees,
                comma(m.volts),
            ]
            for m in moments
        ]
        parts.append(table(names, rows, ";", "\r\n"))
    return "".join(parts).encode()


def comma(value: float) -> str:
    return f"{value:.2f}".replace(".", ",")


def romraider_clock() -> bytes:
    """Minutes and tenths that wrap at the hour, then whole seconds with AM and PM."""
    names = ["Time", "A/F Correction #1 (%)", "A/F Learning #1 (%)", "CL/OL Fueling* (status)",
             "Engine Speed (rpm)", "Intake Air Temperature (F)",
             "Mass Airflow Sensor Voltage (V)"]  # fmt: skip
    rows = []
    for m in drive(160, 0.125, 59 * 60 + 50.0):
        minute, second = divmod(m.t_s, 60.0)
        stamp = f"{int(minute) % 60:02}:{int(second * 10) / 10:04.1f}"
        if m.t_s > 60 * 60 + 4:
            stamp = f"1:{int(minute) % 60:02}:{int(second):02} PM"
        rows.append([stamp, m.short, m.learned, 8 if m.closed else 10, m.rpm, 59, m.volts])
    return table(names, rows).encode()


def tactrix() -> bytes:
    """Names chosen by the user, °F that nothing states, a wide-band that warms up, a hole in time."""
    names = ["sample", "time", "wbo2", "AFR", "FFB", "AFC", "AFL", "RPM", "MPH", "IAT", "MAF", "MAF(V)",
             "Throttle", "MAP", "CL/OL"]  # fmt: skip
    rows = [
        [i, f"{m.t_s + (0 if i < 70 else 228.2):.2f}", 10.17 if i < 40 else m.afr, m.afr, m.target,
         m.short, m.learned, m.rpm, 20, (62.6, 60.8, 59)[i // 50],
         m.flow, m.volts, 9.41177, 5.075, 8 if m.closed else 10]
        for i, m in enumerate(drive(140, 0.04, 5.8))
    ]  # fmt: skip
    return table(names, rows).encode()


def ecutek() -> bytes:
    """BOM, CRLF, milliseconds that nothing states, fuel system status as OBD codes it."""
    names = ["Time", "Coolant Temperature (°C)", "Engine Speed (RPM)", "Fuel System Status ()",
             "Fuel Trim Short Term (%)", "Fuel Trim Long Term (%)", "AFR (AFR)", "Engine Load (load)",
             "Equivalence Ratio Commanded (AFR)", "MAF Sensor (g/s)", "MAF Voltage (V)"]  # fmt: skip
    rows = [
        [31 + round(m.t_s * 1000), 88, m.rpm, 2 if m.closed else 4, m.short, m.learned, m.afr, 0.4, m.target,
         m.flow, m.volts]
        for m in drive(120, 0.078)
    ]  # fmt: skip
    return b"\xef\xbb\xbf" + table(names, rows, end="\r\n").encode()


def cobb_switch() -> bytes:
    """A closed-loop switch that stays on while the commanded mixture is rich; cp1252."""
    names = ["Time (sec)", "AF Correction 1 (%)", "AF Learning 1 (%)", "AF Sens 1 Ratio (AFR)",
             "AVCS In Left (°)", "Closed Loop Sw (on/off)", "Comm Fuel Final (AFR)", "Coolant Temp (F)",
             "MAF Volt (V)", "RPM (RPM)", "AP Info:[AP3-SUB-000 v0][made up][Reflash: none]"]  # fmt: skip
    rows = [
        [
            f"{m.t_s:.3f}",
            m.short,
            m.learned,
            m.afr,
            0,
            "off" if i > 90 else "on",
            m.target,
            190,
            m.volts,
            m.rpm,
            0,
        ]
        for i, m in enumerate(drive(110, 0.05))
    ]
    return table(names, rows).encode("cp1252")


def cobb_no_flag() -> bytes:
    """No closed-loop flag, degree signs destroyed, no units in part of the names."""
    names = ["Time", "Calculated Load", "Intake Temp.", "Long Term FT", "MAF Voltage", "Mass Airflow (g/s)",
             "Knock Retard (\ufffd)", "Throttle Position", "Actual AFR", "Engine Speed",
             "Short Term FT"]  # fmt: skip
    rows = [
        [f"{m.t_s:.3f}", 0.32, 69, m.learned, m.volts, m.flow, 0, 9, round(m.afr / 14.7, 2), m.rpm, m.short]
        for m in drive(100, 0.12)
    ]
    return table(names, rows).encode()


def btssm() -> bytes:
    """g/s without volts, lambda, and a last line that is cut."""
    names = ["Time (msec)", "AFR (lambda)", "AFR Target (lambda)", "Coolant (degF)", "Fuel correct (%)",
             "Fuel learn (%)", "MAF (g/s)", "RPM", "Speed (mph)", "Throttle plate (%)"]  # fmt: skip
    rows = [
        [77 + round(m.t_s * 1000), round(m.afr / 14.7, 2), round(m.target / 14.7, 2), 183, m.short, m.learned,
         m.flow, m.rpm, 12.0, 7.1]
        for m in drive(100, 0.1)
    ]  # fmt: skip
    return table(names, rows).encode()[:-23]


def obd_utf16() -> bytes:
    """UTF-16, two lines before the names, fuel status in words, spaces after the commas, a date as time."""
    names = ["Device Time", " MAF sensor voltage (V)", " Mass Air Flow Rate(g/s)",
             " Short term fuel trim bank 1 (%)", " Long term fuel trim bank 1 (%)", " Fuel Status",
             " Engine RPM(rpm)", " Engine Load(%)"]  # fmt: skip
    rows = []
    for m in drive(80, 0.5, 11 * 3600 + 34 * 60):
        clock = f"{int(m.t_s) // 3600:02}:{int(m.t_s) // 60 % 60:02}:{m.t_s % 60:06.3f}"
        state = "Closed loop, using oxygen sensor feedback" if m.closed else "Open loop due to engine load"
        rows.append([f"02-Aug-2026 {clock}", f" {m.volts}", f" {m.flow}", f" {m.short}", f" {m.learned}",
                     f' "{state}"', f" {m.rpm}", " 31"])  # fmt: skip
    return ("Data Log\nAug 2, 2026\n" + table(names, rows)).encode("utf-16")


def stitched() -> bytes:
    """Two drives in one file: the names again, time from the start, CR CR LF, units glued to values."""
    names = ["timestamp", "stft", "ltft", "maf v", "CL/OL", "rpm"]
    rows = [[f"{m.t_s:.2f}", f"{m.short}%", m.learned, f"{m.volts} V", 8 if m.closed else 10, m.rpm]
            for m in drive(60, 0.25)]  # fmt: skip
    return (table(names, rows, end="\r\r\n") * 2).encode()


def unit_row() -> bytes:
    """A comment before the names, a row of units below them, tabs, empty cells and one that is no number."""
    names = ["time", "MAF sensor voltage", "STFT", "LTFT", "Fuel System Status", "ECT", "RPM"]
    rows: list[list[object]] = [["ms", "mV", "%", "%", "", "°F", "rpm"]]
    for i, m in enumerate(drive(90, 0.1)):
        volts: object = "" if i == 5 else "Infinity" if i == 6 else round(m.volts * 1000)
        rows.append([round(m.t_s * 1000), volts, m.short, m.learned, 2 if m.closed else 1, 190, m.rpm])
    return ("# made up\n" + table(names, rows, "\t")).encode()


def torque() -> bytes:
    """Two clocks as text, spaces after the commas, no space before the unit, "-" for what was not read."""
    names = ["GPS Time", "Device Time", " Longitude", " G(x)", "Engine Coolant Temperature(°C)",
             "Engine Load(%)", "Engine RPM(rpm)", "Fuel Trim Bank 1 Long Term(%)",
             "Fuel Trim Bank 1 Short Term(%)", "Fuel Status", "Mass Air Flow Rate(g/s)",
             "Speed (OBD)(km/h)"]  # fmt: skip
    rows = []
    for i, m in enumerate(drive(90, 0.5, 11 * 3600 + 34 * 60)):
        clock = f"{int(m.t_s) // 3600:02}:{int(m.t_s) // 60 % 60:02}:{m.t_s % 60:06.3f}"
        state = "CL: normal" if i % 2 else "Closed loop"
        rows.append([f"Sun Aug 02 {clock[:8]} GMT+01:00 2026", f"02-Aug-2026 {clock}", "8.5", "0.1", "88",
                     "31.4", m.rpm, m.learned, m.short, state if m.closed else "Open loop",
                     "-" if i == 7 else m.flow,
                     30])  # fmt: skip
    return table(names, rows).encode()


def car_scanner() -> bytes:
    """One value per row, seconds of the day across midnight, every channel in its turn."""
    rows: list[list[object]] = []
    for m in drive(120, 0.4, 86_400.0 - 20.0):
        state = "Closed loop, using oxygen sensor feedback" if m.closed else "Open loop due to engine load"
        channels = (
            ("Engine RPM", m.rpm, "rpm"), ("Engine coolant temperature", 91, "\u2103"),
            ("Short term fuel % trim - Bank 1", m.short, "%"),
            ("Long term fuel % trim - Bank 1", m.learned, "%"),
            ("Fuel System Status", state, ""), ("MAF air flow rate", m.flow, "g/sec"),
        )  # fmt: skip
        for turn, (name, value, unit) in enumerate(channels):
            rows.append([round((m.t_s + 0.05 * turn) % 86_400.0, 3), name, value, unit, "48.1", "11.5"])
    quoted = [[f'"{cell}"' for cell in row] for row in rows]
    names = [f'"{name}"' for name in ("SECONDS", "PID", "VALUE", "UNITS", "LATITUDE", "LONGTITUDE")]
    return table([*names, ""], [[*row, ""] for row in quoted], ";").encode()


def obd_fusion() -> bytes:
    """A comment with the date before the names, pounds per minute, °F."""
    names = ["Time (sec)", " Engine RPM (RPM)", " Engine coolant temperature (°F)",
             " Short term fuel % trim - Bank 1 (%)", " Long term fuel % trim - Bank 1 (%)",
             " Fuel system 1 status ()", " Mass air flow rate (lb/min)"]  # fmt: skip
    rows = [
        [f"{m.t_s:.3f}", m.rpm, 194, m.short, m.learned, "CL" if m.closed else "OL-Drive",
         round(m.flow * 60 / 453.59237, 4)]
        for m in drive(80, 0.3)
    ]  # fmt: skip
    return ("# StartTime = 08/02/2026 11:34:40.2100 AM\n" + table(names, rows)).encode()


def _hp_tuners(maf_name: str, maf_unit: str, maf: str) -> bytes:
    names = ["Offset", "Engine RPM (SAE)", "Engine Coolant Temp (SAE)", "Short Term Fuel Trim Bank 1 (SAE)",
             "Long Term Fuel Trim Bank 1 (SAE)", "Fuel System #1 Status (SAE)", maf_name]  # fmt: skip
    rows = [
        [f"{m.t_s:.3f}", m.rpm, 196, m.short, m.learned, "CL" if m.closed else "OL",
         round(m.flow * 60 / 453.59237, 4) if maf == "flow" else 3000 + 10 * m.rpm]
        for m in drive(100, 0.1)
    ]  # fmt: skip
    banner = ["HP Tuners CSV Log File", "Version: 1.0", "", "[Log Information]",
              "Creation Time: 8/2/2026 11:34:40 AM", "Notes: ", "", "[Channel Information]",
              "0,12,5,6,7,3,16", ",".join(names), f"s,rpm,°F,%,%,,{maf_unit}", "",
              "[Channel Data]"]  # fmt: skip
    data = [",".join(str(cell) for cell in row) for row in rows]
    return ("\r\n".join([*banner, *data]) + "\r\n").encode()


def hp_tuners() -> bytes:
    """A banner, sections with numbers, names and units of the channels, then the data."""
    return _hp_tuners("Mass Airflow (SAE)", "lb/min", "flow")


def hp_tuners_hz() -> bytes:
    """A MAF sensor that answers in Hz: neither volts nor flow."""
    return _hp_tuners("Mass Airflow Sensor", "Hz", "frequency")


def megasquirt() -> bytes:
    """Tabs, units below the names, a mark that the driver set, feedback as a share of the fuel."""
    names = ["Time", "SecL", "RPM", "MAP", "TPS", "AFR", "MAT", "CLT", "EGO cor1", "MAF", "AFR Target"]
    units = ["s", "sec", "RPM", "kPa", "%", "AFR", "°C", "°C", "%", "g/s", "AFR"]
    rows: list[list[object]] = [list(units)]
    for i, m in enumerate(drive(110, 0.07)):
        if i == 40:
            rows.append(["MARK 001 - Sun Aug 02 11:34:52 GMT 2026"])
        rows.append(
            [f"{m.t_s:.3f}", int(m.t_s), m.rpm, 45, 12.5, m.afr, 30, 88, 100 + m.short, m.flow, m.target]
        )
    return (
        '"MS3 Format 0095.00"\n"Capture Date: Sun Aug 02 11:34:40 2026"\n' + table(names, rows, "\t")
    ).encode()


def bluedriver() -> bytes:
    """UTF-16, a title and a date before the names."""
    names = ["Time(s)", " Short Term Fuel Trim - Bank 1 (%)", " Long Term Fuel Trim - Bank 1 (%)",
             " Mass Air Flow Rate (g/s)", " Engine RPM (rpm)"]  # fmt: skip
    rows = [
        [f"{m.t_s:.2f}", f" {m.short}", f" {m.learned}", f" {m.flow}", f" {m.rpm}"] for m in drive(70, 0.4)
    ]
    return ("BlueDriver Data Log\nAug 2, 2026\n" + table(names, rows)).encode("utf-16")


def me7logger() -> bytes:
    """A long preamble, three lines of names, and no trims: the lambda control is a factor."""
    rows: list[list[object]] = [
        [" sec.ms ", " rpm ", " g/s ", " - ", " V "],
        ['"TIME"', '"EngineSpeed"', '"MassAirFlow"', '"LambdaControl"', '""'],
    ]
    rows += [[f"{m.t_s:9.3f}", f" {m.rpm} ", f" {m.flow} ", f" {1 + m.short / 100:.5f} ", f" {m.volts} "]
             for m in drive(60, 0.05)]  # fmt: skip
    names = ["TimeStamp", " nmot_w ", " mshfm_w ", " fr_w ", " uhfm_w "]
    preamble = "#######\nLogfile created by ME7-Logger (made up)\n\nLogging with:    20 samples/second\n\n"
    return (preamble + table(names, rows, ";")).encode()


def vcds() -> bytes:
    """Measuring blocks, each with a time of its own; names in two lines, one above the other."""
    lines = ["Sunday,02,August,2026,11:34:40:00000-VCID:0,VCDS Version: made up", "000 000 000 X,,made up,",
             "", ",Group A:,'003,,,Group B:,'032,,,",
             ",,Engine Speed,Mass Air,,Lambda Control,Lambda Adapt.,MAF,Fuel System",
             ",TIME,,Flow,TIME,Bank 1,Partial,Voltage,Status",
             "Marker,STAMP, /min, g/s,STAMP, %, %, V,"]  # fmt: skip
    lines += [
        f",{m.t_s:.2f},{m.rpm},{m.flow},{m.t_s + 0.1:.2f},{m.short},{m.learned},{m.volts},"
        f"{2 if m.closed else 4}"
        for m in drive(75, 0.3)
    ]
    return ("\r\n".join(lines) + "\r\n").encode()


SAMPLES = {
    "romraider.csv": romraider,
    "romraider_semicolon.csv": romraider_semicolon,
    "romraider_clock.csv": romraider_clock,
    "tactrix.csv": tactrix,
    "ecutek.csv": ecutek,
    "cobb_switch.csv": cobb_switch,
    "cobb_no_flag.csv": cobb_no_flag,
    "btssm.csv": btssm,
    "obd_utf16.csv": obd_utf16,
    "stitched.csv": stitched,
    "unit_row.tsv": unit_row,
    "torque.csv": torque,
    "car_scanner.csv": car_scanner,
    "obd_fusion.csv": obd_fusion,
    "hp_tuners.csv": hp_tuners,
    "hp_tuners_hz.csv": hp_tuners_hz,
    "megasquirt.msl": megasquirt,
    "bluedriver_utf16.csv": bluedriver,
    "me7logger.csv": me7logger,
    "vcds.csv": vcds,
}

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in SAMPLES.items():
        (FOLDER / name).write_bytes(make())

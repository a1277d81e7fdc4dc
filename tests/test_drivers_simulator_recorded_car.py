"""A simulated ECU that shows the values of a recorded log."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.logs.errors import LogUnreadableError
from drivers.logs.opening import open_log
from drivers.obd_frames import CurrentDataReply
from drivers.simulator.ecu_answers import EcuAnswers
from drivers.simulator.recorded_car import RecordedCar
from drivers.ssm_frames import PARAMETERS, ReadReply, ReadRequest

HEADER = (
    "Time (msec),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL Fueling* (status),"
    "Mass Airflow Sensor Voltage (V),Engine Speed (rpm)"
)


def log(folder: Path, rows: list[str]) -> Path:
    path = folder / "drive.csv"
    path.write_text("\n".join([HEADER, *rows, ""]))
    return path


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """Two seconds; the engine speed is missing in one row."""
    rows = [
        f"{5000 + 100 * n},{n},-1.5,8,{1.0 + n / 100:.2f},{'' if n == 3 else 1000 + 10 * n}"
        for n in range(20)
    ]
    return log(tmp_path, rows)


def test_it_shows_what_the_log_showed_at_that_time(drive: Path) -> None:
    car = RecordedCar(lambda: open_log(drive))
    assert car.shown == {"stft_pct", "ltft_pct", "fuel_loop", "maf_v", "rpm"}
    assert (car.t_s, car.value("maf_v")) == (0.0, 1.0)
    car.advance_to(0.25)
    assert (car.value("maf_v"), car.value("rpm")) == (1.02, 1020.0)
    car.advance_to(0.3)
    assert (car.value("maf_v"), car.value("rpm")) == (1.03, 1020.0), "missing: as before"
    car.advance_to(0.1)
    assert car.value("maf_v") == 1.03, "time does not go back"
    car.advance_to(1.95)
    assert car.value("maf_v") == 1.19


def test_at_its_end_it_is_driven_again(drive: Path) -> None:
    car = RecordedCar(lambda: open_log(drive))
    car.advance_to(2.85)
    assert car.value("maf_v") == 1.19
    car.advance_to(2.95)
    assert car.value("maf_v") == 1.0
    car.advance_to(3.05)
    assert car.value("maf_v") == 1.01
    car.advance_to(1000.0)
    again = 1000.0 % 2.9
    assert car.value("maf_v") == pytest.approx(1.0 + 0.01 * min(int(again / 0.1 + 1e-9), 19))


class Now:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now(self) -> float:
        return self.time_s

    def wall_s(self, interval_s: float) -> float:
        return interval_s


def test_the_ecu_offers_what_the_log_has_and_nothing_else(drive: Path) -> None:
    clock = Now()
    ecu = EcuAnswers(RecordedCar(lambda: open_log(drive)), clock)
    clock.time_s = 0.5
    offered = {p.channel for p in PARAMETERS if ecu.identify().supports(p.index, p.bit)}
    assert offered == {"stft_pct", "ltft_pct", "maf_v", "rpm"}
    reply = ReadReply.from_bytes(ecu.answer(ReadRequest((0x1D, 0x0E, 0x0F)).to_bytes()), 3)
    assert reply.values == bytes((round(1.05 * 50), 1050 * 4 >> 8, 1050 * 4 & 0xFF))
    bits = CurrentDataReply.from_bytes(ecu.answer(b"\x01\x00")).data[0]
    assert bits == (1 << 32 - 0x03 | 1 << 32 - 0x06 | 1 << 32 - 0x07 | 1 << 32 - 0x0C).to_bytes(4, "big")


def test_a_log_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogUnreadableError):
        RecordedCar(lambda: open_log(log(tmp_path, [])))

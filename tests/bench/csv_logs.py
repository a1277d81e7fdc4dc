"""RomRaider-style logs for the benchmarks: 18 columns at 30 Hz, any length, the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

COLUMNS = (
    "Time (msec)", "A/F Correction #1 (%)", "A/F Learning #1 (%)", "A/F Sensor #1 (AFR)",
    "Battery Voltage (V)",
    "CL/OL Fueling* (status)", "Coolant Temperature (C)", "Engine Load (Calculated) (g/rev)",
    "Engine Speed (rpm)", "Feedback Knock Correction (1-byte)** (degrees)",
    "Final Fueling Base (2-byte)* (estimated AFR)", "Ignition Total Timing (degrees)",
    "Intake Air Temperature (C)", "Manifold Absolute Pressure (psi)", "Mass Airflow (g/s)",
    "Mass Airflow Sensor Voltage (V)", "Throttle Opening Angle (%)", "Vehicle Speed (km/h)",
)  # fmt: skip
SIZES = {"0.6 MB": 7_834, "2.07 MB": 26_222, "20 MB": 249_906}
ALL_SIZES = {
    "0.6 MB": 7_834, "0.75 MB": 9_587, "0.83 MB": 10_502, "2.07 MB": 26_222, "20 MB": 249_906,
    "200 MB": 2_499_060,
}  # fmt: skip
"""The first four are the lengths of the original service's own benchmark."""
_ROWS_AT_ONCE = 50_000


def write_log(path: Path, rows: int) -> None:
    """Writes a log of so many rows."""
    random = np.random.default_rng(1)
    with path.open("w", encoding="utf-8", newline="\n") as log:
        log.write(",".join(COLUMNS) + "\n")
        for first in range(0, rows, _ROWS_AT_ONCE):
            numbers = np.arange(first, min(first + _ROWS_AT_ONCE, rows))
            time_s = numbers * 0.0333
            volts = 1.7 + 0.5 * np.sin(time_s / 7.0) + random.normal(0.0, 0.02, numbers.size)
            short = random.integers(-8, 9, numbers.size) * 0.78125
            status = np.where((numbers // 400) % 5, 8, 10)
            columns = (time_s.tolist(), volts.tolist(), short.tolist(), status.tolist())
            log.write(
                "".join(
                    f"{time * 1000:.0f},{s:.2f},-1.56,{14.6 + s / 20:.2f},13.92,{code},88,{0.2 + v / 8:.2f},"
                    f"{900 + 700 * v:.0f},0,14.70,{20 + v:.1f},25,{5.1 + v:.2f},{2 * v**2.6:.2f},{v:.2f},"
                    f"{6 + v:.2f},{30 + v:.0f}\n"
                    for time, v, s, code in zip(*columns, strict=True)
                )
            )

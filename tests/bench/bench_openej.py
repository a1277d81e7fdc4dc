"""The OpenEJ route without HTTP: ``python tests/bench/bench_openej.py``, about half a minute.

CPU time from the bytes of a request to the bytes of the answer, against the least that it takes in
Python: msgspec decoding and the same NumPy calculation. Target: within 1.1 of that.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
import numpy as np
from csv_logs import SIZES
from figures import report
from interleaved import medians_s, print_ratios

from lowmaf.openej import OpenEjColumns, openej_table
from web.openej import analyse, columns_from_json

TARGET = 1.1


class Row(msgspec.Struct, gc=False):
    """A row as the original service declares it."""

    time: int
    af_correction_short: float
    af_correction_learning: float
    intake_air_temp: int
    mass_airflow_voltage: float
    cl_ol_status: int


def body_of(rows: int) -> bytes:
    """A request as the original web client sends it."""
    random = np.random.default_rng(1)
    volts = np.round(1.7 + 0.5 * np.sin(np.arange(rows) / 200.0) + random.normal(0.0, 0.005, rows), 2)
    short = random.integers(-8, 9, rows) * 0.78125
    return json.dumps(
        [
            {"time": i * 33, "af_correction_short": s, "af_correction_learning": -1.5625,
             "intake_air_temp": 25, "mass_airflow_voltage": v, "cl_ol_status": 8 if (i // 400) % 5 else 10}
            for i, (v, s) in enumerate(zip(volts.tolist(), short.tolist(), strict=True))
        ]
    ).encode()  # fmt: skip


def least(body: bytes) -> int:
    """Strict decoding and the same calculation, nothing else."""
    rows = msgspec.json.decode(body, type=list[Row])
    names = ("time", "af_correction_short", "af_correction_learning", "mass_airflow_voltage", "cl_ol_status")
    columns = [np.array([getattr(row, name) for row in rows], dtype=np.float64) for name in names]
    return int(openej_table(OpenEjColumns(*columns)).frequency.sum())


def main() -> None:
    for title, rows in SIZES.items():
        body = body_of(rows)
        damaged = body.replace(b'"intake_air_temp": 25', b'"intake_air_temp": null', 1)
        columns = columns_from_json(body)
        rivals = {
            "msgspec + NumPy": lambda body=body: least(body),
            "lowmaf": lambda body=body: analyse(body),
            "lowmaf, one damaged row": lambda damaged=damaged: analyse(damaged),
            "the calculation alone": lambda columns=columns: openej_table(columns),
        }
        medians = medians_s(rivals, 5 if rows > 100_000 else 15)
        print_ratios(
            f"log of {title}, {rows} rows, body of {len(body) / 1e6:.2f} MB", medians, "msgspec + NumPy"
        )
        peer = ("msgspec + NumPy", 1e3 * medians["msgspec + NumPy"])
        for name in ("lowmaf", "lowmaf, one damaged row"):
            limit = TARGET if name == "lowmaf" else None
            what = f"request of {title}, bytes to answer{name.removeprefix('lowmaf')}"
            report(what, 1e3 * medians[name], "ms", peer=peer, ratio_at_most=limit)


if __name__ == "__main__":
    main()

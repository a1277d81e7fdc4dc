"""What reading a log must give, as numbers; and the one command that writes these numbers anew.

``python tests/log_expectations.py`` reads our own recordings and, where they are there, the recorded
logs of others, of which only numbers are kept. Look at the differences before committing them.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

from drivers.logs.errors import LogUnreadableError
from drivers.logs.opening import open_log
from lowmaf.maf_table import SUBARU_WRX_AXIS_V, MafTable
from lowmaf.pipeline import Pipeline
from lowmaf.samples import FuelLoop, SampleBatch

TESTS = pathlib.Path(__file__).resolve().parent
RECORDINGS = TESTS / "recordings" / "logs"
SHARED = TESTS.parent.parent / "shared" / "logs"
OWN_NUMBERS = TESTS / "recordings" / "logs_expected.json"
SHARED_NUMBERS = TESTS / "recordings" / "shared_logs_expected.json"
SHARED_FOLDERS = {"subaru-tactrix": "*.csv", "ecutek": "*.csv", "cobb": "*.csv", "jafner": "*.csv",
                  "odd": "*.csv", "can": "*.log"}  # fmt: skip


def expectation(path: pathlib.Path) -> dict[str, Any]:
    """What the reader and the filters make of a log, in numbers and our own words."""
    reader = open_log(path)
    try:
        batch = SampleBatch.concatenate(reader.batches())
    except LogUnreadableError as error:
        return {"refused": error.reason.split(";")[0]}
    summary = reader.summary
    loop = batch["fuel_loop"]
    return {
        "format": summary.format,
        "encoding": summary.encoding,
        "rows": summary.rows,
        "samples": len(batch),
        "unusable": sum(summary.unusable.values()),
        "gaps": summary.gaps,
        "duration_s": round(float(batch.t_s[-1]), 3),
        "rate_hz": round(summary.sample_rate_hz or 0.0, 2),
        "closed": int(np.count_nonzero(loop == FuelLoop.CLOSED)),
        "flag": "fuel_loop" in summary.columns,
        "converted": len(summary.converted),
        "inferred": len(summary.inferred),
        "warnings": len(summary.warnings),
        "verdicts": verdicts(batch),
        "means": {
            name: float(f"{np.nanmean(values):.6g}")
            for name, values in batch.channels.items()
            if np.isfinite(values).any()
        },
    }


def verdicts(batch: SampleBatch) -> dict[str, int]:
    """How many samples were counted and how many were not, by reason, on the axis of the 2002-2007 WRX.

    A log without MAF voltage is put on it by a made-up curve.
    """
    volts = np.array(SUBARU_WRX_AXIS_V)
    table = MafTable("expectations", volts, None if "maf_v" in batch.channels else 2.0 * volts**2.6)
    pipeline = Pipeline(table)
    pipeline.begin(1)
    pipeline.feed(batch)
    pipeline.finish()
    counts = pipeline.snapshot().counts
    assert counts.seen == counts.accepted + sum(counts.rejected.values()) == len(batch)
    return {"accepted": counts.accepted, **{reason: n for reason, n in counts.rejected.items() if n}}


def own_logs() -> list[pathlib.Path]:
    """Our own recordings."""
    return sorted(path for path in RECORDINGS.iterdir() if path.is_file())


def shared_logs() -> list[pathlib.Path]:
    """The recorded logs of others; none where they are absent."""
    return sorted(
        path for folder, pattern in SHARED_FOLDERS.items() for path in (SHARED / folder).glob(pattern)
    )


def write(numbers: pathlib.Path, found: dict[str, Any]) -> None:
    numbers.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    write(OWN_NUMBERS, {path.name: expectation(path) for path in own_logs()})
    if SHARED.is_dir():
        found = {f"{path.parent.name}/{path.name}": expectation(path) for path in shared_logs()}
        write(SHARED_NUMBERS, found)

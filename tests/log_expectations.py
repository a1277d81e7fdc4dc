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
from drivers.logs.reader import LogReader
from lowmaf.samples import FuelLoop, SampleBatch

TESTS = pathlib.Path(__file__).resolve().parent
RECORDINGS = TESTS / "recordings" / "logs"
SHARED = TESTS.parent.parent / "shared" / "logs"
OWN_NUMBERS = TESTS / "recordings" / "logs_expected.json"
SHARED_NUMBERS = TESTS / "recordings" / "shared_logs_expected.json"
SHARED_FOLDERS = ("subaru-tactrix", "ecutek", "cobb", "jafner", "odd")


def expectation(path: pathlib.Path) -> dict[str, Any]:
    """What the reader makes of a log, in numbers and our own words."""
    reader = LogReader(path)
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
        "means": {
            name: float(f"{np.nanmean(values):.6g}")
            for name, values in batch.channels.items()
            if np.isfinite(values).any()
        },
    }


def own_logs() -> list[pathlib.Path]:
    """Our own recordings."""
    return sorted(path for path in RECORDINGS.iterdir() if path.is_file())


def shared_logs() -> list[pathlib.Path]:
    """The recorded logs of others; none where they are absent."""
    return sorted(path for folder in SHARED_FOLDERS for path in (SHARED / folder).glob("*.csv"))


def write(numbers: pathlib.Path, found: dict[str, Any]) -> None:
    numbers.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    write(OWN_NUMBERS, {path.name: expectation(path) for path in own_logs()})
    if SHARED.is_dir():
        found = {f"{path.parent.name}/{path.name}": expectation(path) for path in shared_logs()}
        write(SHARED_NUMBERS, found)

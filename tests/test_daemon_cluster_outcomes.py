"""What travels to the client for every log comes back as it was, and is small."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import pytest

from daemon.cluster.outcomes import Outcome, outcomes_from_bytes, outcomes_to_bytes
from drivers.logs.summary import LogSummary
from lowmaf.loop_gain import LoopAnswer
from lowmaf.merging import Said
from lowmaf.snapshot import DataWarning

SUMMARY = LogSummary(
    "Fahrt – 1.csv",
    "RomRaider",
    "utf-8",
    3600,
    {"no time": 3},
    {"maf_v": "Mass Airflow Sensor Voltage (V)", "stft_pct": "A/F Correction #1 (%)"},
    ("km/h from mph",),
    (),
    ("two columns are alike",),
    2,
    30.000000000000004,
    119.9,
)
READ = Outcome(
    "0123456789abcdef" * 4,
    SUMMARY,
    (),
    True,
    4,
    119.9,
    ((-math.inf, DataWarning("filter_off", "no coolant", True)), (3.0, DataWarning("other", "words"))),
    (Said(LoopAnswer(0.1, 2.0 / 3.0, 1e-300), 5e-324),),
)
UNREADABLE = Outcome(None, None, ("letter.csv: no log",), False, 0, None, (), ())


@pytest.mark.parametrize("outcomes", [[], [READ], [UNREADABLE, READ, UNREADABLE]])
def test_outcomes_come_back_as_they_were(outcomes) -> None:
    assert outcomes_from_bytes(outcomes_to_bytes(outcomes)) == outcomes


def test_not_a_number_comes_back_as_such() -> None:
    (back,) = outcomes_from_bytes(outcomes_to_bytes([replace(READ, updated_s=math.nan)]))
    assert back.updated_s is not None
    assert math.isnan(back.updated_s)


def test_a_log_among_others_of_its_kind_takes_few_bytes() -> None:
    alike = [
        replace(
            READ,
            digest=hashlib.sha256(bytes([number])).hexdigest(),
            updated_s=number / 7.0,
            summary=replace(SUMMARY, name=f"{number}.csv"),
        )
        for number in range(32)
    ]
    assert len(outcomes_to_bytes(alike)) < 32 * 150

"""Coarse MAF volts are refined with the logged g/s, within their steps, where table and log agree."""

from __future__ import annotations

import io

import numpy as np
import pytest

from drivers.logs.opening import open_log
from lowmaf.maf_table import MafTable, default_axis
from lowmaf.samples import SampleBatch

STEP_V = 0.02
VOLTS = np.linspace(0.8, 4.0, 33)
TABLE = MafTable("stock", VOLTS, 2.0 * VOLTS**2.6)
HEADER = "Time (msec),Mass Airflow Sensor Voltage (V),Mass Airflow (g/s),A/F Correction #1 (%),"
HEADER += "A/F Learning #1 (%),CL/OL Fueling* (status),Engine Speed (rpm)\n"


def true_volts(n: int = 8000) -> np.ndarray:
    """A drive's voltage, V: (n,)."""
    random = np.random.default_rng(11)
    return np.interp(np.arange(n), np.arange(0, n + 200, 200), random.uniform(1.1, 2.6, n // 200 + 1))


def log_of(volts: np.ndarray, flow_gs: np.ndarray, step_v: float = STEP_V, step_gs: float = 0.01) -> bytes:
    logged_v, logged_gs = np.round(volts / step_v) * step_v, np.round(flow_gs / step_gs) * step_gs
    rows = zip(logged_v, logged_gs, strict=True)
    return (
        HEADER + "".join(f"{40 * i},{v:.4f},{g:.4f},1.5,0,8,2000\n" for i, (v, g) in enumerate(rows))
    ).encode()


def read(text: bytes, table: MafTable | None):
    drive = open_log(io.BytesIO(text), "drive.csv", maf_table=table)
    return SampleBatch.concatenate(drive.batches()), drive.summary


def test_volts_come_back_from_finer_flow_and_the_summary_says_so() -> None:
    volts = true_volts()
    text = log_of(volts, TABLE.flow_at(volts))
    coarse, _ = read(text, None)
    finer, summary = read(text, TABLE)
    assert np.abs(coarse["maf_v"] - volts).max() > 0.45 * STEP_V
    assert np.abs(finer["maf_v"] - volts).max() < 0.002
    np.testing.assert_array_equal(finer["maf_gs"], coarse["maf_gs"])
    (words,) = (text for text in summary.inferred if "refined" in text)
    assert words == (
        "Mass Airflow Sensor Voltage (V): refined within its steps of 0.02 V by the MAF table at "
        "Mass Airflow (g/s), 100 % of the samples"
    )


def test_no_voltage_moves_by_more_than_half_a_step_and_what_is_far_off_stays() -> None:
    """The flow lags here, as it does where volts and flow are read one after the other."""
    volts = true_volts()
    text = log_of(volts, TABLE.flow_at(np.concatenate((volts[:8], volts[:-8]))))
    coarse, _ = read(text, None)
    finer, _ = read(text, TABLE)
    moved = np.abs(finer["maf_v"] - coarse["maf_v"])
    assert moved.max() <= 0.5 * STEP_V + 1e-12
    off = np.abs(TABLE.voltage_at(coarse["maf_gs"]) - coarse["maf_v"])
    assert (off > STEP_V).any()
    assert not moved[off > 1.001 * STEP_V].any()


def test_a_log_that_disagrees_with_the_table_stays_as_it_is_and_says_so() -> None:
    volts = true_volts()
    text = log_of(volts, 1.08 * TABLE.flow_at(volts))
    coarse, plain = read(text, None)
    kept, summary = read(text, TABLE)
    np.testing.assert_array_equal(kept["maf_v"], coarse["maf_v"])
    assert summary.inferred == plain.inferred
    (words,) = set(summary.warnings) - set(plain.warnings)
    assert words.startswith("the MAF volts stay in their steps of 0.02 V")
    assert "disagree, typically by 0.0" in words


@pytest.mark.parametrize(
    ("text", "table"),
    [
        (log_of(true_volts(), TABLE.flow_at(true_volts()), step_v=0.01), TABLE),
        (log_of(true_volts(), TABLE.flow_at(true_volts()), step_gs=1.0), TABLE),
        (log_of(true_volts(), TABLE.flow_at(true_volts())), default_axis()),
        (log_of(np.full(600, 1.5), TABLE.flow_at(np.full(600, 1.5))), TABLE),
    ],
    ids=["fine volts", "coarse flow", "axis without flow", "volts that stand still"],
)
def test_nothing_is_refined_without_need_or_means(text: bytes, table: MafTable) -> None:
    coarse, plain = read(text, None)
    kept, summary = read(text, table)
    np.testing.assert_array_equal(kept["maf_v"], coarse["maf_v"])
    assert (summary.inferred, summary.warnings) == (plain.inferred, plain.warnings)


def test_the_refined_volts_do_not_depend_on_the_chunks() -> None:
    volts = true_volts(12_000)
    text = log_of(volts, TABLE.flow_at(volts))
    whole, _ = read(text, TABLE)

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(3001, size if size and size > 0 else 3001))

    drive = open_log(Slow(text), "drive.csv", maf_table=TABLE)
    batches = list(drive.batches())
    assert len(batches) > 20
    np.testing.assert_array_equal(SampleBatch.concatenate(batches)["maf_v"], whole["maf_v"])

"""Polling the simulated car: staggered channels, lost samples, codings."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.simulator.car import Car
from drivers.simulator.recording import Coding, Polling, poll, record_drive
from drivers.simulator.settings import CarSettings
from lowmaf.samples import FuelLoop, SampleBatch

WARM = CarSettings(seed=3, ect_start_c=85.0)


def closed(batch: SampleBatch) -> np.ndarray:
    return batch["fuel_loop"] == FuelLoop.CLOSED


def test_staggered_channels_are_read_one_after_the_other() -> None:
    seconds, rate_hz = 40.0, 5.0
    staggered = poll(Car(WARM), seconds, Polling(rate_hz, Coding.FINE, staggered=True))
    fine = poll(Car(WARM), seconds, Polling(100.0, Coding.FINE))
    names = list(Polling().resolution)
    np.testing.assert_allclose(staggered.t_s, np.arange(1, 201) / rate_hz, atol=1e-9)
    for name in ("maf_v", "stft_pct", "rpm"):
        early_s = (len(names) - 1 - names.index(name)) / len(names) / rate_hz
        row = np.floor((staggered.t_s - early_s) / 0.01 + 1e-6).astype(int) - 1
        np.testing.assert_allclose(staggered[name], fine[name][row], atol=1e-9)
    assert not np.array_equal(staggered["maf_v"], fine["maf_v"][19::20])


def test_drop_outs_come_in_runs_and_are_the_same_each_time() -> None:
    polling = Polling(20.0, drop_share=0.2)
    lossy, whole = poll(Car(WARM), 300.0, polling), record_drive(WARM, 300.0)
    np.testing.assert_array_equal(lossy.t_s, poll(Car(WARM), 300.0, polling).t_s)
    arrived = np.isin(whole.t_s, lossy.t_s)
    assert 0.12 < 1.0 - arrived.mean() < 0.28
    np.testing.assert_array_equal(whole["maf_v"][arrived], lossy["maf_v"])
    runs = np.count_nonzero(np.diff(arrived.astype(int)) == -1)
    assert 2.5 < np.sum(~arrived) / runs < 6.0


def test_truncated_trims_are_low_by_half_a_step_and_fine_ones_are_exact() -> None:
    def polled(coding: Coding) -> SampleBatch:
        return poll(Car(WARM), 300.0, Polling(10.0, coding))

    fine, cut_off, rounded = polled(Coding.FINE), polled(Coding.TRUNCATED), polled(Coding.BYTES)
    step = 100.0 / 128.0
    low = (cut_off["stft_pct"] - fine["stft_pct"])[closed(fine)]
    assert low.min() > -step - 1e-3
    assert low.max() < 1e-3
    assert low.mean() == pytest.approx(-0.5 * step, abs=0.05)
    assert np.abs((rounded["stft_pct"] - fine["stft_pct"]).mean()) < 0.05
    np.testing.assert_array_equal(cut_off["maf_v"], rounded["maf_v"])
    assert np.unique(fine["stft_pct"]).size > 5 * np.unique(rounded["stft_pct"]).size
    assert np.abs(fine["maf_v"] - rounded["maf_v"]).max() == pytest.approx(0.01, abs=0.001)

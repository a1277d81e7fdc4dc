"""What each setting of the simulated car changes: tables, loops, trims, disturbances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_drivers_simulator_car import QUIET, WARM, drive, settled, total_trim_pct

from drivers.simulator.car import Car
from drivers.simulator.maf_sensor import true_curve
from drivers.simulator.recording import Coding, Polling, poll, record, record_drive
from drivers.simulator.settings import CarSettings, DriveKind, LoopKind, TableError
from lowmaf.maf_table import MafTable, MafTableError
from lowmaf.samples import FuelLoop, SampleBatch


def closed(batch: SampleBatch) -> np.ndarray:
    return batch["fuel_loop"] == FuelLoop.CLOSED


def test_a_given_table_replaces_the_settings_own() -> None:
    first = Car(WARM)
    flow_gs = first.maf_table.flow_gs
    assert flow_gs is not None
    right = MafTable("right", first.maf_table.maf_v, flow_gs * (1.0 + first.truth().correction_pct / 100.0))
    mended = Car(QUIET, right)
    assert mended.maf_table is right
    np.testing.assert_allclose(mended.truth().correction_pct, 0.0, atol=1e-9)
    batch = record(mended, 300.0, 10.0)
    assert np.abs(np.median(total_trim_pct(batch)[settled(batch)])) < 0.4
    # the same drive: true air and so the sensor's volts do not depend on the table at idle
    own = record_drive(QUIET, 15.0, 10.0)
    np.testing.assert_allclose(own["maf_v"], batch["maf_v"][:150], atol=0.021)


def test_a_table_of_another_axis_can_be_flashed() -> None:
    volts = np.array([0.5, 1.0, 1.3, 1.7, 2.2, 2.8, 3.5, 4.4, 5.2])
    flow_gs = 0.9 * np.interp(volts, *true_curve())
    car = Car(QUIET, MafTable("nine cells", volts, flow_gs))
    batch = record(car, 600.0, 10.0)
    truth = car.truth()
    assert truth.closed_loop_s.shape == (9,)
    np.testing.assert_array_equal(np.isnan(truth.correction_pct), (volts < 0.9) | (volts > 5.0))
    np.testing.assert_allclose(truth.correction_pct[1:-1], 100.0 / 0.9 - 100.0, rtol=1e-9)
    np.testing.assert_allclose(np.interp(batch["maf_v"], volts, flow_gs), batch["maf_gs"], rtol=0.15)
    nearest = np.abs(volts - batch["maf_v"][:, np.newaxis]).argmin(axis=1)
    seconds = 0.1 * np.bincount(nearest[closed(batch)], minlength=9)
    np.testing.assert_allclose(truth.closed_loop_s, seconds, atol=20.0)


@pytest.mark.parametrize("flow_gs", [None, np.array([-1.0, 0.0, 250.0])])
def test_a_table_without_flow_cannot_be_flashed(flow_gs: np.ndarray | None) -> None:
    with pytest.raises(MafTableError, match="flow"):
        Car(WARM, MafTable("no flow", np.array([0.5, 1.0, 5.0]), flow_gs))


def test_a_relay_loop_swings_for_ever_around_the_right_trim() -> None:
    quiet = replace(QUIET, drive=DriveKind.CITY, table_error=TableError.HOUSING)
    linear, _ = drive(quiet)
    relay, _ = drive(replace(quiet, loop=LoopKind.RELAY))
    standing = settled(relay, 8.0) & (relay["speed_kmh"] < 1.0)
    assert total_trim_pct(relay)[standing].mean() == pytest.approx(12.0, abs=0.6)
    assert (
        np.diff(relay["stft_pct"])[standing[1:]].std()
        > 3.0 * np.diff(linear["stft_pct"])[settled(linear, 8.0)[1:] & (linear["speed_kmh"] < 1.0)[1:]].std()
    )
    rising = np.sign(np.diff(relay["stft_pct"]))[standing[1:]]
    assert np.count_nonzero(np.diff(rising[rising != 0.0])) > 0.1 * 0.1 * standing.sum()


def test_added_trims_are_what_the_car_needs_when_added() -> None:
    settings = replace(
        QUIET,
        table_error=TableError.SCALED_DOWN,
        error_scale=1.4,
        ltft_known=0.5,
        ltft_rate=0.0,
        trims_add=True,
    )
    car = Car(settings)
    batch = poll(car, 600.0, Polling(10.0, Coding.FINE))
    np.testing.assert_allclose(car.truth().correction_pct, -18.2, atol=1e-9)
    ok = settled(batch, 8.0)
    assert np.median((batch["stft_pct"] + batch["ltft_pct"])[ok]) == pytest.approx(-18.2, abs=0.2)
    # multiplied, the same trims would say something else
    assert np.median(total_trim_pct(batch)[ok]) > -17.7


def test_a_frozen_short_term_trim_is_held_in_open_loop() -> None:
    batch, _ = drive(replace(WARM, drive=DriveKind.SPIRITED, stft_freezes=True))
    held = ~closed(batch)[1:] & ~closed(batch)[:-1]
    assert held.sum() > 100
    assert np.all(np.diff(batch["stft_pct"])[held] == 0.0)
    assert np.mean(np.abs(batch["stft_pct"][~closed(batch)])) > 0.5


def test_fuelling_is_lean_and_commanded_rich_after_a_fuel_cut() -> None:
    lean, _ = drive(replace(QUIET, drive=DriveKind.SPIRITED, post_cut_lean_pct=5.0))
    plain, _ = drive(replace(QUIET, drive=DriveKind.SPIRITED, post_cut_lean_pct=0.0))

    def error_pct(batch: SampleBatch) -> float:
        target = batch["lambda_target"]
        after = closed(batch) & (target > 0.935) & (target < 0.945) & ~settled(batch, 1.5)
        assert after.sum() > 50
        return float(100.0 * np.mean(batch["lambda_"][after] / target[after] - 1.0))

    assert error_pct(lean) > error_pct(plain) + 1.0


def test_a_cold_engine_is_fuelled_too_rich() -> None:
    cold = replace(QUIET, ect_start_c=42.0, ambient_c=0.0, table_error=TableError.ZERO, cold_rich_pct=6.0)
    batch, car = drive(cold, 900.0)
    trims, ok = total_trim_pct(batch), settled(batch)
    assert np.median(trims[ok & (batch["ect_c"] < 50.0)]) < -3.0
    assert np.abs(np.median(trims[ok & (batch["ect_c"] > 80.0)])) < 0.7
    # and is no evidence for the table
    warm_s = 0.1 * np.sum(closed(batch) & (batch["ect_c"] >= 70.0))
    assert car.truth().closed_loop_s.sum() == pytest.approx(warm_s, abs=15.0)


@pytest.mark.parametrize(("lean_share", "low", "high"), [(0.0, -4.0, -0.5), (1.0, 0.5, 4.0)])
def test_purging_makes_the_mixture_rich_or_lean(lean_share: float, low: float, high: float) -> None:
    quiet = replace(QUIET, drive=DriveKind.CITY, table_error=TableError.ZERO)
    batch, _ = drive(replace(quiet, purge_pct=4.0, purge_lean_share=lean_share))
    trims = total_trim_pct(batch)[settled(batch, 8.0)]
    assert low < trims.mean() < high
    assert trims.std() > 1.0


def test_trims_stop_at_their_limits() -> None:
    short = replace(
        QUIET, table_error=TableError.HOUSING, error_scale=2.0, stft_limit_pct=10.0, ltft_limit_pct=3.0
    )
    batch, _ = drive(short)
    assert batch["stft_pct"].max() == pytest.approx(10.0, abs=0.4)
    assert batch["ltft_pct"].max() == pytest.approx(3.0, abs=0.4)
    assert np.mean(batch["stft_pct"][settled(batch)] > 9.5) > 0.9


def test_hot_intake_air_shifts_the_trims() -> None:
    hot = replace(QUIET, ambient_c=35.0, table_error=TableError.ZERO)
    plain, _ = drive(hot)
    shifted, _ = drive(replace(hot, iat_pct_per_k=0.1))
    expected = 0.1 * (shifted["iat_c"] - 25.0)[settled(shifted)].mean()
    assert expected > 1.0
    difference = (
        total_trim_pct(shifted)[settled(shifted)].mean() - total_trim_pct(plain)[settled(plain)].mean()
    )
    assert difference == pytest.approx(expected, abs=0.5)


def test_a_slow_loop_answers_late() -> None:
    settings = replace(QUIET, table_error=TableError.HOUSING, ltft_known=0.0, ltft_rate=0.0)

    def after_two_seconds(settings: CarSettings) -> float:
        return float(record_drive(settings, 2.0, 10.0)["stft_pct"][-1])

    assert after_two_seconds(settings) > 1.6 * after_two_seconds(replace(settings, kp=0.07, ki=0.22))

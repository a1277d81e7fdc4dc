"""The simulated car: physics a driver would believe, trims that follow the table's error, and its truth."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from drivers.simulator.car import Car
from drivers.simulator.maf_sensor import ecu_table
from drivers.simulator.recording import ECU_RESOLUTION, record, record_drive
from drivers.simulator.settings import CarSettings, DriveKind, TableError
from lowmaf.samples import FuelLoop, SampleBatch

WARM = CarSettings(seed=3, ect_start_c=85.0)
QUIET = replace(WARM, noise_pct=0.0, drift_pct=0.0, purge_pct=0.0, maf_noise_pct=0.0, lambda_noise_pct=0.0)


@cache
def drive(settings: CarSettings, seconds: float = 600.0) -> tuple[SampleBatch, Car]:
    car = Car(settings)
    return record(car, seconds, 10.0, with_lambda=True), car


def settled(batch: SampleBatch, seconds: float = 4.0) -> np.ndarray:
    """Samples at least so long after the loop closed."""
    closed = batch["fuel_loop"] == FuelLoop.CLOSED
    row = np.arange(len(batch))
    last_open = np.maximum.accumulate(np.where(closed, -1, row))
    return closed & (row - last_open > 10.0 * seconds)


def total_trim_pct(batch: SampleBatch) -> np.ndarray:
    return 100.0 * ((1.0 + batch["stft_pct"] / 100.0) * (1.0 + batch["ltft_pct"] / 100.0) - 1.0)


def test_the_same_settings_give_the_same_drive_in_any_steps() -> None:
    one = record_drive(WARM, 60.0)
    car = Car(WARM)
    halves = SampleBatch.concatenate([record(car, 20.0), record(car, 40.0)])
    for name in ECU_RESOLUTION:
        np.testing.assert_array_equal(one[name], halves[name])
    coarse, fine = Car(WARM), Car(WARM)
    coarse.advance_to(30.0)
    for step in range(1, 3001):
        fine.advance_to(step * 0.01)
    assert coarse.maf_gs == fine.maf_gs
    assert coarse.rpm == fine.rpm


def test_another_seed_is_another_drive_of_the_same_car() -> None:
    other = replace(WARM, seed=4)
    assert not np.array_equal(record_drive(WARM, 60.0)["maf_v"], record_drive(other, 60.0)["maf_v"])
    np.testing.assert_array_equal(Car(WARM).truth().correction_pct, Car(other).truth().correction_pct)


def test_time_never_goes_back() -> None:
    car = Car(WARM)
    car.advance_to(5.0)
    car.advance_to(1.0)
    assert car.t_s == 5.0


@pytest.mark.parametrize(("error", "trim_pct"), [(TableError.HOUSING, 12.0), (TableError.SCALED_DOWN, -13.0)])
def test_trims_settle_at_the_correction_that_the_table_needs(error: TableError, trim_pct: float) -> None:
    batch, car = drive(replace(QUIET, table_error=error, ltft_known=0.0))
    np.testing.assert_allclose(car.truth().correction_pct, trim_pct, atol=1e-9)
    trims = total_trim_pct(batch)[settled(batch)]
    assert trims.mean() == pytest.approx(trim_pct, abs=0.5)
    assert np.median(trims) == pytest.approx(trim_pct, abs=0.5)


def test_trims_follow_the_error_over_voltage() -> None:
    batch, car = drive(QUIET, 900.0)
    truth = car.truth()
    wanted = np.interp(batch["maf_v"], car.maf_table.maf_v, truth.correction_pct)
    calm = settled(batch) & (np.abs(np.gradient(batch["maf_v"], batch.t_s)) < 0.05)
    assert calm.sum() > 500
    assert np.corrcoef(wanted[calm], total_trim_pct(batch)[calm])[0, 1] > 0.9
    assert np.abs(np.median(total_trim_pct(batch)[calm] - wanted[calm])) < 0.5


def test_a_table_without_error_needs_no_correction_and_gets_little_trim() -> None:
    batch, car = drive(replace(QUIET, table_error=TableError.ZERO))
    np.testing.assert_allclose(car.truth().correction_pct, 0.0, atol=1e-9)
    assert np.abs(np.median(total_trim_pct(batch)[settled(batch)])) < 0.4


@pytest.mark.parametrize("error", list(TableError))
def test_truth_is_true_flow_over_table_flow(error: TableError) -> None:
    settings = replace(WARM, table_error=error)
    table = ecu_table(settings)
    assert table.cells == 54
    assert table.flow_gs is not None
    assert np.all(np.diff(table.flow_gs) > 0.0)
    correction = Car(settings).truth().correction_pct
    # the default car's true curve is the one that needs no correction
    true_gs = ecu_table(replace(settings, table_error=TableError.ZERO)).flow_gs
    np.testing.assert_allclose(table.flow_gs * (1.0 + correction / 100.0), true_gs, rtol=1e-12)
    assert np.abs(correction).max() < 20.0


def test_the_default_error_is_that_of_an_intake() -> None:
    _, car = drive(WARM, 900.0)
    truth = car.truth()
    scored = truth.closed_loop_s >= 10.0
    assert 3.5 < np.sqrt(np.mean(truth.correction_pct[scored] ** 2)) < 7.0


def test_short_term_trim_is_zero_in_open_loop() -> None:
    batch, _ = drive(replace(WARM, drive=DriveKind.SPIRITED))
    loop = batch["fuel_loop"]
    assert set(np.unique(loop)) == {FuelLoop.CLOSED, FuelLoop.OPEN_LOAD}
    assert np.all(batch["stft_pct"][loop != FuelLoop.CLOSED] == 0.0)
    assert np.mean(np.abs(batch["stft_pct"][loop == FuelLoop.CLOSED])) > 0.5


def test_overrun_cuts_fuel_and_full_load_enriches() -> None:
    batch, _ = drive(replace(WARM, drive=DriveKind.SPIRITED))
    open_load = batch["fuel_loop"] == FuelLoop.OPEN_LOAD
    assert batch["lambda_"][open_load].max() > 1.5
    assert np.median(batch["lambda_target"][batch["load_g_rev"] > 1.6]) < 0.88
    after_cut = (batch["fuel_loop"] == FuelLoop.CLOSED) & (batch["lambda_target"] < 0.97)
    assert after_cut.any()


def test_a_cold_engine_starts_in_open_loop_and_warms_up() -> None:
    batch, _ = drive(replace(WARM, ect_start_c=0.0, ambient_c=0.0), 900.0)
    assert batch["fuel_loop"][0] == FuelLoop.OPEN_COLD
    cold = batch["ect_c"] < 39.0
    assert np.all(batch["fuel_loop"][cold] == FuelLoop.OPEN_COLD)
    assert np.all(batch["stft_pct"][cold] == 0.0)
    assert 80.0 < batch["ect_c"][-1] < 100.0
    assert np.all(np.diff(batch["ect_c"][cold]) >= 0.0)


@pytest.mark.parametrize("kind", list(DriveKind))
def test_a_drive_looks_like_one(kind: DriveKind) -> None:
    batch, _ = drive(replace(WARM, drive=kind), 900.0)
    assert batch["rpm"].min() > 600.0
    assert batch["rpm"].max() < 6600.0
    assert batch["maf_gs"].min() > 1.5
    assert batch["maf_gs"].max() < 290.0
    assert batch["speed_kmh"].min() >= 0.0
    assert batch["speed_kmh"].max() < 190.0
    assert 0.0 <= batch["throttle_pct"].min() <= 2.0
    assert batch["throttle_pct"].max() <= 100.0
    assert np.all(np.diff(batch.t_s) > 0.0)
    closed = np.mean(batch["fuel_loop"] == FuelLoop.CLOSED)
    assert 0.5 < closed < 0.95
    flow_of_load = batch["load_g_rev"] * batch["rpm"] / 60.0
    np.testing.assert_allclose(flow_of_load, batch["maf_gs"], rtol=0.02, atol=0.05)


def test_idle_is_about_three_grams() -> None:
    batch, _ = drive(replace(WARM, drive=DriveKind.CITY), 900.0)
    standing = (batch["speed_kmh"] < 1.0) & (batch["rpm"] < 900.0)
    assert standing.sum() > 200
    assert 2.5 < np.median(batch["maf_gs"][standing]) < 4.2
    assert 650.0 < np.median(batch["rpm"][standing]) < 820.0


@pytest.mark.parametrize("seed", [13, 17])
def test_stops_are_reached_and_not_crept_up_to(seed: int) -> None:
    """With the clutch in, idle pushes a car on at 7 km/h: the brake must win, or a drive never goes on."""
    batch, _ = drive(CarSettings.random(seed, DriveKind.CITY), 900.0)
    speed_kmh = batch["speed_kmh"]
    assert np.mean((speed_kmh > 4.0) & (speed_kmh < 12.0)) < 0.06
    assert 0.1 < np.mean(speed_kmh < 1.0) < 0.5
    assert speed_kmh.max() > 40.0


def test_channels_come_in_the_steps_of_the_ecu() -> None:
    batch, _ = drive(WARM)
    for name, step in ECU_RESOLUTION.items():
        steps = batch[name] / step
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert "lambda_" not in record_drive(WARM, 1.0).delivered


def test_settled_trims_are_as_noisy_as_those_of_a_real_car() -> None:
    batch, _ = drive(replace(WARM, drive=DriveKind.CITY), 900.0)
    standing = (batch["speed_kmh"] < 1.0) & settled(batch, 8.0)
    deviation = [
        total_trim_pct(batch)[start : start + 100].std()
        for start in range(0, len(batch) - 100, 100)
        if standing[start : start + 100].all()
    ]
    assert deviation
    assert 0.2 < np.median(deviation) < 1.4


def test_the_loop_does_not_ring() -> None:
    """After a step in the mixture (a leak opens) trims approach their new value without oscillating."""
    for seed in range(12):
        settings = replace(
            CarSettings.random(seed), ect_start_c=85.0, noise_pct=0.0, drift_pct=0.0, maf_noise_pct=0.0,
            lambda_noise_pct=0.0, purge_pct=0.0, ltft_rate=0.0, ltft_known=0.0,
            table_error=TableError.HOUSING, error_scale=1.0,
        )  # fmt: skip
        car = Car(settings)
        trims = record(car, 14.0, 20.0)["stft_pct"]  # the route starts with 15 s or more at idle
        assert trims.max() < 1.25 * 12.0
        # a slow loop is still on its way
        assert trims[-40:].min() > 9.0
        assert trims[-40:].max() < 14.0


def test_learning_moves_the_mean_to_the_long_term_trim() -> None:
    batch, _ = drive(
        replace(QUIET, table_error=TableError.HOUSING, ltft_known=0.0, ltft_rate=0.02, drive=DriveKind.CITY),
        900.0,
    )
    closed = settled(batch)
    late = closed & (batch.t_s > 600.0)
    early = closed & (batch.t_s < 60.0)
    assert batch["ltft_pct"][early].mean() < 7.0
    assert batch["ltft_pct"][late].mean() > 9.0
    assert np.abs(np.median(batch["stft_pct"][late])) < 3.0


def test_a_leak_is_read_as_positive_trim_that_fades_with_flow() -> None:
    batch, _ = drive(replace(QUIET, table_error=TableError.ZERO, leak_gs=0.4), 900.0)
    trims, ok = total_trim_pct(batch), settled(batch)
    idle = ok & (batch["maf_gs"] < 4.0)
    cruise = ok & (batch["maf_gs"] > 15.0)
    assert np.median(trims[idle]) > 6.0
    assert np.median(trims[cruise]) < np.median(trims[idle]) - 4.0


def test_dwell_adds_up_to_closed_loop_time() -> None:
    batch, car = drive(WARM)
    closed_s = 0.1 * np.sum(batch["fuel_loop"] == FuelLoop.CLOSED)
    assert car.truth().closed_loop_s.sum() == pytest.approx(closed_s, abs=10.0)
    most = car.maf_table.maf_v[np.argmax(car.truth().closed_loop_s)]
    assert 1.0 < most < 2.8


def test_random_cars_differ_and_stay_within_the_limits_of_their_trims() -> None:
    cars = [CarSettings.random(seed) for seed in range(20)]
    assert len({car.table_error for car in cars}) >= 5
    assert len({car.ki for car in cars}) == 20
    assert CarSettings.random(7) == cars[7]
    for settings in cars[:5]:
        batch = record_drive(settings, 240.0, 5.0)
        assert np.abs(batch["stft_pct"]).max() <= settings.stft_limit_pct + 0.4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"maf_lag_s": 0.0}, "maf_lag_s must be above 0"),
        ({"noise_s": float("nan")}, "noise_s must be above 0"),
        ({"delay_min_s": 0.6}, "delay_min_s <= delay_max_s"),
        ({"delay_max_s": 1.5}, "delay_min_s <= delay_max_s"),
    ],
)
def test_impossible_cars_are_refused(change: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CarSettings(**change)

"""How fast the fuel loop is, learned from how it follows: law by law, then on simulated cars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.simulator.car import Car
from drivers.simulator.maf_sensor import ecu_table
from drivers.simulator.recording import record
from drivers.simulator.settings import CarSettings
from lowmaf.cells import BlockKey, CellSums
from lowmaf.loop_gain import (
    ANSWER_S,
    DEAD_S,
    EXCITATIONS,
    PRODUCTS,
    RESPONSES,
    LoopAnswer,
    excitation,
    loop_answer,
    products,
    slowness,
    voltage_position,
)
from lowmaf.pipeline import Pipeline
from lowmaf.samples import Floats, SampleBatch
from lowmaf.settings import CurveSettings
from lowmaf.windows import QUANTUM

RATE_HZ = 10.0
AXIS = np.round(np.linspace(0.9, 4.7, 48), 2)


def columns(n: int, seed: int) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    excited = rng.normal(0.0, 1.0, (EXCITATIONS, n))
    return rng.uniform(0.0, 0.5, n), excited, rng.uniform(-1.0, 1.0, n), *rng.normal(0.0, 8.0, (2, n))


@given(st.integers(0, 400), st.integers(0, 2**32 - 1))
def test_products_are_the_same_however_samples_are_split(cut: int, seed: int) -> None:
    weight, excited, position, trim, error = columns(400, seed)

    def part(of: slice) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return products(weight[of], excited[:, of], position[of], trim[of], error[of])

    np.testing.assert_array_equal(part(slice(None)), part(slice(cut)) + part(slice(cut, None)))


def test_products_are_what_they_say() -> None:
    weight, excited, position, trim, error = columns(300, 1)
    found = products(weight, excited, position, trim, error).reshape(EXCITATIONS, -1) * QUANTUM
    responses = np.vstack((position ** np.arange(4)[:, np.newaxis], trim, error))
    np.testing.assert_allclose(found, (weight * excited) @ responses.T, rtol=2e-3, atol=0.02)


def test_steady_driving_excites_nothing() -> None:
    t_s = np.arange(200) / RATE_HZ
    level = np.full(200, 0.3)
    closed_long_ago = np.full(200, -100.0)
    found = excitation(t_s, level, 7.0 * level, closed_long_ago, slice(100, 200))
    np.testing.assert_allclose(found, 0.0, atol=1e-9)


def test_a_loop_that_just_closed_has_everything_to_make_up_for() -> None:
    t_s = np.arange(200) / RATE_HZ
    position, ltft = np.full(200, 0.5), np.full(200, 4.0)
    closed = np.full(200, 10.0)
    found = excitation(t_s, position, ltft, closed, slice(None))
    just_closed, long_after = 101, int(RATE_HZ * (10.0 + DEAD_S + ANSWER_S)) + 2
    np.testing.assert_allclose(found[:, just_closed], [1.0, 0.5, 0.25, 0.125, 4.0])
    np.testing.assert_allclose(found[:, long_after], 0.0, atol=1e-9)


def answers_of(slower: float, *, noise_pct: float = 0.0, seed: int = 0) -> tuple[Floats, Floats]:
    """Products of 60 blocks in which trims fall short by ``slower`` times the error found, and the axis."""
    rng = np.random.default_rng(seed)
    blocks = []
    for _ in range(60):
        n = 300
        position = np.repeat(rng.uniform(-1.0, 1.0, n // 30), 30)
        right_pct = 3.0 + 5.0 * position - 4.0 * position**2
        lag = np.tile(np.exp(-np.arange(30) / 10.0), n // 30) * np.repeat(rng.normal(0.0, 4.0, n // 30), 30)
        # What a loop still has to make up for shows in voltage (first power) and in the trims alike.
        excited = np.zeros((EXCITATIONS, n))
        excited[1] = lag / 5.0
        trim = right_pct - slower * lag + rng.normal(0.0, noise_pct, n)
        blocks.append(products(np.full(n, 0.1), excited, position, trim, lag) * QUANTUM)
    return np.array(blocks), 3.0 + 5.0 * voltage_position(AXIS, AXIS) - 4.0 * voltage_position(
        AXIS, AXIS
    ) ** 2


@pytest.mark.parametrize("slower", [1.3, 2.0, 3.5])
def test_the_estimate_is_the_ratio_of_what_trims_fall_short_of_to_the_error_found(slower: float) -> None:
    sums, right_pct = answers_of(slower)
    answer = loop_answer(sums, AXIS, np.ones(AXIS.size), right_pct)
    assert answer.short_of / answer.error == pytest.approx(slower, rel=0.01)
    assert slowness([answer], 10.0) == pytest.approx(max(slower / 1.3, 1.0), rel=0.05)


def test_what_is_not_sure_is_not_used() -> None:
    sums, right_pct = answers_of(2.0, noise_pct=40.0, seed=3)
    answer = loop_answer(sums[:3], AXIS, np.ones(AXIS.size), right_pct)
    assert slowness([answer], 10.0) == 1.0
    assert slowness([], 10.0) == 1.0
    assert slowness([LoopAnswer()], 10.0) == 1.0


def test_drives_add_up_and_the_limit_holds() -> None:
    sums, right_pct = answers_of(3.5)
    halves = [loop_answer(part, AXIS, np.ones(AXIS.size), right_pct) for part in (sums[:30], sums[30:])]
    whole = loop_answer(sums, AXIS, np.ones(AXIS.size), right_pct)
    assert slowness(halves, 10.0) == pytest.approx(slowness([whole], 10.0), rel=0.02)
    assert slowness(halves, 2.0) == 2.0


def test_no_driving_says_nothing() -> None:
    empty = np.zeros((0, PRODUCTS))
    assert loop_answer(empty, AXIS, np.zeros(AXIS.size), np.zeros(AXIS.size)) == LoopAnswer()


def simulated(settings: CarSettings, minutes: float) -> tuple[SampleBatch, Car]:
    car = Car(settings)
    return record(car, minutes * 60.0, RATE_HZ), car


def rmse_pct(pipeline: Pipeline, car: Car) -> float:
    truth = car.truth()
    driven = truth.closed_loop_s >= 10.0
    found = np.nan_to_num(pipeline.snapshot().correction_pct)
    return float(np.sqrt(np.mean((found - truth.correction_pct)[driven] ** 2)))


@pytest.mark.parametrize("seed", [5, 7])
def test_a_slow_loop_is_found_and_makes_the_table_better(seed: int) -> None:
    usual = CarSettings.random(seed)
    slow = replace(usual, kp=0.35 * usual.kp, ki=0.35 * usual.ki)
    batch, car = simulated(slow, 40.0)
    table = ecu_table(slow)
    learned = Pipeline(table)
    as_assumed = Pipeline(table, settings=CurveSettings(loop_slowest=1.0))
    for pipeline in (learned, as_assumed):
        pipeline.feed(batch)
        pipeline.finish()
    assert rmse_pct(learned, car) < 0.8 * rmse_pct(as_assumed, car)
    assert any(warning.code == "slow_fuel_loop" for warning in learned.snapshot().warnings)
    assert all(warning.code != "slow_fuel_loop" for warning in as_assumed.snapshot().warnings)


def test_where_lambda_is_measured_the_loop_is_not_asked() -> None:
    settings = CarSettings.random(5)
    asked = []
    for with_lambda in (True, False):
        pipeline = Pipeline(ecu_table(settings))
        pipeline.feed(record(Car(settings), 600.0, RATE_HZ, with_lambda=with_lambda))
        pipeline.finish()
        sums = pipeline.learned.sums.stack().loop_products().reshape(-1, EXCITATIONS, RESPONSES)
        asked.append(float(np.abs(sums[:, :, -1]).sum()))
    # The sensor is cold in the first minutes: only there the loop is needed.
    assert asked[0] < 0.3 * asked[1]


def test_answers_stay_with_their_drive() -> None:
    sums = CellSums(AXIS.size)
    sums.add(BlockKey(1, 0), np.ones(sums.size, dtype=np.int64))
    sums.add(BlockKey(2, 0), np.full(sums.size, 5, dtype=np.int64))
    left = sums.without([2])
    np.testing.assert_array_equal(left.stack().loop_products(), np.full((1, PRODUCTS), QUANTUM))

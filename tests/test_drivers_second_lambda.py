"""Lambda of a second source laid over samples of the first: by time, held, aged, never of the future."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.second_lambda import MAX_AGE_S, LambdaTimeline, WithSecondLambda, with_second_lambda
from lowmaf.samples import SampleBatch


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.time_s = 100.0

    def now(self) -> float:
        return self.time_s

    def wall_s(self, interval_s: float) -> float:
        return interval_s


class Delayed:
    """A driver whose samples come late by given times; its time starts 5 s after the clock's."""

    name = "delayed"
    ORIGIN_S = 105.0

    def __init__(self, clock: Hand, samples: list[tuple[float, float]], **channels: float) -> None:
        self._clock = clock
        self._samples = samples
        self._channels = {"stft_pct": 1.0, **channels}

    def describe(self) -> str:
        return "a delayed source"

    async def batches(self) -> AsyncGenerator[SampleBatch, None]:
        for t_s, delay_s in self._samples:
            self._clock.time_s = self.ORIGIN_S + t_s + delay_s
            yield SampleBatch(np.array([t_s]), {name: np.array([x]) for name, x in self._channels.items()})


def timeline_of(*readings: tuple[float, float]) -> LambdaTimeline:
    timeline = LambdaTimeline()
    for at_s, value in readings:
        timeline.take(at_s, value)
    return timeline


async def merged(driver: Delayed, timeline: LambdaTimeline, clock: Hand) -> SampleBatch:
    source = WithSecondLambda(driver, timeline, clock)
    return SampleBatch.concatenate([batch async for batch in source.batches()])


def test_a_reading_stands_until_the_next_and_not_for_long() -> None:
    timeline = timeline_of((1.0, 0.9), (1.1, 1.0), (1.2, math.nan), (1.3, 1.1))
    times = np.array([0.99, 1.0, 1.09, 1.1, 1.25, 1.3, 1.29 + MAX_AGE_S, 1.31 + MAX_AGE_S])
    expected = [math.nan, 0.9, 0.9, 1.0, math.nan, 1.1, 1.1, math.nan]
    np.testing.assert_array_equal(timeline.at(times), expected)
    assert np.isnan(LambdaTimeline().at(times)).all()


@given(
    st.lists(st.tuples(st.floats(0.001, 0.5), st.floats(0.7, 1.4) | st.just(math.nan)), max_size=30),
    st.lists(st.floats(0.0, 20.0), min_size=1, max_size=20),
)
def test_every_value_is_the_newest_reading_not_of_the_future(
    steps: list[tuple[float, float]], asked: list[float]
) -> None:
    times = np.cumsum([step for step, _ in steps]).tolist()
    readings = list(zip(times, [value for _, value in steps], strict=True))
    found = timeline_of(*readings).at(np.array(asked))
    for at_s, value in zip(asked, found.tolist(), strict=True):
        before = [reading for reading in readings if reading[0] <= at_s]
        stands = before and at_s - before[-1][0] <= MAX_AGE_S
        assert value == pytest.approx(before[-1][1] if stands else math.nan, nan_ok=True, rel=0.0)


def test_readings_that_are_long_past_are_forgotten() -> None:
    timeline = timeline_of(*((n * 0.1, 1.0) for n in range(100_000)))
    assert len(timeline._readings) < 400


async def test_samples_get_the_reading_of_their_own_time_however_late_they_come() -> None:
    """The clock's time of t_s = 0 is found from the sample that came with the least delay."""
    clock = Hand()
    timeline = timeline_of(*((Delayed.ORIGIN_S + n * 0.1, 0.8 + n * 0.01) for n in range(50)))
    driver = Delayed(clock, [(1.05, 0.0), (2.05, 0.4), (3.05, 0.2), (4.05, 0.0)], lambda_target=1.0)
    found = await merged(driver, timeline, clock)
    np.testing.assert_allclose(found["lambda_"], [0.9, 1.0, 1.1, 1.2])


async def test_the_measured_lambda_takes_the_place_of_the_sources_own() -> None:
    clock = Hand()
    driver = Delayed(clock, [(1.0, 0.0)], lambda_=0.7, lambda_target=1.0)
    found = await merged(driver, timeline_of((106.0, 1.02)), clock)
    assert found["lambda_"].tolist() == [1.02]
    driver = Delayed(clock, [(1.0, 0.0)], lambda_=0.7, lambda_target=1.0)
    assert np.isnan((await merged(driver, LambdaTimeline(), clock))["lambda_"]).all()


async def test_without_a_commanded_lambda_it_is_said_that_nothing_is_made_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Hand()
    make = with_second_lambda(lambda: Delayed(clock, [(1.0, 0.0)]), timeline_of((106.0, 1.02)), clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):  # as when the link is lost and opened again
            source = make()
            batches = [batch async for batch in source.batches()]
    assert batches[0]["lambda_"].tolist() == [1.02]
    (told_once,) = caplog.records
    assert told_once.message == (
        "delayed does not deliver the commanded lambda: measured lambda is shown and kept, but no "
        "correction is made of it, because what it should have been is not known"
    )
    assert source.describe() == "a delayed source; measured lambda is not used: no commanded lambda"
    told = WithSecondLambda(Delayed(clock, [(1.0, 0.0)], lambda_target=1.0), LambdaTimeline(), clock)
    assert [batch async for batch in told.batches()]
    assert told.describe() == "a delayed source"

"""When an ECU is polled, in a time that only the test moves."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from drivers.base import LinkCounts
from drivers.can_polling import CanOptions, Polling
from lowmaf.samples import SampleBatch

RATE_HZ = 100.0


class Hand:
    """A port on which time passes only when the test or a pause moves it."""

    def __init__(self) -> None:
        self.time_s = 1000.0
        self.stop = threading.Event()

    def clock_s(self) -> float:
        return self.time_s

    def now_s(self) -> float:
        return self.time_s

    def pause(self, clock_s: float) -> None:
        self.time_s += clock_s


class Ecu:
    """Answers after the given times, s, again and again; stops the polling after so many samples."""

    ecu, words, channels = "ECU", "", ("maf_v",)

    def __init__(self, hand: Hand, answers_s: list[float], samples: int) -> None:
        self._hand = hand
        self._answers_s = answers_s
        self._samples = samples
        self.times: list[float] = []

    def sample(self) -> tuple[float, list[float]]:
        self.times.append(self._hand.time_s)
        self._hand.time_s += self._answers_s[len(self.times) % len(self._answers_s)]
        if len(self.times) == self._samples:
            self._hand.stop.set()
        return self.times[-1], [1.0]


class Sink:
    """Takes batches."""

    def put(self, _: SampleBatch) -> None: ...


def polled(answers_s: list[float], samples: int = 200) -> np.ndarray:
    hand = Hand()
    ecu = Ecu(hand, answers_s, samples)
    options = CanOptions(rate_hz=RATE_HZ)
    Polling(options, LinkCounts(), hand, reading=ecu, handoff=Sink(), stop=hand.stop).run()
    return np.array(ecu.times)


@pytest.mark.parametrize("answers_s", [[0.001], [0.001, 0.015], [0.001, 0.001, 0.001, 0.035]])
def test_late_answers_are_caught_up_with_so_that_the_rate_is_the_one_asked_for(
    answers_s: list[float],
) -> None:
    times = polled(answers_s)
    mean_s = (times[-1] - times[0]) / (len(times) - 1)
    assert mean_s == pytest.approx(1.0 / RATE_HZ, rel=0.02)


def test_after_a_long_stall_there_is_no_burst() -> None:
    steps = np.diff(polled([0.001] * 99 + [2.0]))
    assert np.count_nonzero(steps < 0.5 / RATE_HZ) == 0
    assert np.count_nonzero(steps > 1.0) == 2


def test_an_ecu_slower_than_the_rate_is_asked_as_fast_as_it_answers() -> None:
    np.testing.assert_allclose(np.diff(polled([0.03])), 0.03)

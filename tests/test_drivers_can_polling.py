"""When an ECU is polled, in a time that only the test moves."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from drivers.base import LinkCounts
from drivers.can_polling import CanOptions, Polling
from lowmaf.samples import SampleBatch

RATE_HZ = 100.0


class Hand(threading.Event):
    """A clock and the event to stop by: waiting for the one moves the other."""

    def __init__(self) -> None:
        super().__init__()
        self.time_s = 1000.0

    def now(self) -> float:
        return self.time_s

    def wall_s(self, interval_s: float) -> float:
        return interval_s

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.time_s += timeout
        return False


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
            self._hand.set()
        return self.times[-1], [1.0]


class Sink:
    """Takes batches."""

    def put(self, _: SampleBatch) -> None: ...


def polled(answers_s: list[float], samples: int = 200) -> np.ndarray:
    hand = Hand()
    ecu = Ecu(hand, answers_s, samples)
    Polling(CanOptions(rate_hz=RATE_HZ), LinkCounts(), hand, reading=ecu, handoff=Sink(), stop=hand).run(
        1000.0
    )
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

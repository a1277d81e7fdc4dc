"""Measured lambda of a second source, laid over the samples of the first by time."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import numpy as np

from drivers.base import Driver
from drivers.clock import Clock
from lowmaf.samples import Floats, SampleBatch

MAX_AGE_S = 0.3
"""A reading stands for so long, which is three to four of the slowest controllers' intervals."""
_KEPT_S = 30.0
"""Readings that are kept: no source brings samples later than that."""

logger = logging.getLogger(__name__)


class LambdaTimeline:
    """The readings of the last seconds, by the time of the machine's clock.

    ``is_unused`` says that the samples they are laid over have no commanded lambda.

    The rule: a sample gets the newest reading that came before it, and NaN where that is older than
    :data:`MAX_AGE_S` or was not valid. Readings are not interpolated, so a sample never has to wait and
    never sees its future; what that costs is half a reading's interval of lag.
    """

    def __init__(self) -> None:
        self.is_unused = False  # found once for all connections, so that it is logged once
        self._readings: deque[tuple[float, float]] = deque()

    def take(self, at_s: float, lambda_: float) -> None:
        """One more reading, NaN where it is not valid; times do not go back."""
        self._readings.append((at_s, lambda_))
        while self._readings[0][0] < at_s - _KEPT_S:
            self._readings.popleft()

    def at(self, times_s: Floats) -> Floats:
        """Lambda at each of these times, shape (n,)."""
        if not self._readings:
            return np.full(times_s.shape, np.nan)
        came_s, values = np.array(self._readings, dtype=np.float64).T
        newest = np.searchsorted(came_s, times_s, side="right") - 1
        known = (newest >= 0) & (times_s - came_s[newest] <= MAX_AGE_S)
        return np.where(known, values[newest], np.nan)


class WithSecondLambda:
    """A driver whose samples have the lambda of a second source in place of their own, if any.

    The two are brought together by when they arrive: the clock's time of ``t_s`` = 0 is taken from
    the sample that came with the least delay since the link was opened. What a link always needs
    stays in it: a millisecond or two on CAN, some tens on a K-line.
    """

    def __init__(self, driver: Driver, timeline: LambdaTimeline, clock: Clock) -> None:
        self.name = driver.name
        self._driver = driver
        self._timeline = timeline
        self._clock = clock

    def describe(self) -> str:
        words = "; measured lambda is not used: no commanded lambda" if self._timeline.is_unused else ""
        return f"{self._driver.describe()}{words}"

    async def batches(self) -> AsyncGenerator[SampleBatch, None]:
        origin_s = math.inf
        async with aclosing(self._driver.batches()) as batches:
            async for batch in batches:
                if math.isinf(origin_s):
                    self._note_target("lambda_target" in batch.channels)
                origin_s = min(origin_s, self._clock.now() - float(batch.t_s[-1]))
                measured = self._timeline.at(origin_s + batch.t_s)
                yield SampleBatch(batch.t_s, {**batch.channels, "lambda_": measured})

    def _note_target(self, delivered: bool) -> None:
        if not delivered and not self._timeline.is_unused:
            logger.warning(
                "%s does not deliver the commanded lambda: measured lambda is shown and kept, but no "
                "correction is made of it, because what it should have been is not known",
                self.name,
            )
        self._timeline.is_unused = not delivered


MakeDriver = Callable[[], Driver]


def with_second_lambda(make: MakeDriver, timeline: LambdaTimeline, clock: Clock) -> MakeDriver:
    """``make``, its drivers with the lambda of ``timeline``."""
    return lambda: WithSecondLambda(make(), timeline, clock)

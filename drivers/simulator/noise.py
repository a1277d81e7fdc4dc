"""Seeded chance and correlated noise for the simulated car."""

from __future__ import annotations

import math
import random


def seeded(seed: int) -> random.Random:
    """A generator of its own for one part of the car, so that parts do not disturb each other."""
    return random.Random(seed)  # noqa: S311 - a simulation has no secrets


class Wander:
    """A first-order autoregressive (Ornstein-Uhlenbeck) process around zero.

    ``sd`` is the standard deviation in the process's own unit, ``corr_s`` its correlation time
    and ``step_s`` the time between two calls of :meth:`step`, both in seconds.
    """

    __slots__ = ("_gauss", "_keep", "_kick", "value")

    def __init__(self, draw: random.Random, sd: float, corr_s: float, step_s: float) -> None:
        self._gauss = draw.gauss
        self._keep = math.exp(-step_s / corr_s)
        self._kick = sd * math.sqrt(1.0 - self._keep * self._keep)
        self.value = sd * draw.gauss(0.0, 1.0)

    def step(self) -> float:
        """The value one step later."""
        self.value = self.value * self._keep + self._kick * self._gauss(0.0, 1.0)
        return self.value

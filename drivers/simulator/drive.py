"""Where the simulated car is driven: a seeded, endless row of legs with a target speed each."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.simulator.noise import Wander
from drivers.simulator.settings import TICK_S, DriveKind

STANDING_MS = 0.4


@dataclass(frozen=True, slots=True)
class Leg:
    """Part of a route: drive at ``speed_ms`` for ``seconds``; at 0 m/s they count from standstill.

    ``accel_ms2`` is the hardest the driver accelerates; ``hurry`` 0..1 moves the gear changes up.
    """

    speed_ms: float
    seconds: float
    accel_ms2: float
    hurry: float = 0.0


_Range = tuple[float, float]


def _leg(draw: random.Random, kmh: _Range, seconds: _Range, accel: _Range, hurry: float = 0.0) -> Leg:
    return Leg(draw.uniform(*kmh) / 3.6, draw.uniform(*seconds), draw.uniform(*accel), hurry)


def _city(draw: random.Random, minutes: float) -> Iterator[Leg]:
    left_s = minutes * 60.0
    while left_s > 0.0:
        leg = _leg(draw, (24.0, 62.0), (10.0, 45.0), (0.8, 1.8))
        yield leg
        left_s -= leg.seconds
        if draw.random() < 0.45:
            stop = Leg(0.0, draw.uniform(12.0, 45.0), 1.5)
            yield stop
            left_s -= stop.seconds


def _country(draw: random.Random, minutes: float) -> Iterator[Leg]:
    left_s = minutes * 60.0
    while left_s > 0.0:
        leg = _leg(draw, (50.0, 98.0), (15.0, 55.0), (0.7, 2.2))
        yield leg
        left_s -= leg.seconds
        if draw.random() < 0.12:
            yield Leg(0.0, draw.uniform(8.0, 25.0), 1.5)


def _highway(draw: random.Random, minutes: float) -> Iterator[Leg]:
    yield Leg(28.0, 15.0, 2.4, hurry=0.5)
    left_s = minutes * 60.0
    while left_s > 0.0:
        leg = _leg(draw, (82.0, 132.0), (40.0, 160.0), (0.5, 1.6), hurry=0.2)
        yield leg
        left_s -= leg.seconds
    yield Leg(50.0 / 3.6, 25.0, 1.0)


def _spirited(draw: random.Random, minutes: float) -> Iterator[Leg]:
    left_s = minutes * 60.0
    while left_s > 0.0:
        leg = _leg(draw, (45.0, 125.0), (6.0, 30.0), (2.0, 6.0), hurry=draw.uniform(0.4, 1.0))
        yield leg
        left_s -= leg.seconds
        if draw.random() < 0.07:
            yield Leg(0.0, draw.uniform(5.0, 20.0), 2.0)


def _mixed(draw: random.Random) -> Iterator[Leg]:
    while True:
        yield from _city(draw, draw.uniform(3.0, 6.0))
        yield from _country(draw, draw.uniform(3.0, 6.0))
        yield from _highway(draw, draw.uniform(4.0, 7.0))
        yield from _country(draw, draw.uniform(2.0, 5.0))
        yield from _spirited(draw, draw.uniform(1.0, 4.0))


def legs(kind: DriveKind, draw: random.Random) -> Iterator[Leg]:
    """An endless route that starts with half a minute at idle."""
    yield Leg(0.0, draw.uniform(15.0, 35.0), 1.5)
    while True:
        match kind:
            case DriveKind.CITY:
                yield from _city(draw, 30.0)
            case DriveKind.HIGHWAY:
                yield from _highway(draw, 30.0)
            case DriveKind.SPIRITED:
                yield from _spirited(draw, 30.0)
            case DriveKind.MIXED:
                yield from _mixed(draw)


class Route:
    """The route under the car: the leg being driven, traffic around it and the road's grade."""

    __slots__ = ("_grade", "_legs", "_seconds", "_traffic", "grade", "leg", "target_ms")

    def __init__(self, kind: DriveKind, draw: random.Random) -> None:
        self._legs = legs(kind, draw)
        self._traffic = Wander(draw, sd=1.0, corr_s=11.0, step_s=TICK_S)  # m/s in a town
        self._grade = Wander(draw, sd=0.020, corr_s=35.0, step_s=TICK_S)
        self.grade = 0.0
        self.target_ms = 0.0
        self.leg = next(self._legs)
        self._seconds = self.leg.seconds

    def tick(self, speed_ms: float) -> None:
        """One tick later, at this speed.

        ``target_ms`` is then the speed wanted and ``grade`` the slope (rise over run).
        """
        if self.leg.speed_ms > 0.0 or speed_ms < STANDING_MS:
            self._seconds -= TICK_S
        if self._seconds <= 0.0:
            self.leg = next(self._legs)
            self._seconds = self.leg.seconds
        traffic = self._traffic.step()
        # fast roads are calm: at 100 km/h traffic varies by 0.5 m/s
        calm = 1.0 / (1.0 + (self.leg.speed_ms / 28.0) ** 2)
        self.target_ms = max(self.leg.speed_ms + calm * traffic, 1.0) if self.leg.speed_ms > 0.0 else 0.0
        grade = self._grade.step()
        self.grade = grade if self.leg.speed_ms > 0.0 else 0.0

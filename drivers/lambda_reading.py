"""One reading of a wideband controller, and whether it can be believed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from lowmaf.samples import CHANNELS

_RANGE = CHANNELS["lambda_"]


class SensorState(StrEnum):
    """What a controller says of its sensor, in the words of the status line."""

    MEASURING = "measuring"
    WARMING = "warming up"
    FREE_AIR = "in free air"
    UNCALIBRATED = "needs a free-air calibration"
    CALIBRATING = "calibrating"
    FAULT = "faulty"
    IMPOSSIBLE = "out of range"


@dataclass(frozen=True, slots=True)
class LambdaReading:
    """``lambda_`` is NaN in every state but ``MEASURING``."""

    lambda_: float
    state: SensorState

    @classmethod
    def measured(cls, value: float) -> LambdaReading:
        """A value that the controller calls valid; out of range where it is none that can be."""
        if _RANGE.low <= value <= _RANGE.high:
            return cls(value, SensorState.MEASURING)
        return cls(math.nan, SensorState.IMPOSSIBLE)

    @classmethod
    def without(cls, state: SensorState) -> LambdaReading:
        """No value, and why."""
        return cls(math.nan, state)

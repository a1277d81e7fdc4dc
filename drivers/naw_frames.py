"""14Point7's NAW_7S wideband controller: one byte asks, nine bytes answer. No I/O.

The answer holds two pump currents (32-bit floats, big-endian; the first calibrated in free air, the second
as measured) and the sensor's temperature as a divisor: 1500 over it is the temperature in %, valid from 11
to 19. The maker's formula takes the second current; it is 128 at lambda 1.
"""

from __future__ import annotations

import math
import struct

from drivers.base import FrameError
from drivers.isotp import quoted
from drivers.lambda_reading import LambdaReading, SensorState

REQUEST = b"\x07"
REPLY_BYTES = 9

_AT_LAMBDA_1 = 128.0
_FREE_AIR_OXYGEN = 0.209
_LEANEST = 1.43  # beyond it the maker's curve says nothing


def reading_of_reply(data: bytes) -> LambdaReading:
    """The reading in an answer of 9 bytes.

    Raises:
        FrameError: another length.
    """
    if len(data) != REPLY_BYTES:
        raise FrameError(f"NAW_7S answer {quoted(data)}: expected {REPLY_BYTES} bytes")
    _, current, temperature = struct.unpack(">ffB", data)
    if temperature > 19:
        return LambdaReading.without(SensorState.WARMING)
    if temperature < 11 or not math.isfinite(current):
        return LambdaReading.without(SensorState.FAULT)
    if not 0.0 <= current <= 1024.0:
        return LambdaReading.without(SensorState.IMPOSSIBLE)
    if current <= _AT_LAMBDA_1:
        return LambdaReading.measured(0.00003453 * current**2 - 0.00159 * current + 0.6368)
    oxygen = -0.00000359 * current**2 + 0.003894 * current - 0.4398
    if oxygen >= _FREE_AIR_OXYGEN:
        return LambdaReading.without(SensorState.FREE_AIR)
    lambda_ = (oxygen / 3.0 + 1.0) / (1.0 - 4.76 * oxygen)
    return LambdaReading.measured(lambda_ if lambda_ < _LEANEST else math.inf)

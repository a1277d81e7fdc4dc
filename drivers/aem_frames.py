"""AEM's X-series and UEGO wideband controllers: text lines on a serial port, frames on CAN. No I/O."""

from __future__ import annotations

import re

from drivers.base import FrameError
from drivers.isotp import quoted
from drivers.lambda_reading import LambdaReading, SensorState

CAN_ID = 0x180
"""Identifier of the first controller on a bus, 11 or 29 bits; the others follow."""

_LONGEST_LINE = 64
_NUMBER = re.compile(r"\s*(\d{1,2}(?:\.\d{0,4})?)\s*")
_LAMBDA_BELOW = 3.0  # a larger number is an air-fuel ratio
_VALID, _FAULT = 0x80, 0x40


class AemScanner:
    """Finds readings in the lines of the serial port; ``bad_frames`` counts lines that are none.

    Older controllers send a number as their display has it, newer ones lambda, ``Ready`` and
    ``No-errors`` with tabs between. Numbers of 3 and more are air-fuel ratios, of which
    ``stoich_afr`` is lambda 1.
    """

    def __init__(self, stoich_afr: float) -> None:
        self.bad_frames = 0
        self._stoich_afr = stoich_afr
        self._rest = b""

    def feed(self, data: bytes) -> list[LambdaReading]:
        """The readings that ``data`` completes."""
        *lines, rest = re.split(rb"[\r\n]", self._rest + data)
        if len(rest) > _LONGEST_LINE:
            self.bad_frames += 1
            rest = rest[-_LONGEST_LINE:]
        self._rest = rest
        readings = []
        for line in lines:
            if line:
                found = self._reading(line)
                if found is None:
                    self.bad_frames += 1
                else:
                    readings.append(found)
        return readings

    def _reading(self, line: bytes) -> LambdaReading | None:
        if len(line) > _LONGEST_LINE or not line.isascii():
            return None
        number, *words = line.decode("ascii").split("\t")
        found = _NUMBER.fullmatch(number)
        if found is None:
            return None
        said = [word.strip().casefold() for word in words]
        if said and said[0] != "ready":
            return LambdaReading.without(SensorState.WARMING)
        if len(said) > 1 and said[1] != "no-errors":
            return LambdaReading.without(SensorState.FAULT)
        value = float(found[1])
        return LambdaReading.measured(value if value < _LAMBDA_BELOW else value / self._stoich_afr)


def reading_of_frame(data: bytes) -> LambdaReading:
    """The reading in a CAN frame of 8 bytes: lambda in 0.0001, flags in the last two.

    Raises:
        FrameError: another length.
    """
    if len(data) != 8:
        raise FrameError(f"AEM frame {quoted(data)}: expected 8 bytes")
    if data[7] & _FAULT:
        return LambdaReading.without(SensorState.FAULT)
    if not data[6] & _VALID:
        return LambdaReading.without(SensorState.WARMING)
    return LambdaReading.measured(int.from_bytes(data[:2], "big") * 1e-4)

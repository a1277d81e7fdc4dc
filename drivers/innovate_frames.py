"""Innovate's serial protocol 2 (ISP2: LC-1, LC-2, LM-2, MTX-L …) and the LM-1's own. No I/O.

A packet is a header of two bytes, both with bit 7 set, and as many words of two bytes as the header
says. Devices are chained, and each adds its words: a word of an auxiliary input, or the two words of
a lambda channel. The first of those holds what the second means (0 lambda, 1 oxygen in 0.1 %, 2 free-air
calibration, 3 calibration needed, 4 warming up, 5 heater calibration, 6 error) and the fuel's
stoichiometric ratio. The old LM-1 marks its first word with bit 15 and adds one for the battery; alone, it
sends no header. Source: Innovate's published descriptions of both protocols.
"""

from __future__ import annotations

from drivers.lambda_reading import LambdaReading, SensorState

_HEADER_BITS = 0xB2  # 1x11xx1x
_CHANNEL_BITS = 0x42  # 01xxxx1x: first word of a lambda channel
_OFFSET = 500  # of lambda in thousandths
_STATES = {
    1: SensorState.FREE_AIR,
    2: SensorState.CALIBRATING,
    3: SensorState.UNCALIBRATED,
    4: SensorState.WARMING,
    5: SensorState.CALIBRATING,
}


class InnovateScanner:
    """Finds the readings of one lambda channel in a stream that may be anything.

    ``sensor`` is its place in the chain, from 1; ``bad_frames`` counts packets that were cut or
    overwritten. A packet without that channel gives no reading.
    """

    def __init__(self, sensor: int = 1) -> None:
        self.bad_frames = 0
        self._sensor = sensor
        self._rest = b""

    def feed(self, data: bytes) -> list[LambdaReading]:
        """The readings that ``data`` completes."""
        data = self._rest + data
        readings: list[LambdaReading] = []
        at = 0
        while at + 1 < len(data):
            if not data[at] & 0x80:
                at += 1
                continue
            size = _size(data[at], data[at + 1])
            packet = data[at : at + size]
            if any(low & 0x80 for low in packet[3::2]) or (size == 4 and packet[2:3] >= b"\x80"):
                self.bad_frames += 1
                at += 2 if size else 1
            elif len(packet) < size:
                break
            else:
                found = self._reading(packet) if size else None
                if found is not None:
                    readings.append(found)
                at += max(size, 1)
        self._rest = data[at:]
        return readings

    def _reading(self, packet: bytes) -> LambdaReading | None:
        if not packet[1] & 0x80:  # the LM-1 alone
            return _decoded(packet[0] >> 2 & 0xF, packet[2:4]) if self._sensor == 1 else None
        sensor, at = 0, 2
        while at < len(packet):
            high = packet[at]
            is_old, is_new = bool(high & 0x80), high & 0xC2 == _CHANNEL_BITS
            if is_old or is_new:
                sensor += 1
                if sensor == self._sensor and at + 4 <= len(packet):
                    return _decoded(high >> 2 & (0xF if is_old else 0x7), packet[at + 2 : at + 4])
            at += 6 if is_old else 4 if is_new else 2
        return None


def _size(high: int, low: int) -> int:
    """Bytes of the packet that begins so; 0 where none does."""
    if low & 0x80:
        is_header = high & _HEADER_BITS == _HEADER_BITS
        return 2 + 2 * ((high & 1) << 7 | low & 0x7F) if is_header else 0
    return 0 if high & 0x02 else 4


def _decoded(function: int, word: bytes) -> LambdaReading:
    if function == 0:
        return LambdaReading.measured(((word[0] & 0x3F) << 7 | word[1] & 0x7F) / 1000.0 + _OFFSET / 1000.0)
    return LambdaReading.without(_STATES.get(function, SensorState.FAULT))

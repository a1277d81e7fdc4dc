"""From frames that an ECU broadcasts to samples: what is newest of each signal, while it is not too old."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from drivers.dbc_signals import SignalMap

NAN = math.nan
RATE_HZ = 50.0
MAX_AGE_S = 0.5
SLOW_AGE_S = 10.0
_SLOW = frozenset({"iat_c", "ect_c"})


@dataclass(frozen=True, slots=True)
class HoldRules:
    """How often samples are taken at most, and how long a signal's value stands."""

    rate_hz: float = RATE_HZ
    max_age_s: float = MAX_AGE_S

    def age_s(self, channel: str) -> float:
        """How old a channel's value may be: temperatures change slowly and are sent seldom."""
        return max(SLOW_AGE_S, self.max_age_s) if channel in _SLOW else self.max_age_s


class BroadcastSamples:
    """The newest value of every channel.

    The rule: each frame with the air flow (the MAF voltage, where it is sent) makes a sample at its own
    time, at most ``rate_hz`` of them per second. Every other channel has the newest value that came
    before, and NaN where that is older than its limit. ``bad_frames`` counts frames that do not
    decode.
    """

    def __init__(self, signals: SignalMap, rules: HoldRules) -> None:
        self.bad_frames = 0
        self._signals = signals
        self._rules = rules
        self._clock_channel = "maf_v" if "maf_v" in signals.channels else "maf_gs"
        self._derives_load = "load_g_rev" not in signals.channels and {"maf_gs", "rpm"} <= set(
            signals.channels
        )
        self._values = dict.fromkeys(signals.channels, NAN)
        self._values.update(signals.constants)
        self._until_s = dict.fromkeys(signals.channels, -math.inf)
        self._until_s.update(dict.fromkeys(signals.constants, math.inf))
        self._next_s = -math.inf

    @property
    def identifiers(self) -> Collection[tuple[int, bool]]:
        """Frames that are wanted, as (identifier, is extended)."""
        return self._signals.messages.keys()

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels of a sample, in the order of its values; engine load is derived where it is not sent."""
        return (*self._signals.channels, "load_g_rev") if self._derives_load else self._signals.channels

    @property
    def words(self) -> str:
        return self._signals.words

    def take(self, identifier: tuple[int, bool], data: bytes, at_s: float) -> list[float] | None:
        """The values of the sample that this frame makes, in the order of :attr:`channels`; or None."""
        message = self._signals.messages.get(identifier)
        if message is None:
            return None
        values = message.values(data)
        if values is None:
            self.bad_frames += 1
            return None
        for channel, value in values.items():
            self._values[channel] = value
            self._until_s[channel] = at_s + self._rules.age_s(channel)
        return self._row(at_s) if self._clock_channel in values else None

    def _row(self, at_s: float) -> list[float] | None:
        if at_s < self._next_s:
            return None
        # a tenth of the interval is let pass: broadcasts come a little early as often as late
        self._next_s = at_s + 0.9 / self._rules.rate_hz
        until_s = self._until_s
        row = [value if at_s <= until_s[name] else NAN for name, value in self._values.items()]
        if self._derives_load:
            values = dict(zip(self._signals.channels, row, strict=True))
            rpm = values["rpm"]
            row.append(60.0 * values["maf_gs"] / rpm if rpm > 0.0 else NAN)
        return row

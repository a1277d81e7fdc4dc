"""Units that logs use, and what turns them into ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

STOICHIOMETRIC_AFR = 14.7
"""Petrol, and what every logger uses that turns lambda into AFR."""


@dataclass(frozen=True, slots=True)
class Unit:
    """``ours = logged * factor + offset``; ``symbol`` as people write it."""

    quantity: str
    symbol: str
    factor: float = 1.0
    offset: float = 0.0

    @property
    def is_ours(self) -> bool:
        return self.factor == 1.0 and self.offset == 0.0


VOLT = Unit("voltage", "V")
GRAM_PER_S = Unit("flow", "g/s")
PERCENT = Unit("percent", "%")
AROUND_100 = Unit("percent", "% of the fuel (100: no correction)", 1.0, -100.0)
CELSIUS = Unit("temperature", "°C")
FAHRENHEIT = Unit("temperature", "°F", 1.0 / 1.8, -32.0 / 1.8)
KPA = Unit("pressure", "kPa")
PSI = Unit("pressure", "psi", 6.894757293168361)
BAR = Unit("pressure", "bar", 100.0)
LAMBDA = Unit("mixture", "lambda")
AFR = Unit("mixture", "AFR", 1.0 / STOICHIOMETRIC_AFR)
SECOND = Unit("time", "s")
MILLISECOND = Unit("time", "ms", 0.001)
MICROSECOND = Unit("time", "µs", 1e-6)
PER_MIN = Unit("speed of rotation", "1/min")
KM_PER_H = Unit("speed", "km/h")
GRAM_PER_REV = Unit("load", "g/rev")
STATUS = Unit("state", "")
SWITCH = Unit("state", "on/off")

_SPELLINGS: Mapping[Unit, tuple[str, ...]] = {
    VOLT: ("v", "volt", "volts"),
    Unit("voltage", "mV", 0.001): ("mv",),
    GRAM_PER_S: ("g/s", "g/sec", "gr/s", "gm/s", "gm/sec", "gram/s", "grams/s", "grams/sec", "gps"),
    Unit("flow", "kg/h", 1.0 / 3.6): ("kg/h", "kg/hr"),
    Unit("flow", "lb/min", 453.59237 / 60.0): ("lb/min", "lbs/min", "lb/m"),
    PERCENT: ("%", "percent", "pct"),
    CELSIUS: ("c", "degc", "deg c", "celsius", "°c"),
    FAHRENHEIT: ("f", "degf", "deg f", "fahrenheit", "°f"),
    Unit("temperature", "K", 1.0, -273.15): ("k", "kelvin"),
    KPA: ("kpa",),
    PSI: ("psi", "psia", "psi absolute"),
    BAR: ("bar",),
    Unit("pressure", "mbar", 0.1): ("mbar", "hpa"),
    Unit("pressure", "inHg", 3.386389): ("inhg", "in hg"),
    LAMBDA: ("lambda", "λ", "eq ratio"),
    AFR: ("afr", "afr gasoline", "estimated afr", ":1", "afr petrol"),
    SECOND: ("s", "sec", "secs", "second", "seconds"),
    MILLISECOND: ("ms", "msec", "millisecond", "milliseconds"),
    MICROSECOND: ("us", "µs", "usec"),
    Unit("time", "min", 60.0): ("min", "mins", "minute", "minutes"),
    Unit("time", "h", 3600.0): ("h", "hr", "hrs", "hour", "hours"),
    PER_MIN: ("rpm", "1/min", "/min", "r/min"),
    KM_PER_H: ("km/h", "kph", "kmh"),
    Unit("speed", "mph", 1.609344): ("mph",),
    Unit("speed", "m/s", 3.6): ("m/s",),
    GRAM_PER_REV: ("g/rev", "load", "gram/rev", "grams/rev"),
    STATUS: ("status", "raw", "?", "state", "code"),
    SWITCH: ("on/off", "0/1"),
    Unit("frequency", "Hz"): ("hz",),
    Unit("resistance", "ohm"): ("ohm", "ohms"),
    Unit("angle", "°"): ("deg", "degrees", "°"),
}

_BY_SPELLING: Mapping[str, Unit] = {
    spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings
}


def unit_of(text: str) -> Unit | None:
    """The unit that a header writes so, None where there is none or an unknown one.

    Degree signs that an encoding destroyed (``�F``, ``Â°C``) are ignored.
    """
    text = text.replace("℃", "°C").replace("℉", "°F").replace("*", "")
    plain = re.sub(r"[^\x20-\x7eµλ°]", "", text.strip().casefold()).strip()
    return _BY_SPELLING.get(plain) or _BY_SPELLING.get(plain.lstrip("°").strip())

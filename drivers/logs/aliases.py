"""What loggers call the channels we need: all names in one place, as data.

A name is written as :func:`plain_name` leaves it: lower case, without unit, ``*``, ``#``, ``.`` and
``_``. Within a role the first name that a log has wins, so the finer of two sources comes first. Our own
names are among them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.logs.units import (
    AFR,
    CELSIUS,
    FAHRENHEIT,
    GRAM_PER_REV,
    GRAM_PER_S,
    LAMBDA,
    PER_MIN,
    PERCENT,
    PSI,
    STATUS,
    SWITCH,
    VOLT,
    Unit,
    unit_of,
)


@dataclass(frozen=True, slots=True)
class Alias:
    """One name of a channel. ``unit`` is used where the header states none; None: found from the values.

    ``note`` tells readings of one role apart: how a fuel-loop state is coded, which sensor measured.
    """

    name: str
    unit: Unit | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Role:
    """A channel, or the time, and the names it goes by; ``quantity`` is what its unit must measure."""

    name: str
    quantity: str
    aliases: tuple[Alias, ...]


def _names(unit: Unit | None, *names: str, note: str = "") -> tuple[Alias, ...]:
    return tuple(Alias(name, unit, note) for name in names)


TIME = "time"
FEEDBACK = "feedback"
"""Note of a trim that MegaSquirt and its kin write as a share of the fuel: 100 is no correction."""

ROLES: Mapping[str, Role] = {
    role.name: role
    for role in (
        Role(TIME, "time", (*_names(
            None, "time", "timestamp", "seconds", "elapsed time", "device time", "offset", "secl", "log time",
            "date time", "datetime", "engine runtime", "engine run time", "run time", "gps time",
        ), *_names(unit_of("s"), "t s"))),
        Role("maf_v", "voltage", _names(
            VOLT, "mass airflow sensor voltage", "maf sensor voltage", "maf voltage", "maf volts", "maf volt",
            "mafv", "maf v", "maf(v)", "mass air flow sensor voltage", "mass air flow voltage", "maf",
        )),
        Role("maf_gs", "flow", _names(
            GRAM_PER_S, "mass airflow", "mass air flow rate", "mass air flow", "maf sensor", "maf", "maf g/s",
            "maf rate", "air flow rate from mass air flow sensor", "maf corr final", "maf corr",
            "mass airflow (sae)", "massairflow", "maf air flow rate", "mass air flow sensor",
            "maf gs",
        )),
        Role("stft_pct", "percent", (*_names(
            PERCENT, "a/f correction 1 (4-byte)", "a/f correction 1", "af correction 1", "afc",
            "fuel trim short term", "short term ft", "fuel correct", "f afr c %", "f afr c",
            "short term fuel trim bank 1", "fuel trim bank 1 short term",
            "short term fuel % trim - bank 1",
            "short term fuel trim (primary sensor)", "short term fuel trim - bank 1", "short term fuel trim",
            "short fuel trim 1", "stft1", "stft b1", "stft", "lambda control bank 1", "lambda control",
            "stft pct",
        ), *_names(PERCENT, "ego cor1", "egocor1", "ego cor 1", "gego", note=FEEDBACK))),
        Role("ltft_pct", "percent", (*_names(
            PERCENT, "a/f learning 1 (4-byte)", "a/f learning 1", "af learning 1", "afl",
            "fuel trim long term", "long term ft", "fuel learn", "f afr l %", "f afr l",
            "long term fuel trim bank 1", "fuel trim bank 1 long term",
            "long term fuel % trim - bank 1", "long term fuel trim - bank 1", "long term fuel trim",
            "long fuel trim 1", "ltft1", "ltft b1", "ltft", "lambda adaptation partial",
            "lambda adapt partial", "ltft pct",
        ), *_names(PERCENT, "long term fuel trim cor", note=FEEDBACK))),
        Role("fuel_loop", "state", (
            *_names(STATUS, "cl/ol fueling", "cl/ol", "cl/ol status", note="subaru"),
            *_names(STATUS, "fuel system status", "fuel status", "fuel system 1 status",
                    "fuel system status bank 1", "fuel system 1", "fuel loop", note="obd"),
            *_names(SWITCH, "closed loop sw", "closed loop switch", "closed loop", note="switch"),
        )),
        Role("rpm", "speed of rotation", _names(
            PER_MIN, "engine speed", "engine rpm", "rpm", "engine speed (rpm)", "enginespeed",
        )),
        Role("throttle_pct", "percent", _names(
            PERCENT, "throttle opening angle", "throttle position 1", "throttle pos", "throttle position",
            "throttle plate", "throttle", "throttle %", "absolute throttle position", "throttle opening",
            "tps", "relative throttle position", "throttle pct",
        )),
        Role("load_g_rev", "load", (
            *_names(GRAM_PER_REV, "engine load (4-byte)", "engine load (calculated)", "load g/rev",
                    "load g rev"),
            *_names(None, "calculated load", "load", "engine load"),
        )),
        Role("speed_kmh", "speed", (
            *_names(None, "vehicle speed", "speed"),
            *_names(unit_of("mph"), "mph"),
            *_names(unit_of("km/h"), "kph", "kmh", "speed kmh"),
        )),
        Role("map_kpa", "pressure", (
            *_names(None, "manifold absolute pressure", "manifold absolute pressure (bar)",
                    "intake manifold absolute pressure", "intake manifold pressure", "man abs press", "map"),
            *_names(PSI, "map psi"),
            *_names(unit_of("kPa"), "map kpa"),
        )),
        Role("iat_c", "temperature", (
            *_names(None, "intake air temperature", "intake air temp", "intake temp", "intake", "iat",
                    "intake temperature", "air intake temp"),
            *_names(FAHRENHEIT, "iat f"),
            *_names(CELSIUS, "iat c"),
        )),
        Role("ect_c", "temperature", (
            *_names(None, "coolant temperature", "coolant temp", "engine coolant temperature",
                    "engine coolant temp", "coolant", "ect", "clt"),
            *_names(FAHRENHEIT, "ect f"),
            *_names(CELSIUS, "ect c"),
        )),
        Role("lambda_", "mixture", (
            *_names(AFR, "a/f sensor 1", "af sens 1 ratio", "front a/f sensor", note="front"),
            *_names(None, "afr", "actual afr", "f afr", "actual equivalence/air to fuel ratio",
                    "air fuel ratio(measured)", "lambda", note="front"),
            *_names(None, "wbo2", "plx o2 - wideband", "aem uego wideband [9600 baud]", "aem uego wideband",
                    "wideband", "wideband o2", "wb eq ratio 1", note="wideband"),
        )),
        Role("lambda_target", "mixture", (
            *_names(AFR, "final fueling base (4-byte)", "final fueling base (2-byte)", "final fueling base",
                    "comm fuel final", "cl fuel target", "closed loop fueling target (4-byte)",
                    "closed loop fueling target"),
            *_names(None, "ffb", "afr target", "afr target 1", "equivalence ratio commanded",
                    "air fuel ratio(commanded)", "commanded afr", "desired afr",
                    "commanded equivalence ratio", "desired equivalence/air to fuel ratio"),
            *_names(LAMBDA, "fuel air commanded equiv ratio", "equiv ratio", "lambda target"),
        )),
    )
}  # fmt: skip
"""Every role by name, in the order in which they are looked for."""

ROLES_SHOWN: Mapping[str, str] = {name.rstrip("_"): name for name in ROLES}
"""Role by the name that people give it: ``lambda`` is a word of Python, not of tuners."""

WORDS: Mapping[str, str] = {
    TIME: "time",
    "maf": "mass air flow (volts or g/s)",
    "stft_pct": "short-term fuel trim",
    "ltft_pct": "long-term fuel trim",
}


@dataclass(frozen=True, slots=True)
class Header:
    """One column name as the log writes it, and taken apart; ``unit_text`` is '' where it has none."""

    text: str
    name: str
    unit_text: str

    @property
    def unit(self) -> Unit | None:
        return unit_of(self.unit_text)


_UNIT = re.compile(r"^(?P<name>.*\S)\s*[(\[](?P<unit>[^()\[\]]*)[)\]]\s*\**\s*$")


def header_of(text: str) -> Header:
    """A header taken apart: ``A/F Correction #1 (4-byte)* (%)`` is ``a/f correction 1 (4-byte)`` in ``%``."""
    clean = " ".join(text.replace("\ufeff", "").split()).strip("\"' ")
    found = _UNIT.match(clean)
    if found and not re.fullmatch(r"\d-byte|SAE|sae|32-bit ECU|Calculated|Corrected", found["unit"]):
        return Header(clean, plain_name(found["name"]), found["unit"].strip())
    return Header(clean, plain_name(clean), "")


def plain_name(text: str) -> str:
    """A name as :data:`ROLES` writes it."""
    return " ".join(re.sub(r"[*#\"]", "", re.sub(r"[_.]", " ", text.casefold())).split())


def without_brackets(name: str) -> str:
    """The name without additions such as ``(sae)`` or ``(2-byte)``."""
    return " ".join(re.sub(r"\([^()]*\)", " ", name).split())

"""One verdict per sample: accepted, or the first reason against it."""

from __future__ import annotations

from enum import IntEnum


class Verdict(IntEnum):
    """What became of a sample. The order of the members is the order of precedence.

    ``label`` is the name in JSON and metrics, ``words`` are for the tuner.
    """

    ACCEPTED = 0
    TIME_NOT_RISING = 1
    CHANNEL_MISSING = 2
    IMPLAUSIBLE = 3
    OPEN_LOOP = 4
    LOOP_FAULT = 5
    OFF_AXIS = 6
    COLD_ENGINE = 7
    HOT_INTAKE = 8
    RPM_RANGE = 9
    LOW_LOAD = 10
    TRIM_AT_LIMIT = 11
    TARGET_NOT_STOICHIOMETRIC = 12
    JUST_CLOSED = 13
    TRANSIENT = 14
    LEAVING_CLOSED_LOOP = 15
    GAP = 16

    @property
    def label(self) -> str:
        return LABELS[self]

    @property
    def words(self) -> str:
        return _WORDS[self]


LABELS = tuple(name.lower() for name in Verdict.__members__)
"""Label of each verdict, by its number."""

_WORDS = {
    Verdict.ACCEPTED: "counted",
    Verdict.TIME_NOT_RISING: "time stands still or runs backwards",
    Verdict.CHANNEL_MISSING: "a value that is needed is missing in this sample",
    Verdict.IMPLAUSIBLE: "a value is outside what is physically possible",
    Verdict.OPEN_LOOP: "open loop: the trims say nothing",
    Verdict.LOOP_FAULT: "closed loop with a fault stored",
    Verdict.OFF_AXIS: "MAF voltage is outside the table",
    Verdict.COLD_ENGINE: "coolant is too cold",
    Verdict.HOT_INTAKE: "intake air is too hot",
    Verdict.RPM_RANGE: "engine speed is outside the range",
    Verdict.LOW_LOAD: "engine load is too low",
    Verdict.TRIM_AT_LIMIT: "a trim is at its limit: the true error is larger",
    Verdict.TARGET_NOT_STOICHIOMETRIC: "the commanded mixture is not stoichiometric",
    Verdict.JUST_CLOSED: "the loop has only just closed",
    Verdict.TRANSIENT: "air flow is changing too fast",
    Verdict.LEAVING_CLOSED_LOOP: "the loop opened before the mixture was seen",
    Verdict.GAP: "samples are missing around this one",
}

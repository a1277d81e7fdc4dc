"""One column per channel, each with its unit: stated, or concluded from the first values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from drivers.logs.aliases import FEEDBACK, ROLES, TIME
from drivers.logs.columns import Candidate, Column, HeadValues
from drivers.logs.units import (
    AFR,
    AROUND_100,
    BAR,
    CELSIUS,
    FAHRENHEIT,
    GRAM_PER_REV,
    KPA,
    LAMBDA,
    MICROSECOND,
    MILLISECOND,
    PERCENT,
    PSI,
    SECOND,
    STATUS,
    Unit,
    unit_of,
)
from lowmaf.samples import Floats

HOTTEST_INTAKE_C = 65.0
HOTTEST_COOLANT_C = 130.0
LARGEST_LOAD_G_REV = 10.0
LARGEST_LAMBDA = 4.0
HIGHEST_FEEDBACK_TRIM_PCT = 50.0
SLOWEST_STEP_S = 5.0
"""An unlabelled time that rises by this or more per row counts milliseconds, and by a thousand times as much
microseconds: no logger is so slow."""


@dataclass(slots=True)
class Layout:
    """The chosen columns by role, and what had to be concluded to choose them."""

    columns: dict[str, Column]
    inferred: list[str]
    warnings: list[str]


def resolve(found: Mapping[str, Sequence[Candidate]], values: HeadValues) -> Layout:
    """One column per role, each with its unit: stated, or concluded from the first values.

    A measured lambda is taken only together with its commanded one. A column whose unit nothing
    tells is left out. The time column is resolved by its own rules.
    """
    layout = Layout({}, [], [])
    for role, options in found.items():
        if role != TIME:
            _resolve_role(layout, role, options, values)
    if "lambda_" in layout.columns and "lambda_target" not in layout.columns:
        header = layout.columns.pop("lambda_").header.text
        layout.inferred = [words for words in layout.inferred if not words.startswith(f"{header}: ")]
        layout.warnings.append(f"{header} is not used: a measured lambda needs its commanded one beside it")
    if "iat_c" in layout.columns and "ect_c" in layout.columns:
        _agree_on_temperature(layout, layout.columns["iat_c"], layout.columns["ect_c"], found)
    return layout


def _resolve_role(layout: Layout, role: str, options: Sequence[Candidate], values: HeadValues) -> None:
    for option in options:
        unit, why = _unit(option, values)
        if unit is None:
            layout.warnings.append(f"{option.header.text} is left out: {why}")
            continue
        if why:
            layout.inferred.append(f"{option.header.text}: {why}")
            if unit is FAHRENHEIT:
                layout.warnings.append(f"{option.header.text} is read as °F although the log does not say so")
        layout.columns[role] = Column(role, option.index, option.header, unit, option.note)
        same = [other.header.text for other in options if other.header.name == option.header.name]
        if len(same) > 1:
            layout.warnings.append(f"{len(same)} columns are called {same[0]}: the first was taken")
        return


def _agree_on_temperature(
    layout: Layout, intake: Column, coolant: Column, found: Mapping[str, Sequence[Candidate]]
) -> None:
    """A log writes both temperatures in one unit: the one that is sure decides for the other."""
    for unsure, sure in ((intake, coolant), (coolant, intake)):
        stated = found[unsure.role][0].unit is not None
        if not stated and unsure.unit is CELSIUS and sure.unit is FAHRENHEIT:
            layout.columns[unsure.role] = Column(
                unsure.role, unsure.index, unsure.header, FAHRENHEIT, unsure.note
            )
            layout.inferred = [i for i in layout.inferred if not i.startswith(f"{unsure.header.text}: ")]
            layout.inferred.append(f"{unsure.header.text}: °F, as {sure.header.text} is")
            layout.warnings.append(f"{unsure.header.text} is read as °F although the log does not say so")


def _unit(option: Candidate, values: HeadValues) -> tuple[Unit | None, str]:
    """The unit of a column, and how it was concluded: '' where the log or the name says it."""
    quantity = ROLES[option.role].quantity
    if option.note == FEEDBACK:
        return _feedback(values(option.index))
    if option.unit is not None and quantity != "mixture":
        return option.unit, ""
    known = values(option.index)
    known = known[np.isfinite(known)]
    if quantity == "mixture":
        return _mixture(option, known)
    if quantity == "temperature":
        return _temperature(option.role, known)
    if quantity == "pressure":
        return _pressure(known)
    if quantity == "load":
        if option.header.name != "engine load" and known.size and known.max() <= LARGEST_LOAD_G_REV:
            return GRAM_PER_REV, f"no unit: taken as g/rev because no value exceeds {LARGEST_LOAD_G_REV:g}"
        return None, "nothing says that it is in g/rev"
    if quantity == "state":
        return STATUS, ""
    return None, "nothing says its unit"


def _feedback(values: Floats) -> tuple[Unit, str]:
    known = values[np.isfinite(values)]
    if known.size and float(np.median(known)) < HIGHEST_FEEDBACK_TRIM_PCT:
        return PERCENT, f"taken as a trim because its values lie around {float(np.median(known)):.3g}"
    return AROUND_100, ""


def _temperature(role: str, known: Floats) -> tuple[Unit, str]:
    if not known.size:
        return CELSIUS, "no unit and no values at first: taken as °C"
    span = f"{known.min():g} to {known.max():g}"
    celsius = (known - 32.0) / 1.8
    if (np.abs(celsius - np.round(celsius)) < 0.02).all() and (known != np.round(known)).any():
        return FAHRENHEIT, f"no unit: °F because every value ({span}) is a whole number of °C turned into °F"
    hottest = HOTTEST_INTAKE_C if role == "iat_c" else HOTTEST_COOLANT_C
    if float(known.max()) > hottest:
        return FAHRENHEIT, f"no unit: °F because {span} °C is not plausible"
    return CELSIUS, f"no unit: taken as °C (values {span})"


def _mixture(option: Candidate, known: Floats) -> tuple[Unit | None, str]:
    known = known[known > 0.0]
    if not known.size:
        return (option.unit, "") if option.unit else (None, "no value tells whether it is AFR or lambda")
    is_lambda = float(np.median(known)) < LARGEST_LAMBDA
    unit = LAMBDA if is_lambda else AFR
    if option.unit is unit:
        return unit, ""
    stated = "no unit" if option.header.unit is None else f"called {option.header.unit.symbol}, yet"
    return unit, f"{stated}: {unit.symbol} because its values lie around {float(np.median(known)):.3g}"


def _pressure(known: Floats) -> tuple[Unit | None, str]:
    if not known.size or known.max() <= 0.0:
        return None, "nothing says its unit"
    highest = float(known.max())
    unit = BAR if highest < 5.0 else PSI if highest < 60.0 else KPA if highest < 450.0 else unit_of("mbar")
    assert unit is not None
    return unit, f"no unit: taken as {unit.symbol} because its largest value is {highest:g}"


def time_unit(option: Candidate, stamps: Floats) -> tuple[Unit, str]:
    """The unit of a numeric time column, and how it was concluded."""
    if option.unit is not None:
        return option.unit, ""
    steps = np.diff(stamps[np.isfinite(stamps)])
    rising = steps[steps > 0.0]
    step = float(np.median(rising)) if rising.size else 0.0
    if step >= SLOWEST_STEP_S * 1000.0:
        return MICROSECOND, f"{option.header.text}: no unit: microseconds because rows are {step:g} apart"
    if step >= SLOWEST_STEP_S:
        return MILLISECOND, f"{option.header.text}: no unit: milliseconds because rows are {step:g} apart"
    return SECOND, f"{option.header.text}: no unit: seconds because rows are {step:g} apart"

"""Which column of a log is which channel, and in what unit."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from drivers.logs.aliases import (
    FEEDBACK,
    ROLES,
    ROLES_SHOWN,
    TIME,
    Alias,
    Header,
    Role,
    header_of,
    without_brackets,
)
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

HeadValues = Callable[[int], Floats]
"""Numbers of a column, by its index, in the first rows of the log; NaN where there is none."""

_BARE = "\0"
"""Before a name whose additions in brackets were taken away; no header contains it."""

HOTTEST_INTAKE_C = 65.0
HOTTEST_COOLANT_C = 130.0
LARGEST_LOAD_G_REV = 10.0
LARGEST_LAMBDA = 4.0
HIGHEST_FEEDBACK_TRIM_PCT = 50.0
SLOWEST_STEP_S = 5.0
"""An unlabelled time that rises by this or more per row counts milliseconds, and by a thousand times as much
microseconds: no logger is so slow."""


_LONGEST_NAME, _MOST_NAMES = 100, 300


class ColumnError(ValueError):
    """A column that the user named does not exist, or a role does not; says which exist."""


@dataclass(frozen=True, slots=True)
class Column:
    """A channel's column. ``note`` says how a state is coded or which sensor measured."""

    role: str
    index: int
    header: Header
    unit: Unit
    note: str = ""

    def convert(self, logged: Floats) -> Floats:
        """Logged values in our unit; what is beyond all numbers in it becomes infinite."""
        if self.unit.is_ours:
            return logged
        with np.errstate(over="ignore"):
            return logged * self.unit.factor + self.unit.offset


@dataclass(frozen=True, slots=True)
class Candidate:
    """A column that may be a role; ``unit`` is None where neither header nor name tell it."""

    role: str
    index: int
    header: Header
    unit: Unit | None
    note: str


@dataclass(slots=True)
class Layout:
    """The chosen columns by role, and what had to be concluded to choose them."""

    columns: dict[str, Column]
    inferred: list[str]
    warnings: list[str]


def candidates(headers: Sequence[Header], asked: Mapping[str, str]) -> dict[str, list[Candidate]]:
    """Columns that may be each role, the best first; a column that the user named is the only one.

    Raises:
        ColumnError: ``asked`` names a role or a header that does not exist.
    """
    chosen = {role: [_asked_column(role, text, headers)] for role, text in asked.items()}
    taken = {found[0].index for found in chosen.values()}
    by_name = _by_name(headers)
    for role in ROLES.values():
        if role.name not in chosen:
            found = [item for item in _by_alias(role, headers, by_name) if item.index not in taken]
            if found:
                chosen[role.name] = found
    return chosen


def _by_alias(role: Role, headers: Sequence[Header], by_name: Mapping[str, Sequence[int]]) -> list[Candidate]:
    """Columns with a name of this role: whole names first, then those without additions in brackets."""
    found: list[Candidate] = []
    for mark in ("", _BARE):
        for alias in role.aliases:
            for index in by_name.get(mark + alias.name, ()):
                header = headers[index]
                if _fits(role, alias, header) and all(other.index != index for other in found):
                    found.append(Candidate(role.name, index, header, header.unit or alias.unit, alias.note))
    return found


def _by_name(headers: Sequence[Header]) -> dict[str, list[int]]:
    """Indices of columns by name, and once more by the name without additions in brackets."""
    indices: dict[str, list[int]] = {}
    for index, header in enumerate(headers):
        indices.setdefault(header.name, []).append(index)
        indices.setdefault(_BARE + without_brackets(header.name), []).append(index)
    return indices


def _fits(role: Role, alias: Alias, header: Header) -> bool:
    unit = header.unit
    if unit is not None:
        return unit.quantity == role.quantity
    if role.name == "maf_v" and alias.name == "maf":
        return False
    return not header.unit_text or role.quantity in ("state", "mixture")


def _asked_column(role: str, text: str, headers: Sequence[Header]) -> Candidate:
    if role not in ROLES:
        raise ColumnError(
            f"no column role {role!r}; {_nearest(role, list(ROLES))}roles are {', '.join(ROLES_SHOWN)}"
        )
    wanted = header_of(text)
    spellings = (
        [(header.text, wanted.text) for header in headers],
        [(header.text.casefold(), wanted.text.casefold()) for header in headers],
        [(header.name, wanted.name) for header in headers],
    )
    for pairs in spellings:
        for index, (there, asked) in enumerate(pairs):
            if there and there == asked:
                header = headers[index]
                alias = next((a for a in ROLES[role].aliases if a.name == header.name), None)
                unit = header.unit or wanted.unit or (alias.unit if alias else _own_unit(role))
                return Candidate(role, index, header, unit, alias.note if alias else "")
    texts = [header.text for header in headers if header.text]
    raise ColumnError(
        f"no column {text!r} for {role.rstrip('_')}; {_nearest(text, texts)}columns found: {shortened(texts)}"
    )


def _own_unit(role: str) -> Unit | None:
    """The unit of a role that has only one in practice."""
    units = {alias.unit for alias in ROLES[role].aliases if alias.unit is not None}
    return units.pop() if len(units) == 1 and role not in ("iat_c", "ect_c", "map_kpa") else None


def _nearest(text: str, known: Sequence[str]) -> str:
    looked_at = [name[:_LONGEST_NAME] for name in known[:_MOST_NAMES]]
    near = difflib.get_close_matches(text[:_LONGEST_NAME], looked_at, n=1, cutoff=0.4)
    return f"nearest is {near[0]!r}; " if near else ""


def shortened(texts: Sequence[str], characters: int = 400) -> str:
    """A list in one line that does not grow without bound."""
    line = ""
    for count, text in enumerate(texts):
        if len(line) + len(text) > characters:
            return f"{line} and {len(texts) - count} more"
        line += f", {text}" if line else text
    return line or "none"


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

"""How the rows of a log become channels: which columns, in which units, and what says closed loop."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivers.logs.aliases import FEEDBACK, ROLES, TIME, WORDS, Header
from drivers.logs.column_units import resolve, time_unit
from drivers.logs.columns import Candidate, Column, HeadValues, candidates, shortened
from drivers.logs.fuel_loop import (
    INFERRED_WITHIN,
    OPEN_ABOVE_THROTTLE_PCT,
    TRIM_ALIVE_S,
    LoopCoding,
    coding_from_values,
)
from drivers.logs.fuel_loop import WORDS as LOOP_WORDS
from lowmaf.samples import Floats

NEEDED_TRIMS = ("stft_pct", "ltft_pct")
SWITCH_ALONE = (
    "the commanded mixture is not logged: the closed-loop switch alone stays on while it is rich, "
    "so some samples may not be closed loop"
)
NO_LONG_TERM_TRIM = "long-term fuel trim: 0, because this kind of ECU has none"
NAME_ONE = "; name one with --columns ROLE=HEADER"
"""How the command line helps; who asks over HTTP has no such option."""
NO_FLAG = "the log has no closed-loop flag: the state is inferred, not measured"


_LONGEST_NAME, _MOST_NAMES = 60, 300
"""Longer names, and more of them, are not looked at for what they may have meant: it would take minutes."""


class LayoutError(ValueError):
    """A log without the columns that a table needs; says what is missing, what is there, what is near."""


@dataclass(frozen=True, slots=True)
class LogLayout:
    """``columns`` by role, without the time; ``time`` has its unit as seconds per number.

    Channels in ``zero`` have no column because what wrote the log has no such thing: they are 0.
    """

    time: Column
    columns: Mapping[str, Column]
    coding: LoopCoding
    inferred: tuple[str, ...]
    warnings: tuple[str, ...]
    zero: frozenset[str] = frozenset()

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels that batches carry: one per column, and the state of the fuel loop in any case."""
        return tuple(dict.fromkeys((*self.columns, *sorted(self.zero), "fuel_loop")))

    @property
    def converted(self) -> tuple[str, ...]:
        """Unit conversions in words."""
        return tuple(
            f"{column.header.text}: {column.unit.symbol} to {_our_unit(column)}"
            for column in (self.time, *self.columns.values())
            if not column.unit.is_ours
        )


def _our_unit(column: Column) -> str:
    return {"time": "s", "temperature": "°C", "mixture": "lambda", "pressure": "kPa", "flow": "g/s",
            "speed": "km/h", "voltage": "V", "percent": "%"}[column.unit.quantity]  # fmt: skip


def layout_of(headers: Sequence[Header], asked: Mapping[str, str], values: HeadValues) -> LogLayout:
    """The layout of a log from its column names and its first values.

    Raises:
        LayoutError: no time, no air flow or no trims.
        ColumnError: a column that the user named does not exist.
    """
    found = candidates(headers, asked)
    missing = _missing(found)
    if missing:
        raise LayoutError(_what_is_missing(missing, headers, found))
    time = _time(found[TIME], values)
    chosen = resolve(found, values)
    coding, inferred, warnings = _coding(chosen.columns, values)
    zero: frozenset[str] = frozenset()
    if "ltft_pct" not in found:
        zero = frozenset({"ltft_pct"})
        inferred.append(NO_LONG_TERM_TRIM)
    if time[1]:
        chosen.inferred.insert(0, time[1])
    if "maf_v" not in chosen.columns:
        warnings.append("no MAF voltage: cells can only be found through the g/s of a MAF table")
    return LogLayout(
        time[0],
        chosen.columns,
        coding,
        (*chosen.inferred, *inferred),
        (*chosen.warnings, *warnings),
        zero,
    )


def continued(layout: LogLayout, headers: Sequence[Header]) -> LogLayout:
    """The layout after a line of names within the log: units that it states count from here on.

    What a header does not state stays as it was; a column that is gone is missing from here on.

    Raises:
        LayoutError: the time column is gone.
    """
    found = candidates(headers, {})
    columns: dict[str, Column] = {}
    for role, old in (*layout.columns.items(), (TIME, layout.time)):
        same = [option for option in found.get(role, ()) if option.header.name == old.header.name]
        for option in same or found.get(role, ())[:1]:
            columns[role] = Column(role, option.index, option.header, option.unit or old.unit, option.note)
            break
    if TIME not in columns:
        raise LayoutError("a new line of names has no time column")
    time = columns.pop(TIME)
    if "lambda_target" not in columns:
        columns.pop("lambda_", None)
    coding = layout.coding if "fuel_loop" in columns or "fuel_loop" not in layout.columns else LoopCoding.NONE
    return replace(layout, time=time, columns=columns, coding=coding)


def _missing(found: Mapping[str, Sequence[Candidate]]) -> list[str]:
    needed = [role for role in (TIME, *NEEDED_TRIMS) if role not in found]
    if any(option.note == FEEDBACK for option in found.get("stft_pct", ())) and "ltft_pct" in needed:
        needed.remove("ltft_pct")
    if "maf_v" not in found and "maf_gs" not in found:
        needed.insert(0, "maf")
    return needed


def _what_is_missing(
    missing: Sequence[str], headers: Sequence[Header], found: Mapping[str, Sequence[Candidate]]
) -> str:
    texts = [header.text for header in headers if header.text]
    known = {option.index for options in found.values() for option in options}
    names = {
        header.name: header.text for index, header in enumerate(headers) if header.name and index not in known
    }
    looked_at = [name for name in names if len(name) <= _LONGEST_NAME][:_MOST_NAMES]
    near: list[str] = []
    for role in missing:
        roles = ("maf_v", "maf_gs") if role == "maf" else (role,)
        aliases = [alias.name for name in roles for alias in ROLES[name].aliases]
        close = [name for name in looked_at if difflib.get_close_matches(name, aliases, n=1, cutoff=0.72)]
        near.extend(f"{names[name]!r} for {WORDS[role]}?" for name in close[:1])
    if "maf" in missing:
        for header in headers:
            if header.unit is not None and header.unit.quantity == "frequency" and "air" in header.name:
                return (
                    f"{header.text} is a frequency (Hz): it is neither volts nor g/s, and no other column "
                    f"is; columns found: {shortened(texts, 300)}"
                )
    guess = f"; nearest: {' '.join(near)}" if near else ""
    pressure = found.get("map_kpa") if "maf" in missing else None
    if pressure:
        guess = (
            f"; it has {pressure[0].header.text}: an ECU that computes air from pressure and speed "
            f"(speed density) has no MAF table to correct{guess}"
        )
    return (
        f"no column for {', '.join(WORDS[role] for role in missing)}{guess}; "
        f"columns found: {shortened(texts, 300)}{NAME_ONE}"
    )


def _time(options: Sequence[Candidate], values: HeadValues) -> tuple[Column, str]:
    """The first time column that moves, with its unit."""
    best = options[0]
    for option in options:
        known = _known(values(option.index))
        if not known.size or known.min() != known.max():
            best = option
            break
    stamps = values(best.index)
    unit, why = time_unit(best, stamps)
    is_text = not _known(stamps).size
    return Column(TIME, best.index, best.header, unit, best.note), "" if is_text else why


def _known(values: Floats) -> Floats:
    known: Floats = values[np.isfinite(values)]
    return known


def _coding(columns: Mapping[str, Column], values: HeadValues) -> tuple[LoopCoding, list[str], list[str]]:
    """How the state of the fuel loop is coded, what was concluded, and what to warn of."""
    column = columns.get("fuel_loop")
    if column is None:
        return LoopCoding.NONE, [_inference_words(columns)], [NO_FLAG]
    if column.note:
        coding = LoopCoding(column.note)
        inferred = []
    elif not _known(values(column.index)).size:  # words, which say the state themselves
        coding = LoopCoding.OBD
        inferred = [f"{column.header.text}: open or closed loop, in words"]
    else:
        met = coding_from_values(values(column.index))
        if met is None:
            raise LayoutError(
                f"the values of {column.header.text} do not tell how it codes closed loop "
                "(Subaru 8, OBD 2, or a switch 1)"
            )
        coding = met
        inferred = [f"{column.header.text}: {LOOP_WORDS[coding]}, from its values"]
    alone = coding is LoopCoding.SWITCH and "lambda_target" not in columns
    return coding, inferred, [SWITCH_ALONE] if alone else []


def _inference_words(columns: Mapping[str, Column]) -> str:
    signs = [f"the short-term trim was not 0 in the last {TRIM_ALIVE_S:g} s"]
    if "lambda_target" in columns:
        signs.append(f"the commanded mixture is within {100 * INFERRED_WITHIN:g} % of stoichiometric")
    if "throttle_pct" in columns:
        signs.append(f"the throttle is at most {OPEN_ABOVE_THROTTLE_PCT:g} % open")
    return f"closed loop: where {' and '.join(signs)}"

"""Which columns of a log may be which channel."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from drivers.logs.aliases import ROLES, ROLES_SHOWN, Alias, Header, Role, header_of, without_brackets
from drivers.logs.units import Unit
from lowmaf.samples import Floats

HeadValues = Callable[[int], Floats]
"""Numbers of a column, by its index, in the first rows of the log; NaN where there is none."""

_BARE = "\0"
"""Before a name whose additions in brackets were taken away; no header contains it."""

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


def candidates(headers: Sequence[Header], asked: Mapping[str, str]) -> dict[str, list[Candidate]]:
    """Columns that may be each role, the best first; a column that the user named is the only one.

    Raises:
        ColumnError: ``asked`` names a role or a header that does not exist.
    """
    if not asked:
        return {role: list(found) for role, found in _recognised(tuple(headers)).items()}
    chosen = {role: [_asked_column(role, text, headers)] for role, text in asked.items()}
    taken = {found[0].index for found in chosen.values()}
    by_name = _by_name(headers)
    for role in ROLES.values():
        if role.name not in chosen:
            found = [item for item in _by_alias(role, headers, by_name) if item.index not in taken]
            if found:
                chosen[role.name] = found
    return chosen


@lru_cache(maxsize=16)
def _recognised(headers: tuple[Header, ...]) -> Mapping[str, Sequence[Candidate]]:
    """Columns that may be each role. Whoever pushes samples sends the same names a thousand times."""
    by_name = _by_name(headers)
    found = {role.name: _by_alias(role, headers, by_name) for role in ROLES.values()}
    return {role: options for role, options in found.items() if options}


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

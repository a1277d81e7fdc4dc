"""Options of drivers: frozen dataclasses whose fields say their limits, filled from a mapping."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_type_hints

from drivers.base import DriverOptionError

Options = TypeVar("Options")
Scalar = bool | int | float | str

_TYPE_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def option(
    default: Scalar,
    words: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: Iterable[str] = (),
) -> Any:
    """A field of an options dataclass: its default, what it means, and what is allowed."""
    metadata = {"words": words, "unit": unit, "low": low, "high": high, "choices": tuple(choices)}
    return dataclasses.field(default=default, metadata=metadata)


def parse_options(kind: type[Options], driver: str, given: Mapping[str, object]) -> Options:
    """An options dataclass from what the configuration says.

    Raises:
        DriverOptionError: an unknown name, a wrong type or a value that is not allowed.
    """
    assert dataclasses.is_dataclass(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    types = get_type_hints(kind)
    values: dict[str, object] = {}
    for name, value in given.items():
        if name not in fields:
            raise DriverOptionError(
                f"driver {driver} has no option {name!r}{nearest(name, fields)}; known: {', '.join(fields)}"
            )
        values[name] = _checked(driver, fields[name], types[name], value)
    return kind(**values)


def nearest(name: str, known: Iterable[str]) -> str:
    """``, did you mean 'x'?`` or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _checked(driver: str, field: dataclasses.Field[object], kind: type, value: object) -> object:
    """The value in the field's type, or an error that says what is allowed."""
    name, limits = field.name, field.metadata
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise DriverOptionError(
            f"driver {driver}, option {name}: met {value!r}, it must be {_TYPE_WORDS[kind]}"
        )
    if isinstance(value, str):
        choices = limits["choices"]
        if choices and value not in choices:
            raise DriverOptionError(
                f"driver {driver}, option {name}: met {value!r}{nearest(value, choices)}; "
                f"allowed: {', '.join(choices)}"
            )
        if not value:
            raise DriverOptionError(f"driver {driver}, option {name}: it must not be empty")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        low, high = limits["low"], limits["high"]
        if not math.isfinite(value) or not low <= value <= high:
            unit = f" {limits['unit']}" if limits["unit"] else ""
            raise DriverOptionError(
                f"driver {driver}, option {name}: met {value!r}, allowed are {low:g} to {high:g}{unit}"
            )
    return value

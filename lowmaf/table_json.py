"""MAF tables as JSON: the shapes that are read, brought to two rows of numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from lowmaf.maf_table import MafTableError

_VOLTS = ("maf_v", "volts", "voltage", "v")
_FLOW_UNITS: Mapping[str, str] = {
    "flow_gs": "g/s", "maf_gs": "g/s", "g/s": "g/s", "flow": "g/s", "flow_kgh": "kg/h", "kg/h": "kg/h",
}  # fmt: skip
_ALLOWED = (
    '{"maf_v": [...], "flow_gs": [...]}, [[volts ...], [g/s ...]], [[V, g/s], ...] '
    'or [{"maf_v": V, "flow_gs": g/s}, ...]'
)


def is_json(text: str) -> bool:
    """Whether the text begins as JSON does, and not as RomRaider's ``[Table2D]``."""
    start = text.lstrip()[:16]
    return start.startswith("{") or (start.startswith("[") and not start[1:2].isalpha())


def rows_from_json(text: str) -> tuple[list[float], list[float] | None, str]:
    """Volts, flow (None where there is only an axis) and the unit of the flow.

    Reads an object of two lists, two lists, a list of pairs, a list of objects, and a
    ``lowmaf.table/1`` document (its ``flow_gs``, the table as it was).

    Raises:
        MafTableError: not JSON, or JSON of another shape; says which.
    """
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise MafTableError(f"not readable as JSON: {error.msg} at line {error.lineno}") from error
    except RecursionError as error:
        raise MafTableError("not readable as JSON: too deeply nested") from error
    if isinstance(document, dict) and isinstance(document.get("cells"), list):
        document = document["cells"]
    if isinstance(document, dict):
        return _from_object(document)
    if not isinstance(document, list) or not document:
        raise MafTableError(f"JSON of this shape is no MAF table; allowed: {_ALLOWED}")
    if all(isinstance(item, dict) for item in document):
        unit = next((key for key in _FLOW_UNITS if key in document[0]), None)
        key = next((key for key in _VOLTS if key in document[0]), _VOLTS[0])
        columns = {name: [item.get(name) for item in document] for name in (key, unit) if name is not None}
        if unit is not None and all(value is None for value in columns[unit]):
            del columns[unit]
        return _from_object(columns)
    if not all(isinstance(item, list) for item in document):
        raise MafTableError(f"JSON of this shape is no MAF table; allowed: {_ALLOWED}")
    if len(document) == 2:
        return _numbers(document[0], "volts"), _numbers(document[1], "flow"), "g/s"
    if any(len(item) != 2 for item in document):
        raise MafTableError(f"JSON of this shape is no MAF table; allowed: {_ALLOWED}")
    volts, flow = zip(*document, strict=True)
    return _numbers(volts, "volts"), _numbers(flow, "flow"), "g/s"


def _from_object(document: Mapping[str, Any]) -> tuple[list[float], list[float] | None, str]:
    volts = next((key for key in _VOLTS if key in document), None)
    if volts is None:
        raise MafTableError(
            f"no volts in this JSON; keys found: {', '.join(document) or 'none'}; allowed: {_ALLOWED}"
        )
    flow = next((key for key in _FLOW_UNITS if document.get(key) is not None), None)
    if flow is None:
        return _numbers(document[volts], "volts"), None, ""
    return _numbers(document[volts], "volts"), _numbers(document[flow], "flow"), _FLOW_UNITS[flow]


def _numbers(values: Any, row: str) -> list[float]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise MafTableError(f"{row} must be a list of numbers, not {str(values)[:40]}")
    for cell, value in enumerate(values, start=1):
        if isinstance(value, bool) or not isinstance(value, int | float):
            met = "is missing" if value is None else f"{str(value)[:40]!r} is not a number"
            raise MafTableError(f"cell {cell} of {row}: the value {met}")
    try:
        return [float(value) for value in values]
    except OverflowError as error:
        raise MafTableError(f"{row} holds a number that is too large") from error


def _refuse_constant(constant: str) -> NoReturn:
    raise MafTableError(f"{constant} is not a number that JSON knows, and no MAF table has it")

"""OpenEJ requests: from the JSON body to the 48 rows of the answer.

The usual body is decoded straight into typed rows. Where one field is not what it should be, the
whole body is decoded again tolerantly, so that one bad row costs that row and not the log.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from lowmaf.openej import OpenEjColumns, openej_table
from lowmaf.samples import Floats
from web.packed_records import PackedRecords

FIELDS = (
    "time", "af_correction_short", "af_correction_learning", "mass_airflow_voltage", "cl_ol_status",
)  # fmt: skip
"""The fields that the calculation reads."""

UNUSED_FIELD = "intake_air_temp"
"""Sent by the client and read by no rule; a row that has it without a number is a damaged row."""

_MISSING = float("nan")


class OpenEjBodyError(ValueError):
    """The body is not a JSON array of objects; says what it is instead."""


class _Row(msgspec.Struct, gc=False):
    time: float = _MISSING
    af_correction_short: float = _MISSING
    af_correction_learning: float = _MISSING
    mass_airflow_voltage: float = _MISSING
    cl_ol_status: float = _MISSING
    intake_air_temp: float = 0.0


class _Answer(msgspec.Struct, gc=False):
    MafVoltage: float
    Correction: float
    Frequency: int


_ROWS = msgspec.json.Decoder(list[_Row])
_NUMBERS = PackedRecords(_Row)
_ANSWER = msgspec.json.Encoder()


def analyse(body: bytes | bytearray) -> bytes:
    """The JSON answer to a JSON request: 48 objects ``{MafVoltage, Correction, Frequency}``.

    Raises:
        OpenEjBodyError: the body is not a JSON array of objects.
    """
    table = openej_table(columns_from_json(body))
    rows = zip(table.maf_v.tolist(), table.correction_pct.tolist(), table.frequency.tolist(), strict=True)
    return _ANSWER.encode([_Answer(maf_v, correction, hits) for maf_v, correction, hits in rows])


def columns_from_json(body: bytes | bytearray) -> OpenEjColumns:
    """The columns of a request; NaN where a row lacks a field or it is null or not a number.

    A row whose two trims have no finite sum is skipped as one that is not a number.

    A row whose intake air temperature is null or not a number is skipped like any other damaged row,
    unless the temperature is a number nowhere: then the log has no such channel, and no rule needs it.

    Raises:
        OpenEjBodyError: the body is not a JSON array of objects.
    """
    columns = _columns(body)
    with np.errstate(over="ignore", invalid="ignore"):
        boundless = np.isinf(columns.short_pct + columns.learning_pct)
    columns.time_ms[boundless] = np.nan
    return columns


def _columns(body: bytes | bytearray) -> OpenEjColumns:
    try:
        columns = _NUMBERS.columns(_ROWS.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        columns = None
    return _tolerant_columns(body) if columns is None else OpenEjColumns(*columns[: len(FIELDS)])


def _tolerant_columns(body: bytes | bytearray) -> OpenEjColumns:
    rows = _array_of_objects(body)
    columns = {name: _column(rows, name) for name in FIELDS}
    unused = _column(rows, UNUSED_FIELD)
    if np.isfinite(unused).any():
        damaged = np.array([UNUSED_FIELD in row for row in rows]) & np.isnan(unused)
        columns["time"][damaged] = np.nan
    return OpenEjColumns(*columns.values())


def _array_of_objects(body: bytes | bytearray) -> Sequence[Mapping[str, Any]]:
    try:
        # json and not msgspec: a number beyond the doubles, or a NaN that some clients write, is then
        # a value that is no number, and not the end of the body.
        # A whole number of thousands of digits is read as the double that it is not, infinity.
        document = json.loads(body, parse_constant=_no_number, parse_int=float)
    except RecursionError as error:
        raise OpenEjBodyError("the body is nested too deeply; a JSON array of objects is needed") from error
    except UnicodeDecodeError as error:
        raise OpenEjBodyError("the body is not UTF-8 text; a JSON array of objects is needed") from error
    except ValueError as error:
        reason = str(error).replace("\n", " ")
        raise OpenEjBodyError(f"the body is not JSON: {reason}; a JSON array of objects is needed") from error
    if not isinstance(document, list):
        raise OpenEjBodyError(f"the body is {_kind(document)}; a JSON array of objects is needed")
    for index, row in enumerate(document):
        if not isinstance(row, dict):
            raise OpenEjBodyError(
                f"element {index} of the array is {_kind(row)}; a JSON array of objects is needed"
            )
    return document


def _no_number(_constant: str) -> None:
    return None


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> Floats:
    return np.fromiter((_number(row.get(name)) for row in rows), np.float64, len(rows))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _MISSING
    try:
        number = float(value)
    except OverflowError:
        return _MISSING
    return number if math.isfinite(number) else _MISSING


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a truth value", int: "a number", float: "a number", str: "a string", list: "an array"}
    return names.get(type(value), "an object")

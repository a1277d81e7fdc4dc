"""What the fields of pushed records are: the names that logs give columns, our own, or those of OpenEJ."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import nan
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from drivers.logs.aliases import TIME, Header, header_of
from drivers.logs.layout import NAME_ONE, LayoutError, LogLayout, layout_of
from drivers.logs.rows import number_of
from drivers.logs.time_column import clock_stamp
from lowmaf.samples import CHANNELS, Floats
from web.ingest_desk import SamplesUnusableError
from web.packed_records import PackedRecords

_NAMES_FROM = 20
"""The fields are those of so many records together: a logger may leave out what it did not measure."""
_NAMES_BYTES = 1 << 16
_MOST_FIELDS = 1000
_KNOWN_LAYOUTS = 64
_TIMES_LOOKED_AT = 50
_VALUES_LOOKED_AT = 2000

_HEADERS = {
    "t_s": "Time (s)",
    "maf_v": "MAF Voltage (V)",
    "maf_gs": "Mass Airflow (g/s)",
    "stft_pct": "STFT (%)",
    "ltft_pct": "LTFT (%)",
    "fuel_loop": "Fuel System Status",
    "rpm": "Engine Speed (rpm)",
    "throttle_pct": "Throttle Position (%)",
    "load_g_rev": "Engine Load (g/rev)",
    "speed_kmh": "Vehicle Speed (km/h)",
    "map_kpa": "Manifold Absolute Pressure (kPa)",
    "iat_c": "Intake Air Temperature (C)",
    "ect_c": "Coolant Temperature (C)",
    "lambda_": "Lambda (lambda)",
    "lambda_target": "Lambda Target (lambda)",
    "af_correction_short": "A/F Correction #1 (%)",
    "af_correction_learning": "A/F Learning #1 (%)",
    "mass_airflow_voltage": "MAF Voltage (V)",
    "intake_air_temp": "Intake Air Temperature",
    "cl_ol_status": "CL/OL Status (status)",
}
"""Our own names of channels and those of the OpenEJ service, as column names that say the unit."""

assert _HEADERS.keys() >= CHANNELS.keys()

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a line that is no record raises."""

OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
"""Any JSON object."""


class RecordLayouts:
    """What the fields of records are, kept for others with the same names: a logger sends the same for ever.

    Where that was concluded from values it is not kept, for those of the next body may say otherwise.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], RecordFields] = {}

    def known(self, block: bytes) -> RecordFields | None:
        """What others had whose first records have the same names in the same order."""
        lines = block[:_NAMES_BYTES].split(b"\n", _NAMES_FROM)
        try:
            fields = self._known.get(tuple(OBJECT.decode(lines[0])))
            if fields is not None and len(lines) > _NAMES_FROM:
                for line in lines[1:_NAMES_FROM]:
                    fields.no_other_names.decode(line)
                return fields
        except UNDECODABLE:
            pass  # a closer look is needed
        return self._known.get(tuple(names_in(block)))

    def found(self, names: Sequence[str], head: bytes) -> RecordFields:
        """What the fields are, by their names and the values in ``head``.

        Raises:
            SamplesUnusableError: they lack what a table needs.
        """
        fields = RecordFields(names, head)
        if fields.time_is_number and not fields.layout.inferred and not fields.layout.warnings:
            if len(self._known) >= _KNOWN_LAYOUTS:
                self._known.clear()
            self._known[tuple(names)] = fields
        return fields


class RecordFields:
    """Which fields of the records are which channels, and what decodes them."""

    def __init__(self, names: Sequence[str], head: bytes) -> None:
        """``head`` holds the first records.

        Raises:
            SamplesUnusableError: they lack what a table needs.
        """
        headers = [_header(name) for name in names]
        head_values = _HeadValues(names, head)
        try:
            self.layout: LogLayout = layout_of(headers, {}, head_values)
        except LayoutError as error:
            words = str(error).replace(NAME_ONE, "")
            raise SamplesUnusableError(words.replace("column", "field")) from None
        columns = self.layout.columns
        self.time = self.layout.time.index
        self.time_is_number = bool(np.isfinite(head_values(self.time)).any())
        self.indices = (self.time, *dict.fromkeys(column.index for column in columns.values()))
        self.value_of = [attrgetter(f"f{index}") for index in self.indices]
        self.no_other_names = _decoder_of_names(tuple(names))
        self.decoder, self.packed = _decoder(
            (f"f{self.time}", names[self.time], not self.time_is_number),
            tuple((f"f{index}", names[index], self.is_state(index)) for index in self.indices[1:]),
        )

    def is_state(self, index: int) -> bool:
        """Whether the field is the state of the fuel loop, which may be said in words."""
        state = self.layout.columns.get("fuel_loop")
        return state is not None and state.index == index

    def may_be_text(self, index: int) -> bool:
        """Whether the values of a field may be texts."""
        return index == self.time or self.is_state(index)

    def has_time(self, record: Any) -> bool:
        """Whether the time of a record can be read."""
        time = self.value_of[0](record)
        return not isinstance(time, str) or bool(np.isfinite(seconds_of(time)[0]))


class _HeadValues:
    """Numbers of one field in the first records; few of the time, which is always looked at."""

    def __init__(self, names: Sequence[str], head: bytes) -> None:
        self._names = names
        self._head = head

    def __call__(self, index: int) -> Floats:
        name = self._names[index]
        few = _is_time(name)
        lines = (self._head[:_NAMES_BYTES] if few else self._head).split(b"\n")
        lines = lines[: _TIMES_LOOKED_AT if few else _VALUES_LOOKED_AT]
        decode = _one_field(name).decode
        values = []
        for line in lines:
            try:
                values.append(_number(decode(line).f0))
            except UNDECODABLE:
                continue
        return np.array(values, dtype=np.float64)


def names_in(block: bytes) -> list[str]:
    """The fields of the first records; none where no line is an object with fields."""
    names: dict[str, None] = {}
    objects = 0
    for line in block[:_NAMES_BYTES].split(b"\n"):
        try:
            found = OBJECT.decode(line)
        except UNDECODABLE:
            continue
        objects += bool(found)
        names.update(dict.fromkeys(found))
        if objects == _NAMES_FROM or len(names) > _MOST_FIELDS:
            break
    return list(names)[:_MOST_FIELDS]


@lru_cache(maxsize=1024)
def _header(name: str) -> Header:
    return header_of(_HEADERS.get(name, name))


def _is_time(name: str) -> bool:
    return _header(name).name.startswith(TIME)


@lru_cache(maxsize=64)
def _one_field(name: str) -> msgspec.json.Decoder[Any]:
    kind = msgspec.defstruct("Field", [("f0", Any, None)], rename={"f0": name}, gc=False)
    return msgspec.json.Decoder(kind)


@lru_cache(maxsize=64)
def _decoder_of_names(names: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """What takes records that have no other fields than these."""
    rename = {f"f{number}": name for number, name in enumerate(names)}
    fields: list[Any] = [(field, msgspec.Raw, msgspec.Raw(b"")) for field in rename]
    return msgspec.json.Decoder(
        msgspec.defstruct("Names", fields, rename=rename, gc=False, forbid_unknown_fields=True)
    )


@lru_cache(maxsize=64)
def _decoder(
    time: tuple[str, str, bool], used: tuple[tuple[str, str, bool], ...]
) -> tuple[msgspec.json.Decoder[Any], PackedRecords]:
    """What decodes records: their time, which each must have, and the fields that are channels; and what
    takes their numbers.

    Each is given by the name it gets, its name in the record, and whether it may be text.
    """
    fields: list[Any] = [(time[0], float | str if time[2] else float)]
    fields += [(field, float | str | None if text else float | None, nan) for field, _, text in used]
    names = {field: name for field, name, _ in used} | {time[0]: time[1]}
    kind = msgspec.defstruct("Record", fields, rename=names, gc=False)
    return msgspec.json.Decoder(kind), PackedRecords(kind)


def seconds_of(text: str) -> tuple[float, float]:
    seconds, period = clock_stamp(text)
    return (seconds, period) if np.isfinite(seconds) else (number_of(text), float("inf"))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("nan")

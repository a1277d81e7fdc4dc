"""What a RomRaider logger definition (XML) says of one ECU: values that no standard address has.

Addresses differ with every ROM. The file is the user's own; of its hundreds of parameters only those are
read that become channels of ours. Its layout: ``ecuparam`` elements, each with ``ecu`` elements (``id``: ECU
ids, separated by commas) that hold an ``address`` (``length`` in bytes), and ``conversion`` elements with
unit, formula, type and byte order.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np

from drivers.base import DeviceUnavailableError
from drivers.expressions import Expression, ExpressionError, parse_expression
from drivers.logs.aliases import ROLES
from drivers.logs.units import Unit, unit_of
from drivers.ssm_frames import Parameter

MAX_BYTES = 16_000_000
_MAX_DEPTH = 32
_MAX_TEXT = 100
LOOP = "fuel_loop"

CHANNEL_OF: Mapping[str, str] = {
    "E3": LOOP, "E33": LOOP,
    "E30": "stft_pct", "E81": "stft_pct",
    "E17": "ltft_pct", "E48": "ltft_pct",
    "E75": "lambda_target", "E123": "lambda_target",
    "E29": "lambda_", "E91": "lambda_",
    "E2": "load_g_rev", "E32": "load_g_rev",
}  # fmt: skip
"""Channels of ours by parameter, for ECUs of 16 and of 32 bits."""

_ADDRESS = re.compile(r"\s*0x([0-9A-Fa-f]{1,6})\s*")
_STORAGE: Mapping[str, str] = {
    "uint8": "B", "int8": "b", "uint16": "H", "int16": "h", "uint32": "I", "int32": "i", "float": "f",
}  # fmt: skip
_PLAIN = {1: "uint8", 2: "uint16", 4: "uint32"}
_STATUS_OFFSET = 6.0
_BYTE = np.arange(256.0)


class DefinitionError(DeviceUnavailableError):
    """A definition that cannot be used; one line with the file and, where known, line and parameter."""


@dataclass(frozen=True, slots=True)
class EcuParameters:
    """What one ECU offers besides its standard parameters.

    ``loop_address`` holds the state of the fuel loop, in the bits of OBD PID 03; ``left_out`` says in words
    which of the definition's parameters cannot be used, and why.
    """

    loop_address: int | None = None
    parameters: tuple[Parameter, ...] = ()
    left_out: tuple[str, ...] = ()


def read_definition(path: Path, ecu_id: str) -> EcuParameters:
    """What the definition knows of the ECU with this id (10 hexadecimal digits); may be nothing.

    Raises:
        DefinitionError: the file cannot be read, is too large, not well-formed, or has declarations of its
            own, which definitions do not need and bombs are made of; or what it says of this ECU
            is malformed.
    """
    found = EcuParameters()
    for entry in _entries(path, ecu_id.upper()):
        try:
            found = _with_entry(found, entry)
        except _EntryError as error:
            where = f"definition {path}, line {error.line}, parameter {entry.name}"
            raise DefinitionError(f"{where}: {error}") from None
    return found


def check_file(path: Path) -> None:
    """Sees to it that there is a file of a size that a definition can have, and that it is well-formed.

    Raises:
        DefinitionError: there is not.
    """
    _entries(path, "")


class _EntryError(Exception):
    def __init__(self, line: int, words: str) -> None:
        super().__init__(words)
        self.line = line


@dataclass(slots=True)
class _Entry:
    """One ``ecuparam`` that has an address for the ECU; values as they stand, with their lines."""

    identifier: str
    title: str
    line: int
    address: str = ""
    length: str = "1"
    conversions: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.identifier} ({self.title[:60]})"


def _with_entry(found: EcuParameters, entry: _Entry) -> EcuParameters:
    channel = CHANNEL_OF[entry.identifier]
    address = _ADDRESS.fullmatch(entry.address)
    if address is None:
        raise _EntryError(entry.line, f"address {entry.address[:20]!r} is not 0x and up to 6 digits")
    if not entry.length.isdecimal() or int(entry.length) not in _PLAIN:
        raise _EntryError(entry.line, f"length {entry.length[:20]!r} is not 1, 2 or 4")
    start, length = int(address[1], 16), int(entry.length)
    if start + length > 1 << 24:
        raise _EntryError(
            entry.line, f"address {entry.address.strip()} with {length} bytes is beyond 24 bits"
        )
    if channel == LOOP:
        return _with_loop(found, entry, start, length)
    for line, attributes in sorted(entry.conversions, key=lambda item: not _is_ours(channel, item[1])):
        unit = _unit(channel, attributes)
        if unit is not None:
            decode = _decoder(line, attributes, length, unit)
            parameter = Parameter(channel, start, length, decode)
            return EcuParameters(found.loop_address, (*found.parameters, parameter), found.left_out)
    units = ", ".join(str(attributes.get("units")) for _, attributes in entry.conversions) or "none"
    return _without(found, f"{entry.name}: no unit of {ROLES[channel].quantity} among {units[:80]}")


def _with_loop(found: EcuParameters, entry: _Entry, address: int, length: int) -> EcuParameters:
    """The loop's state is only taken in Subaru's coding, which is that of OBD PID 03 plus 6."""
    formulas = [_formula(line, attributes) for line, attributes in entry.conversions]
    if length != 1 or not any(np.array_equal(formula(_BYTE), _BYTE + _STATUS_OFFSET) for formula in formulas):
        return _without(found, f"{entry.name}: not one byte with the formula x+6")
    return EcuParameters(address, found.parameters, found.left_out)


def _without(found: EcuParameters, words: str) -> EcuParameters:
    return EcuParameters(found.loop_address, found.parameters, (*found.left_out, words))


def _unit(channel: str, attributes: Mapping[str, str]) -> Unit | None:
    """The unit of a conversion, where it measures what the channel is."""
    unit = unit_of(attributes.get("units", "").casefold().removeprefix("estimated "))
    return unit if unit is not None and unit.quantity == ROLES[channel].quantity else None


def _is_ours(channel: str, attributes: Mapping[str, str]) -> bool:
    unit = _unit(channel, attributes)
    return unit is not None and unit.is_ours


def _formula(line: int, attributes: Mapping[str, str]) -> Expression:
    try:
        return parse_expression(attributes.get("expr", ""))
    except ExpressionError as error:
        raise _EntryError(line, str(error)) from None


def _decoder(line: int, attributes: Mapping[str, str], length: int, unit: Unit) -> Callable[[int], float]:
    """From the bytes at the address, as one big-endian number, to the channel's unit."""
    formula = _formula(line, attributes)
    storage = attributes.get("storagetype", "").casefold() or _PLAIN[length]
    code, order = _STORAGE.get(storage), attributes.get("endian", "big").casefold()
    if code is None or struct.calcsize(f">{code}") != length:
        raise _EntryError(line, f"storagetype {storage[:20]!r} does not fit {length} bytes")
    if order not in ("big", "little"):
        raise _EntryError(line, f"endian {order[:20]!r} is not big or little")
    unpack = struct.Struct(f"{'>' if order == 'big' else '<'}{code}").unpack

    def value(raw: int) -> float:
        return float(formula(unpack(raw.to_bytes(length, "big"))[0])) * unit.factor + unit.offset

    if length > 1:
        return value
    return [value(raw) for raw in range(256)].__getitem__


def _entries(path: Path, ecu_id: str) -> list[_Entry]:
    """The parameters that become channels and have an address for this ECU."""
    search = _Search(ecu_id)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DefinitionError(f"definition {path}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise DefinitionError(f"definition {path}: more than {MAX_BYTES} bytes are no definition")
    try:
        search.read(content)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last two: encodings that it has not
        raise DefinitionError(f"definition {path}: {error}") from error
    return search.entries


class _Search:
    """Follows the elements of a definition and keeps what it says of one ECU."""

    def __init__(self, ecu_id: str) -> None:
        self.entries: list[_Entry] = []
        self._ecu_id = ecu_id
        self._parser = expat.ParserCreate()
        self._depth = 0
        self._entry: _Entry | None = None
        self._in_ecu = False
        self._text: str | None = None

    def read(self, content: bytes) -> None:
        """Raises ExpatError, LookupError or ValueError where the content is no XML, or is made to harm."""
        parser = self._parser
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.Parse(content, True)

    @staticmethod
    def _doctype(_name: str, _system: str | None, _public: str | None, has_own: int) -> None:
        if has_own:
            raise ValueError("it declares entities or elements of its own, which no definition needs")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"elements are nested more than {_MAX_DEPTH} deep")
        line, entry = self._parser.CurrentLineNumber, self._entry
        if name == "ecuparam":
            identifier = attributes.get("id", "")
            known = identifier in CHANNEL_OF
            self._entry = _Entry(identifier, attributes.get("name", ""), line) if known else None
        elif entry is None:
            return
        elif name == "ecu":
            ids = {one.strip().upper() for one in attributes.get("id", "").split(",")}
            self._in_ecu = self._ecu_id in ids
        elif name == "address" and self._in_ecu:
            entry.line, entry.length, self._text = line, attributes.get("length", "1"), ""
        elif name == "conversion":
            entry.conversions.append((line, attributes))

    def _characters(self, data: str) -> None:
        if self._text is not None and len(self._text) < _MAX_TEXT:
            self._text += data

    def _end(self, name: str) -> None:
        self._depth -= 1
        entry = self._entry
        if entry is None:
            return
        if name == "address" and self._text is not None:
            entry.address, self._text = self._text or " ", None
        elif name == "ecu":
            self._in_ecu = False
        elif name == "ecuparam":
            if entry.address:
                self.entries.append(entry)
            self._entry = None

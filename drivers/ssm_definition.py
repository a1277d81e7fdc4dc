"""Where the state of the fuel loop is in an ECU's memory, from a RomRaider logger definition (XML).

The address differs with every ROM. The file is the user's own; of its hundreds of parameters only the
one is read that no standard address has. Its layout: ``ecuparam`` elements, each with ``ecu`` elements
(``id``: ECU ids, separated by commas) that hold an ``address``, and ``conversion`` elements with the
formula ``x+6`` that makes Subaru's status of the byte, whose bits are those of OBD PID 03.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.parsers import expat

from drivers.base import DeviceUnavailableError, DriverOptionError

MAX_BYTES = 32_000_000
_LOOP_PARAMETERS = frozenset({"E3", "E33"})
_STATUS_FORMULA = "x+6"
_ADDRESS = re.compile(r"\s*0x([0-9A-Fa-f]{1,6})\s*")


def check_file(driver: str, path: str) -> None:
    """Sees to it that there is such a file, of a size that a definition can have.

    Raises:
        DriverOptionError: there is not.
    """
    try:
        size = Path(path).stat().st_size
    except OSError as error:
        raise DriverOptionError(f"driver {driver}, option definition: {path}: {error.strerror}") from None
    if not Path(path).is_file() or size > MAX_BYTES:
        raise DriverOptionError(
            f"driver {driver}, option definition: {path}: not a file of at most {MAX_BYTES} bytes"
        )


def loop_address(path: str, ecu_id: str) -> int | None:
    """The address of the loop state in the ECU with this id (10 hexadecimal digits); None where the
    definition does not know it.

    Raises:
        DeviceUnavailableError: the file cannot be read, is not well-formed, or declares entities,
            which definitions do not need and bombs are made of.
    """
    search = _Search(ecu_id.upper())
    parser = expat.ParserCreate()
    parser.StartElementHandler = search.start
    parser.EndElementHandler = search.end
    parser.CharacterDataHandler = search.text
    parser.EntityDeclHandler = _refuse_entity
    try:
        with Path(path).open("rb") as file:
            parser.ParseFile(file)
    except OSError as error:
        raise DeviceUnavailableError(f"definition {path}: {error.strerror}") from error
    except (expat.ExpatError, _HostileXmlError) as error:
        raise DeviceUnavailableError(f"definition {path}: {error}") from error
    return search.address


class _HostileXmlError(Exception):
    """XML that is made to harm."""


def _refuse_entity(name: str, *_: object) -> None:
    raise _HostileXmlError(f"it declares an entity ({name[:20]!r}), which no definition needs")


class _Search:
    """Follows the elements and keeps the address of the loop state, once it was met."""

    def __init__(self, ecu_id: str) -> None:
        self.address: int | None = None
        self._ecu_id = ecu_id
        self._in_parameter = False
        self._in_ecu = False
        self._text: list[str] | None = None
        self._found: int | None = None
        self._formula_fits = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "ecuparam":
            self._in_parameter = attributes.get("id") in _LOOP_PARAMETERS
            self._found, self._formula_fits = None, False
        elif not self._in_parameter:
            return
        elif name == "ecu":
            ids = {one.strip().upper() for one in attributes.get("id", "").split(",")}
            self._in_ecu = self._ecu_id in ids
        elif name == "address" and self._in_ecu and attributes.get("length", "1") == "1":
            self._text = []
        elif name == "conversion":
            self._formula_fits |= attributes.get("expr", "").replace(" ", "") == _STATUS_FORMULA

    def text(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def end(self, name: str) -> None:
        if name == "address" and self._text is not None:
            found = _ADDRESS.fullmatch("".join(self._text))
            self._found = int(found[1], 16) if found else None
            self._text = None
        elif name == "ecu":
            self._in_ecu = False
        elif name == "ecuparam":
            if self._in_parameter and self._formula_fits and self._found is not None:
                self.address = self._found
            self._in_parameter = False

"""Whether something is a recording of a CAN bus, by how it begins."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

_LOOKED_AT = 512


class CanFormat(StrEnum):
    """Formats of CAN recordings, by the name that a summary gives them."""

    CANDUMP = "candump"
    ASC = "asc"
    BLF = "blf"
    TRC = "trc"
    MF4 = "mf4"
    CSV = "can-csv"


_SIGNS = (
    (CanFormat.BLF, re.compile(rb"LOGG")),
    (CanFormat.MF4, re.compile(rb"MDF     ")),
    (CanFormat.CANDUMP, re.compile(rb"\s*\(\d+\.\d+\)\s+\S+\s+[0-9A-Fa-f]{3,8}##?[0-9A-FRfra-e]*")),
    (CanFormat.TRC, re.compile(rb";(\$FILEVERSION|#{8,})")),
    (CanFormat.ASC, re.compile(rb"date [A-Za-z]{3}")),
    (CanFormat.CSV, re.compile(rb"timestamp,arbitration_id,extended,remote,error,dlc,data")),
)


def can_format(start: bytes) -> CanFormat | None:
    """The format of a CAN recording that begins so; None for anything else."""
    return next((name for name, sign in _SIGNS if sign.match(start)), None)


def is_plain(path: Path) -> bool:
    """Whether a file begins as a recording does by itself, and not inside of what packs it."""
    with path.open("rb") as file:
        return can_format(file.read(_LOOKED_AT)) is not None

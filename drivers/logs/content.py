"""Whether two files hold the same log: one that is counted twice would count double."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from drivers.logs.errors import LogUnreadableError
from drivers.logs.limits import DEFAULT_LIMITS, LogLimits
from drivers.logs.line_grid import FRONT
from drivers.logs.text_source import READ_BYTES, TextSource


def content_digest(source: Path | BinaryIO, limits: LogLimits = DEFAULT_LIMITS) -> str | None:
    """SHA-256, in hex, of what a log holds; None where it cannot be read.

    A text counts as it is read, whatever its encoding and line ends and whether it is packed; anything
    else byte by byte. A stream is left at its end.
    """
    found = hashlib.sha256()
    try:
        for block in TextSource(source, "", limits=limits).blocks():
            found.update(memoryview(block)[len(FRONT) :])
    except LogUnreadableError:
        return _digest_of_bytes(source) if isinstance(source, Path) else None
    except OSError:
        return None
    return found.hexdigest()


def _digest_of_bytes(path: Path) -> str | None:
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(READ_BYTES):
                found.update(chunk)
    except OSError:
        return None
    return found.hexdigest()

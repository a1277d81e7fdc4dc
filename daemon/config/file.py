"""A configuration file as bytes on a disk: read, decoded, parsed, or refused in one line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 1_000_000

_PLACE_IN_MESSAGE = re.compile(r"\s*\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


class ConfigFileError(ValueError):
    """A file that cannot be read as TOML; the message starts with its name and, where known, the place."""


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """Text and content of a TOML file.

    Raises:
        ConfigFileError: not there, not readable, too large, not UTF-8, not TOML.
    """
    text = _read_text(path)
    try:
        return text, tomllib.loads(text)
    except RecursionError:
        raise ConfigFileError(f"{path}: not valid TOML: brackets are nested too deeply") from None
    except ValueError as error:
        raise ConfigFileError(_with_place(path, text, str(error))) from None


def _with_place(path: Path, text: str, message: str) -> str:
    """The parser's message, with the line and column that it names at its end moved to the front."""
    place = _PLACE_IN_MESSAGE.search(message)
    if place is None:
        return f"{path}: not valid TOML: {message}"
    end = text.count("\n") + 1, len(text) - text.rfind("\n")
    line, column = place["line"] or end[0], place["column"] or end[1]
    return f"{path}:{line}:{column}: not valid TOML: {message[: place.start()]}"


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ConfigFileError(f"{path}: a folder, not a configuration file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise ConfigFileError(f"{path}: cannot be read: {reason}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigFileError(f"{path}: more than {MAX_FILE_BYTES} bytes are no configuration")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigFileError(
            f"{path}:{line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None

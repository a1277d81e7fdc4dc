"""One value of the configuration: from what TOML or the environment gave to what the key needs."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SHOWN_CHARS = 60
_TRUTH = {"true": True, "false": False}


class ValueProblemError(ValueError):
    """A value that a key cannot have; the message says what is allowed."""


def checked(value: Any, hint: Any, meta: Mapping[str, Any], folder: Path) -> Any:
    """``value`` as the type ``hint``, within the limits that the field's metadata ``meta`` states.

    Relative paths are taken relative to ``folder``.

    Raises:
        ValueProblemError: another type, or outside what is allowed.
    """
    if hint is float or hint is int:
        return _number(value, hint, meta)
    if hint is bool:
        if not isinstance(value, bool):
            raise ValueProblemError("true or false is needed")
        return value
    if hint == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueProblemError('a list of texts is needed, such as ["car.example", "pi"]')
        return tuple(_text(item, {}) for item in value)
    if hint == (Path | None) and value == "":
        return None
    text = _text(value, meta)
    return text if hint is str else folder / Path(text).expanduser()


def from_environment(text: str, hint: Any) -> Any:
    """The text of an environment variable as TOML would have given it; as it is where it cannot be read."""
    if hint is bool:
        return _TRUTH.get(text.strip().lower(), text)
    if hint == tuple[str, ...]:
        return [item.strip() for item in text.split(",") if item.strip()]
    if hint is float or hint is int or hint is Any:
        return _scalar(text)
    return text


def allowed(hint: Any, meta: Mapping[str, Any]) -> str:
    """What a value may be, in words: ``a number from 0 to 60 s``; empty where any text will do."""
    if meta.get("choices"):
        return f"allowed are {', '.join(shown(choice) for choice in meta['choices'])}"
    if "low" not in meta:
        return ""
    kind = "a whole number" if hint is int else "a number"
    unit = "" if meta["unit"] in ("", "1") else f" {meta['unit']}"
    off = ', or "off"' if "off" in meta else ""
    return f"{kind} from {meta['low']:.10g} to {meta['high']:.10g}{unit}{off}"


def shown(value: Any) -> str:
    """``value`` as TOML would write it, shortened where it is long."""
    if isinstance(value, bool | str | list | dict):
        text = json.dumps(value, ensure_ascii=False, default=str)
    else:
        text = str(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _number(value: Any, hint: Any, meta: Mapping[str, Any]) -> float | int:
    off = meta.get("off")
    if off is not None and (value == "off" or (not isinstance(value, bool) and value == off)):
        return float(off)
    right = isinstance(value, int) or (hint is float and isinstance(value, float))
    if isinstance(value, bool) or not right or not meta["low"] <= value <= meta["high"]:
        raise ValueProblemError(f"{allowed(hint, meta)} is needed")
    return value if hint is int else float(value)


def _text(value: Any, meta: Mapping[str, Any]) -> str:
    if meta.get("choices") and value not in meta["choices"]:
        raise ValueProblemError(allowed(str, meta))
    if not isinstance(value, str):
        raise ValueProblemError("a text in quotes is needed")
    if not value.strip() and not meta.get("may_be_empty"):
        raise ValueProblemError("an empty text is not allowed here")
    if not value.isprintable():
        raise ValueProblemError("a text on one line, without control characters, is needed")
    return value


def _scalar(text: str) -> Any:
    """A number, truth value or quoted text; anything else as it stands."""
    try:
        value = tomllib.loads(f"value = {text.strip()}")
    except ValueError:
        return text
    return value["value"] if len(value) == 1 and not isinstance(value["value"], dict | list) else text

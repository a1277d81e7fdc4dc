"""The example configuration: every key with its default, unit and meaning, made from the sections' types.

``python -m daemon.config.example > config.example.toml`` writes it anew after a key has changed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from daemon.config.config import DEFINITION, ENVIRONMENT_PREFIX, section_keys
from daemon.config.sections import SECOND_SOURCE, SECTIONS, SecondSourceSettings, SourceSettings
from daemon.config.values import allowed, shown
from drivers.clock import WallClock
from drivers.registry import DRIVERS, SECOND_SOURCES, create, create_second

_WIDTH = 100
LISTED_CHOICES = 12
"""More than these come from other people's packages, and change with them."""

_HEADING = f"""\
Configuration of lowmaf. Every key stands here with its default: what you leave out stays as shown.
Check what you wrote with: lowmaf check --config FILE
Relative paths are taken relative to this file's folder. An environment variable overrides a key:
{ENVIRONMENT_PREFIX}WEB_PORT=8080 is [web] port = 8080."""


def example_text() -> str:
    """The content of ``config.example.toml``."""
    parts = [_comment(_HEADING)]
    for name, kind in SECTIONS.items():
        purpose = (kind.__doc__ or "").partition("\n")[0]
        parts.append(f"\n# ---- {purpose.replace('``', '')}\n[{name}]")
        parts += [
            _entry(key, spec.default, spec.metadata["meaning"], allowed(hint, spec.metadata), spec.metadata)
            for key, (hint, spec) in section_keys(kind).items()
        ]
        if kind is SourceSettings:
            parts += _driver_options()
            parts += _second_source()
    return "\n".join(parts) + "\n"


def _driver_options() -> Iterator[str]:
    """The options of the default driver, and those of the others commented out."""
    for name in sorted(DRIVERS, key=lambda name: name != SourceSettings().driver):
        entries = _entries(create(name, {}, WallClock()))
        if name == SourceSettings().driver:
            yield from entries
        else:
            yield f'#\n# Instead, driver = "{name}" with these options:\n#'
            yield from map(_commented_out, entries)


def _second_source() -> Iterator[str]:
    """The table that may be left out, commented out."""
    purpose = (SecondSourceSettings.__doc__ or "").partition("\n")[0]
    for name in SECOND_SOURCES:
        yield f'\n# ---- {purpose}\n# [[{SECOND_SOURCE}]]\n# driver = "{name}"'
        yield from map(_commented_out, _entries(create_second(name, {}, WallClock())))


def _entries(driver: Any) -> Iterator[str]:
    hints = get_type_hints(type(driver.options))
    for spec in fields(driver.options):
        if spec.name == DEFINITION:
            continue
        limits = _limits(hints[spec.name], spec.metadata)
        yield _entry(spec.name, spec.default, spec.metadata["words"], limits, {})


def _commented_out(entry: str) -> str:
    return textwrap.indent(entry, "# ", lambda _: True).replace("# # ", "#   ")


def _limits(hint: Any, meta: Mapping[str, Any]) -> str:
    """What an option may be, where that is short enough to read."""
    if len(meta["choices"]) > LISTED_CHOICES or (meta["low"] is None and not meta["choices"]):
        return ""
    return allowed(hint, meta)


def _entry(key: str, default: Any, meaning: str, limits: str, meta: Mapping[str, Any]) -> str:
    explained = f"{meaning} ({limits})" if limits else meaning
    return f"{_comment(explained)}\n{key} = {default_text(default, meta)}"


def default_text(value: Any, meta: Mapping[str, Any]) -> str:
    """A default as TOML would write it; no file is an empty text."""
    if value is None:
        return '""'
    if "off" in meta and value == meta["off"]:
        return '"off"'
    if isinstance(value, Path):
        return shown(str(value))
    return shown(list(value) if isinstance(value, tuple) else value)


def _comment(text: str) -> str:
    lines = [wrapped for line in text.splitlines() for wrapped in textwrap.wrap(line, _WIDTH)]
    return "\n".join(f"# {line}" for line in lines)


if __name__ == "__main__":
    print(example_text(), end="")

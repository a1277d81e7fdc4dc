"""Every key of the configuration, and every driver with its options, from the types that check them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, get_type_hints

from daemon.config.config import DEFINITION, ENVIRONMENT_PREFIX, section_keys
from daemon.config.example import LISTED_CHOICES, default_text
from daemon.config.sections import SECOND_SOURCE, SECTIONS, SecondSourceSettings, SourceSettings
from daemon.config.values import allowed
from drivers.clock import WallClock
from drivers.registry import (
    DRIVERS,
    NEEDS_MAF_TABLE,
    READS_DEFINITION,
    RECORDED,
    SECOND_SOURCES,
    create,
    create_second,
)
from tools.reference.markdown import code, page, table

HEADS = ("key", "default", "unit", "allowed", "meaning")
_KINDS = {bool: "true or false", str: "a text", Path: "a file", tuple[str, ...]: "a list of texts"}


def configuration_page() -> str:
    """Sections and their keys."""
    parts: list[Iterator[str]] = []
    for name, kind in SECTIONS.items():
        parts.append(_section(f"[{name}]", kind))
        if kind is SourceSettings:
            parts.append(_section(f"[[{SECOND_SOURCE}]]", SecondSourceSettings))
    return page(
        "Configuration",
        f"""A file in [TOML](https://toml.io). What you leave out has its default.
        [config.example.toml](../../config.example.toml) has every key in one file; `lowmaf check --config
        FILE` tells whether yours is right. Relative paths are taken relative to the file's folder. An
        environment variable overrides a key: `{ENVIRONMENT_PREFIX}WEB_PORT=8080` is `[web] port = 8080`.
        Options of drivers are in [drivers.md](drivers.md).""",
        *parts,
    )


def drivers_page() -> str:
    """Drivers and their options."""
    parts = [_driver(name, create(name, {}, WallClock())) for name in DRIVERS]
    parts += [_driver(name, create_second(name, {}, WallClock())) for name in SECOND_SOURCES]
    return page(
        "Drivers and their options",
        """A driver reads one kind of link to the car. Its name stands as `driver` below `[source]`, its
        options stand below that; those of the wideband controller below `[[second_source]]`. None of them
        can write to an ECU. How to set each up is in the [how-to pages](../README.md#how-to).""",
        *parts,
    )


def _section(heading: str, kind: type[Any]) -> Iterator[str]:
    yield f"## `{heading}`"
    yield ""
    yield (kind.__doc__ or "").partition("\n")[0].replace("``", "`")
    yield ""
    rows = [_row(key, hint, spec) for key, (hint, spec) in section_keys(kind).items()]
    yield from table(HEADS, rows)


def _driver(name: str, driver: Any) -> Iterator[str]:
    yield f"## `{name}`"
    yield ""
    yield f"{_purpose(driver)}{_notes(name)}"
    yield ""
    hints = get_type_hints(type(driver.options))
    yield from table(
        HEADS,
        [
            _row(spec.name, hints[spec.name], spec)
            for spec in fields(driver.options)
            if spec.name != DEFINITION
        ],
    )


def _purpose(driver: Any) -> str:
    """What the driver's module says it is, without its own name."""
    words = (__import__(type(driver).__module__, fromlist=["_"]).__doc__ or "").partition("\n")[0]
    return words.partition(": ")[2] if words.startswith("``") else words


def _notes(name: str) -> str:
    notes = []
    if name in NEEDS_MAF_TABLE:
        notes.append("It reads the flow but not the voltage, so `[vehicle] maf_table` is needed.")
    if name in READS_DEFINITION:
        notes.append("It reads `[vehicle] ecu_definition` where there is one.")
    if name in RECORDED:
        notes.append("Its link can be recorded (`[source] record`).")
    return "".join(f" {note}" for note in notes)


def _row(key: str, hint: Any, spec: Field[Any]) -> tuple[str, ...]:
    meta = spec.metadata
    meaning = meta["meaning"] if "meaning" in meta else meta["words"]
    default = code(default_text(spec.default, meta))
    return code(key), default, meta.get("unit", ""), _allowed(hint, meta), meaning


def _allowed(hint: Any, meta: Mapping[str, Any]) -> str:
    if len(meta.get("choices", ())) > LISTED_CHOICES:
        return f"any {meta['words']} that is installed"
    if meta.get("choices") or meta.get("low") is not None:
        return allowed(hint, {**meta, "unit": ""}).removeprefix("allowed are ")
    return _KINDS.get(hint, "a file, or none" if hint == (Path | None) else "")

"""The example configuration: every key with its default, unit and meaning, made from the sections' types.

``python -m daemon.config_example > config.example.toml`` writes it anew after a key has changed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.config import ENVIRONMENT_PREFIX, section_keys
from daemon.config_sections import SECTIONS
from daemon.config_values import allowed, shown

_WIDTH = 100

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
        for key, (hint, spec) in section_keys(kind).items():
            limits = allowed(hint, spec.metadata)
            explained = f"{spec.metadata['meaning']} ({limits})" if limits else spec.metadata["meaning"]
            parts.append(f"{_comment(explained)}\n{key} = {_toml(spec.default, spec.metadata)}")
    return "\n".join(parts) + "\n"


def _toml(value: Any, meta: Mapping[str, Any]) -> str:
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

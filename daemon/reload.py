"""SIGHUP: the configuration is read anew; what can change while it runs does, the rest is named."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from daemon.config.config import load_config
from daemon.config.sections import SECOND_SOURCE, SECTIONS, Config
from daemon.errors import UsageError
from daemon.log_output import set_up_logging

logger = logging.getLogger(__name__)


class Reloader:
    """Called on SIGHUP. The level of messages changes at once; everything else needs a restart."""

    def __init__(self, config: Config, environment: Mapping[str, str]) -> None:
        """``config`` is what runs; ``environment`` overrides the file, as at the start."""
        self._running = config
        self._environment = environment

    def __call__(self) -> None:
        """Reads the file. One that is wrong changes nothing, and the log says what is wrong with it."""
        try:
            config = load_config(self._running.path, self._environment)
        except UsageError as error:
            logger.error("reload refused, all stays as it was: %s", error)  # noqa: TRY400 - no traceback
            return
        waiting = list(changed_keys(replace(self._running, log=config.log), config))
        if config.log != self._running.log:
            set_up_logging(config.log.level)
        self._running = replace(self._running, log=config.log)
        logger.info("configuration reloaded, messages from level %s on", config.log.level)
        if waiting:
            logger.warning("these changes wait for a restart: %s", ", ".join(waiting))


def changed_keys(before: Config, after: Config) -> Iterator[str]:
    """Keys whose values differ, as ``[section] key``; values are not told."""
    for section in (*SECTIONS, SECOND_SOURCE):
        old, new = getattr(before, section), getattr(after, section)
        yield from (f"[{section}] {key}" for key in _differing(_values(old), _values(new)))


def _values(section: Any) -> dict[str, Any]:
    """Key → value of a section, with the keys of a part of it or of the driver beside its own.

    A section that is left out has none.
    """
    values: dict[str, Any] = {}
    if section is None:
        return values
    for spec in fields(section):
        value = getattr(section, spec.name)
        if isinstance(value, Mapping):
            values.update(value)
        elif hasattr(value, "__dataclass_fields__"):
            values.update(_values(value))
        else:
            values[spec.name] = value
    return values


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [key for key in {**before, **after} if before.get(key) != after.get(key)]

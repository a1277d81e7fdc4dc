"""The diagnosis file: what goes with a report of a fault, and nothing that must stay with the owner."""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

from daemon.config.sections import SECOND_SOURCE, SECTIONS, Config
from daemon.drives.drive_review import HubReview
from daemon.drives.session_documents import moment
from daemon.live.hub import Hub
from daemon.store.schema import VERSION
from web.device_shelf import DeviceShelf
from web.documents import status_document

MESSAGES = 200
LOGGERS = ("daemon", "drivers", "lowmaf", "web", "uvicorn.error", "asyncio")
_SECRETS = re.compile(
    r"lowmaf_[0-9a-f]+_[\w-]+"  # credentials
    r"|(?<=://)[^/@\s]+(?=@)"  # user names and passwords in addresses
    r"|(?<=\?)[^\s?]+"  # what follows the question mark of an address
)
_HIDDEN = "…"


class RecentMessages(logging.Handler):
    """The newest warnings and errors of our own loggers. Pairing codes are told below that level."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._newest: deque[Mapping[str, Any]] = deque(maxlen=MESSAGES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a message."""
        message = {
            "at": moment(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        self._newest.append(message)

    def messages(self) -> Sequence[Mapping[str, Any]]:
        """Those that are kept, oldest first."""
        return list(self._newest)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """While it goes on, messages are kept. Not at the root: its handlers change with the level."""
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self)
        try:
            yield
        finally:
            for name in LOGGERS:
                logging.getLogger(name).removeHandler(self)


class Diagnosis:
    """Makes the diagnosis file of a running daemon."""

    def __init__(
        self,
        hub: Hub,
        review: HubReview,
        devices: DeviceShelf,
        messages: RecentMessages,
        configuration: Mapping[str, Any],
    ) -> None:
        self._hub = hub
        self._review = review
        self._devices = devices
        self._messages = messages
        self._configuration = configuration

    async def __call__(self) -> Mapping[str, Any]:
        """All of it; texts that look like secrets are left out wherever they stand."""
        hub = self._hub
        document = {
            "format": "lowmaf.diagnosis/1",
            "made": moment(time.time()),
            "settings": dict(self._review.settings()),
            "configuration": dict(self._configuration),
            "status": status_document(hub.status(), hub.snapshot().counts, 0),
            "devices": Counter(str(device.kind) for device in self._devices.devices()),
            "schema_version": VERSION,
            "sqlite": sqlite3.sqlite_version,
            "packages": _packages(),
            "messages": self._messages.messages(),
        }
        hidden: Mapping[str, Any] = _without_secrets(document)
        return hidden


def configuration_document(config: Config) -> Mapping[str, Any]:
    """Section → key → value of a configuration."""
    sections = {name: getattr(config, name) for name in (*SECTIONS, SECOND_SOURCE)}
    return {name: _values(section) for name, section in sections.items() if section is not None}


def _values(value: Any) -> Any:
    if is_dataclass(value):
        return {spec.name: _values(getattr(value, spec.name)) for spec in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _values(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [_values(one) for one in value]
    return value if isinstance(value, int | float | bool) or value is None else str(value)


def _packages() -> Mapping[str, str]:
    """The versions of what lowmaf needs."""
    names = {re.split(r"[^\w.-]", need)[0] for need in requires("lowmaf") or () if "extra ==" not in need}
    return {name: version(name) for name in sorted(names)}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str | Path):
        return _SECRETS.sub(_HIDDEN, str(value))
    if isinstance(value, Mapping):
        return {key: _without_secrets(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(one) for one in value]
    return value

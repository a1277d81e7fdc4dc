"""What goes into the store and comes out of it, and how the store fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from daemon.errors import WorkError
from daemon.wall_clock import ClockState


class StoreError(WorkError):
    """The database cannot be used; the message is one line that says which file, why, and what to do."""


class RestartNeededError(WorkError):
    """The database could not be read at the start and can be now: only a restart brings the two together."""


class DatabaseInUseError(StoreError):
    """Another lowmaf has the database. ``address`` is where it answers, None where it does not say."""

    def __init__(self, message: str, address: str | None) -> None:
        super().__init__(message)
        self.address = address


class ClosedHow(StrEnum):
    """How a session ended. ``CLOSED_INCORRECT``: the power went, or the program was killed."""

    OPEN = "open"
    CLOSED = "closed"
    CLOSED_INCORRECT = "closed_incorrect"


@dataclass(frozen=True, slots=True)
class StoreNotice:
    """Something about the store that the user must know. ``code`` is stable, ``message`` is for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStart:
    """What is known when a drive or log begins. ``settings`` may hold anything that JSON can."""

    driver: str
    maf_table_revision: int | None
    epoch: int
    estimator: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A drive or log as kept. ``started_wall_s`` is in seconds since 1970, UTC; where ``clock`` is unsynced,
    by a clock that may have been wrong.

    ``duration_s`` is the time driven so far while the session is open, and where it was not closed; None
    where no samples are kept to tell. ``samples`` counts final verdicts, ``accepted`` those that count.
    """

    id: int
    driver: str
    name: str | None
    started_wall_s: float
    started_monotonic_s: float
    clock: ClockState
    boot_id: str | None
    duration_s: float | None
    closed_how: ClosedHow
    maf_table_revision: int | None
    epoch: int
    estimator: str
    settings: Mapping[str, Any]
    included: bool
    samples: int
    accepted: int


@dataclass(frozen=True, slots=True)
class KeptSamples:
    """What is kept of a session's samples: ``samples`` of them, from ``first_t_s`` to ``last_t_s``.

    ``unbroken``: no chunk of them is missing, from the first on.
    """

    samples: int
    unbroken: bool
    first_t_s: float
    last_t_s: float


@dataclass(frozen=True, slots=True)
class LinkChange:
    """A change of the connection's state at ``monotonic_s`` of the machine's boot ``boot_id``."""

    boot_id: str | None
    monotonic_s: float
    driver: str
    state: str
    words: str

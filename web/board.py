"""What the web needs of the rest of the program, as types: it is handed these at start.

The daemon implements :class:`Board`; nothing in this package imports the daemon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lowmaf.maf_table import MafTable
from lowmaf.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """A change of the connection's state, ``age_s`` seconds ago."""

    state: str
    words: str
    age_s: float


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """The connection to the car. ``state`` is one of: connecting, running, waiting, paused, ended.

    ``history`` holds the newest changes of state, the last one last.
    """

    state: str
    words: str
    driver: str
    since_s: float
    reconnects: int = 0
    history: Sequence[LinkEvent] = ()


@dataclass(frozen=True, slots=True)
class LiveReading:
    """The newest sample. ``values`` has NaN where a channel was not measured.

    ``cell`` is the index of the cell nearest to the MAF voltage, None without a voltage.
    ``verdict`` is a :class:`lowmaf.verdicts.Verdict` label; provisional until it was judged.
    """

    t_s: float
    values: Mapping[str, float]
    cell: int | None
    verdict: str
    provisional: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """Only for the simulated car: how near the estimate is to the error it was given.

    ``error_pct`` (k,) is the correction that would be right for each cell; ``rmse_pct`` is over the
    ``cells`` cells that saw at least 10 s of closed loop, None before there is one.
    """

    error_pct: Sequence[float]
    rmse_pct: float | None
    cells: int


@dataclass(frozen=True, slots=True)
class Status:
    """State of the whole daemon, for ``GET /api/v1/status`` and the page.

    ``second_link`` is None where no second source is configured.
    """

    version: str
    uptime_s: float
    link: LinkStatus
    session: int | None
    sample_rate_hz: float | None
    last_sample_age_s: float | None
    counts: Mapping[str, int]
    nothing_accepted_s: float | None
    nothing_accepted_because: str | None
    storage: Mapping[str, Any]
    healthy: bool
    unhealthy_because: str | None
    truth: Truth | None = None
    second_link: LinkStatus | None = None
    queues: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VerdictMinute:
    """Final verdicts of one minute of a drive's time: label → number of samples, those above 0."""

    session: int
    minute: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TableChange:
    """What became of a MAF table that the user says is in the ECU now.

    ``table`` has its revision. ``changed`` is False where it was the current one already; ``carried_over``
    says whether what was learned counts on; ``ended`` is the session that ended with it.
    """

    table: MafTable
    changed: bool
    carried_over: bool = True
    ended: int | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A request to the hub, the only writer. ``name``: reset, lock_cells, unlock_cells, pause, resume."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class CommandRefusedError(Exception):
    """The hub will not carry out a command; the message says what is allowed."""


class Board(Protocol):
    """The live state, read by every page and stream."""

    def snapshot(self) -> Snapshot:
        """The newest table. Its ``revision`` rises with every change."""
        ...

    def session(self) -> int | None:
        """Number of the session (drive) that samples go to now."""
        ...

    def live(self) -> LiveReading | None:
        """The newest sample, None before the first."""
        ...

    def status(self) -> Status: ...

    def recent_verdicts(self) -> Sequence[VerdictMinute]:
        """The newest hour of driving, minute by minute, the last one being the one that goes on."""
        ...

    async def changed(self, generation: int) -> int:
        """Waits until anything changed after ``generation`` (from 0, each one more); returns the new one."""
        ...

    async def command(self, command: Command) -> Mapping[str, Any]:
        """Carries out a command and returns what there is to say about it.

        Raises:
            CommandRefusedError: unknown command or arguments that are not allowed.
        """
        ...

    async def flash(self, table: MafTable) -> TableChange:
        """The user has flashed this table: learning goes on with it."""
        ...

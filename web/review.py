"""What the page needs to look at earlier driving again; the daemon implements :class:`DriveReview`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class ReviewUnavailableError(Exception):
    """There is no kept driving to look at; the message says why, and what would change that."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """How many of the newest kept samples count with the limits of now, and with others.

    ``now`` and ``then`` map verdict labels to numbers of samples, those above 0.
    """

    samples: int
    drives: Sequence[int]
    now: Mapping[str, int]
    then: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CountedSample:
    """One sample that counted: its drive, seconds of the drive's time, and what it says.

    ``trim_pct`` is short plus long; ``rpm`` and ``iat_c`` are NaN where they were not measured.
    """

    session: int
    t_s: float
    cell: int
    maf_v: float
    trim_pct: float
    rpm: float
    iat_c: float


@dataclass(frozen=True, slots=True)
class HistoryStep:
    """What a cell had come to after ``minute`` minutes of a drive; NaN where nothing was known.

    ``minute`` is None for drives that are kept no finer.
    """

    session: int | None
    minute: float | None
    correction_pct: float
    stderr_pct: float
    hits: int


class DriveReview(Protocol):
    """Driving that is kept, looked at again. Nothing here changes what is learned."""

    def settings(self) -> Mapping[str, Any]:
        """What the program runs with, as JSON can say it: filters, estimator, machine, storage."""
        ...

    async def what_if(self, pairs: Sequence[str]) -> WhatIf:
        """Judges the newest kept samples with other limits, given as ``KEY=VALUE``.

        Raises:
            ReviewUnavailableError: no samples are kept.
            lowmaf.filters.FilterError: no such limit, or one that is impossible.
        """
        ...

    async def counted(self) -> Sequence[CountedSample]:
        """The newest samples that counted, a few dozen of each cell, oldest first.

        Raises:
            ReviewUnavailableError: no samples are kept.
        """
        ...

    async def history(self, cell: int) -> Sequence[HistoryStep]:
        """How the estimate of a cell (number from 0) came about, oldest first."""
        ...

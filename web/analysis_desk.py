"""What the web needs of whoever carries out analyses; the daemon implements :class:`AnalysisDesk`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class AnalysisStatus(StrEnum):
    """How far a run is. ``COMPLETED_AND_SENT``: its output has reached the webhook too."""

    UNSTARTED = "unstarted"
    PROCESSING = "processing"
    COMPLETED = "completed"
    COMPLETED_AND_SENT = "completed_and_sent"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether its output will not change any more."""
        return self not in (AnalysisStatus.UNSTARTED, AnalysisStatus.PROCESSING)


class PushState(StrEnum):
    """What became of the output at the webhook. ``NONE``: there is no webhook."""

    NONE = "none"
    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class RunOrder:
    """One run: an estimator's name, and limits of filters by name where they differ from the
    configuration's; ``filters`` None switches all of them off."""

    estimator: str | None = None
    filters: Mapping[str, Any] | None = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnalysisOrder:
    """Runs over the same uploaded logs. ``webhook_url`` is where their output is pushed to."""

    logs: Sequence[str]
    runs: Sequence[RunOrder]
    webhook_url: str | None = None


class AnalysisDesk(Protocol):
    """Runs that are carried out one after another. Every method raises a
    :class:`web.service_errors.ServiceError` where it cannot."""

    @property
    def closed(self) -> bool:
        """Whether nothing changes any more because the service has ended."""
        ...

    async def ask(self, order: AnalysisOrder) -> list[str]:
        """Queues the runs; returns their ids when they would survive a power cut."""
        ...

    async def analyses(
        self, *, webhook_url: str | None, status: AnalysisStatus | None, limit: int
    ) -> list[Mapping[str, Any]]:
        """The newest runs, newest first, without their tables."""
        ...

    async def analysis(self, analysis_id: str) -> Mapping[str, Any]:
        """One run with its interim or final table."""
        ...

    async def cancel(self, analysis_id: str) -> Mapping[str, Any]:
        """Ends a run that has not ended yet; returns it as it is then."""
        ...

    def news(self, analysis_id: str) -> asyncio.Event:
        """Set as soon as anything of the run has changed from now on."""
        ...

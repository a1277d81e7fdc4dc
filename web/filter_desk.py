"""What the web needs of whoever keeps the limits that samples must keep; the daemon implements it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FilterChange:
    """Other limits, as ``KEY=VALUE`` (``off`` switches one off), and names of those that are to be as the
    configuration says again."""

    pairs: Sequence[str]
    configured: Sequence[str]


class FilterDesk(Protocol):
    """Changes limits without touching the configuration."""

    async def change(self, change: FilterChange) -> None:
        """The limits hold for samples from now on, and after a restart.

        Raises:
            lowmaf.filters.FilterError: no such limit, or one that is impossible; nothing was changed.
            web.service_errors.ServiceUnavailableError: they cannot be kept now.
        """
        ...

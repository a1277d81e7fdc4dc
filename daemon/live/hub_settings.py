"""What the hub is made of, and what of it is kept with every session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from daemon.live.replayed_log import ReplayedLog
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable
from lowmaf.settings import CurveSettings


@dataclass(frozen=True, slots=True)
class HubSettings:
    """``filters`` are those in use; ``configured`` the configuration's, None where they are the same."""

    version: str
    table: MafTable
    estimator: str
    filters: Filters
    curve: CurveSettings
    keep_samples: bool = True
    log: ReplayedLog | None = None
    configured: Filters | None = None

    def as_kept(self) -> Mapping[str, Any]:
        """What a session is kept with: all that its cells were made with, beside the samples."""
        made_with = _made_with(self.filters, self.curve)
        return made_with if self.log is None else {**made_with, "log": self.log.as_kept()}


@lru_cache(maxsize=8)
def _made_with(filters: Filters, curve: CurveSettings) -> Mapping[str, Any]:
    """Kept, for others push sessions by the hundred: each has the same."""
    return {"filters": asdict(filters), "curve": asdict(curve)}

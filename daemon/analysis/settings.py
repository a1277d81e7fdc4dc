"""Limits of the analysis service, decided before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, field

from daemon.serving.long_bodies import LongBodyLimits
from daemon.webhooks.hosts import AllowedHosts
from drivers.logs.limits import LogLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisSettings:
    """How much is taken, how much work goes on at once, and whom output may be pushed to.

    ``workers`` processes analyse at once, each with at most ``memory_bytes`` of address space and
    ``limit_s`` per run. ``max_waiting`` runs wait at most, ``max_kept`` that have ended are kept. A push may
    take ``push_timeout_s``; after ``push_attempts`` without success it is given up.
    ``log_limits``: what is read of a log. ``bodies``: how slowly an upload may come.
    """

    max_upload_bytes: int = 500_000_000
    max_uploads: int = 1000
    workers: int = 1
    memory_bytes: int = 1_000_000_000
    limit_s: float = 600.0
    max_waiting: int = 10_000
    max_kept: int = 10_000
    hosts: AllowedHosts = field(default_factory=AllowedHosts)
    push_timeout_s: float = 10.0
    push_attempts: int = 100
    log_limits: LogLimits = field(default_factory=LogLimits)
    bodies: LongBodyLimits = field(default_factory=LongBodyLimits)

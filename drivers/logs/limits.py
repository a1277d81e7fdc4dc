"""How much of a log is read: whoever made it may have meant harm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLimits:
    """``line_bytes``: of a line without its end. ``field_bytes``: of a field in it. ``columns``: names of
    columns. ``rows``: lines of data. ``unpacked_bytes``: what an archive may unpack to.

    A row with a field that is too long is left out and counted; beyond every other limit the log is refused.
    """

    line_bytes: int = 1_000_000
    field_bytes: int = 64_000
    columns: int = 1000
    rows: int = 50_000_000
    unpacked_bytes: int = 8_000_000_000


DEFAULT_LIMITS = LogLimits()

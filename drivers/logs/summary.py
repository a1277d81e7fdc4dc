"""What was recognised in a log, and what was done with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def counted(number: int, what: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class LogSummary:
    """One log, as far as it was read.

    ``rows`` are data rows met, ``unusable`` those of them left out, by reason; ``columns`` maps a role
    to the header it was taken from; ``converted`` are unit conversions in words; ``inferred`` what had
    to be concluded because the log does not say it; ``gaps`` holes in time. ``sample_rate_hz`` and
    ``duration_s`` are None with fewer than two usable rows.
    """

    name: str
    format: str
    encoding: str
    rows: int
    unusable: Mapping[str, int]
    columns: Mapping[str, str]
    converted: tuple[str, ...]
    inferred: tuple[str, ...]
    warnings: tuple[str, ...]
    gaps: int
    sample_rate_hz: float | None
    duration_s: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and None."""
        return {
            "name": self.name,
            "rows": self.rows,
            "format": self.format,
            "encoding": self.encoding,
            "unusable": dict(self.unusable),
            "columns": dict(self.columns),
            "converted": list(self.converted),
            "inferred": list(self.inferred),
            "warnings": list(self.warnings),
            "gaps": self.gaps,
            "sample_rate_hz": self.sample_rate_hz,
            "duration_s": self.duration_s,
        }

"""What the web needs of whoever takes samples that another logger pushes; the daemon implements it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from web.service_errors import ServiceError


class IngestFormat(StrEnum):
    """What a body of samples is."""

    NDJSON = "application/x-ndjson"
    CSV = "text/csv"


class SamplesUnusableError(ServiceError):
    """The body holds no samples that could give a table; the message says why."""

    status, code = 422, "samples_unusable"


class TooManyIngestsError(ServiceError):
    """As many bodies arrive as are taken at once."""

    status, code = 429, "too_many_ingests"


class IngestIncompleteError(ServiceError):
    """The body stopped coming before all of it was here."""

    status, code = 400, "body_incomplete"


@dataclass(frozen=True, slots=True)
class InvalidRecord:
    """A record that was left out; ``line`` counts from 1."""

    line: int
    error: str


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a body: ``session`` keeps its ``valid`` records, ``first_invalid`` names some others.

    ``invalid`` records were left out. ``inferred`` and ``warnings`` say in words how the body was read.
    """

    session: int
    bytes: int
    valid: int
    invalid: int
    first_invalid: Sequence[InvalidRecord]
    inferred: Sequence[str]
    warnings: Sequence[str]

    def document(self) -> dict[str, Any]:
        """The answer as JSON can say it."""
        records = {"valid": self.valid, "invalid": self.invalid, "total": self.valid + self.invalid}
        return {
            "result": {
                "status": "ok",
                "session": self.session,
                "stats": {"bytes": self.bytes, "records": records},
                "first_invalid": [{"line": bad.line, "error": bad.error} for bad in self.first_invalid],
                "inferred": list(self.inferred),
                "warnings": list(self.warnings),
            }
        }


class IngestDesk(Protocol):
    """Takes samples as they arrive."""

    async def take(self, body_format: IngestFormat, chunks: AsyncIterator[bytes], name: str) -> Ingested:
        """Keeps the samples of one body as a session of its own; returns when they survive a power cut.

        Raises:
            ServiceError: they cannot be used or kept. Nothing of the body stays then.
        """
        ...

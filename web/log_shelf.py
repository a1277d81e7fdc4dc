"""What the web needs of whoever keeps uploaded logs; the daemon implements :class:`LogShelf`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

LONGEST_LOG_NAME = 200


class LogShelf(Protocol):
    """Uploaded logs. Every method raises a :class:`web.service_errors.ServiceError` where it cannot."""

    async def take(
        self, name: str, chunks: AsyncIterator[bytes], announced_bytes: int | None
    ) -> Mapping[str, Any]:
        """Keeps a log that arrives in chunks and says what was recognised in it.

        ``name`` is only shown. ``announced_bytes`` is what the sender says it will be, None where it
        does not. Nothing is kept of a log that cannot be used.
        """
        ...

    async def logs(self) -> Mapping[str, Any]:
        """All logs, oldest first, and the uploads that go on with how far they are."""
        ...

    async def log(self, log_id: str) -> Mapping[str, Any]:
        """What is known of one."""
        ...

    async def delete(self, log_id: str) -> None:
        """Deletes one that no analysis needs any more."""
        ...


@dataclass(frozen=True, slots=True)
class AddedLog:
    """The session that a log became, as JSON can say it. ``is_new`` is False where there was one already."""

    session: Mapping[str, Any]
    is_new: bool


class LogSessionDesk(Protocol):
    """Makes uploaded logs count in the table."""

    async def add(self, log_id: str) -> AddedLog:
        """Keeps the samples of a log as a session and lets it count; the same log counts once.

        Raises:
            ServiceError: it cannot count; says why. Nothing of it stays then.
            SessionsUnavailableError: the database cannot be read or written now.
        """
        ...

"""What the web needs of whoever keeps drives and logs; the daemon implements :class:`SessionShelf`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class SessionUnknownError(Exception):
    """There is no session of that number; the message says which there are."""


class SessionRefusedError(Exception):
    """The session cannot be changed now; the message says why, and when it can."""


class SessionsUnavailableError(Exception):
    """The database cannot be read or written now; the message says why."""


@dataclass(frozen=True, slots=True)
class SessionChange:
    """What to change of a session; None changes nothing. An empty ``name`` takes the name away."""

    name: str | None = None
    included: bool | None = None


class SessionShelf(Protocol):
    """Drives and logs that are kept. Every method raises one of the three errors above."""

    async def sessions(self) -> list[Mapping[str, Any]]:
        """All sessions, oldest first, as JSON can say them."""
        ...

    async def session(self, number: int) -> Mapping[str, Any]:
        """All that is known of one, but its samples."""
        ...

    async def change(self, number: int, change: SessionChange) -> Mapping[str, Any]:
        """Names a session, or leaves it out of the table or takes it in again; returns it as it is then."""
        ...

    async def delete(self, number: int) -> None:
        """Deletes a session with all that was learned from it."""
        ...

    async def rebuild(self, number: int) -> Mapping[str, Any]:
        """Makes its cells anew from the kept samples; says what became of them."""
        ...

    async def export(self, number: int, export_format: str) -> AsyncIterator[bytes]:
        """Its samples as ``csv`` or ``json``, piece by piece."""
        ...

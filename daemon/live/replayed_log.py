"""A recorded log that is replayed as if live counts once in a database, however often the daemon starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.store.store import Store
from drivers.base import Driver
from drivers.logs.content import content_digest
from lowmaf.samples import SampleBatch


@dataclass(frozen=True, slots=True)
class ReplayedLog:
    """A log by its content, as it is kept with the sessions made of it."""

    path: Path
    sha256: str

    @classmethod
    async def of(cls, path: Path | None) -> ReplayedLog | None:
        """The log there; None without one, and where it cannot be read, which its driver tells."""
        digest = None if path is None else await asyncio.to_thread(_digest, path)
        return None if path is None or digest is None else cls(path, digest)

    def as_kept(self) -> Mapping[str, str]:
        return {"name": self.path.name, "sha256": self.sha256}

    async def once(self, store: Store, make_driver: Callable[[], Driver]) -> Callable[[], Driver]:
        """``make_driver``, or where the database has samples of this log, a driver that gives none."""
        there = [
            session.id
            for session in await store.sessions()
            if session.settings.get("log", {}).get("sha256") == self.sha256
        ]
        return (lambda: _ReplayedBefore(self.path, there)) if there else make_driver


class _ReplayedBefore:
    """Ends at once, and says why; see ``drivers.base.Driver``."""

    name = "replay"

    def __init__(self, path: Path, sessions: list[int]) -> None:
        several = len(sessions) > 1
        which = f"{'sessions' if several else 'session'} {', '.join(map(str, sorted(sessions)))}"
        self._words = (
            f"replay of {path}: not again, or its samples would count twice: the database has them as "
            f"{which}; delete {'those' if several else 'that'} to replay it anew"
        )

    def describe(self) -> str:
        return self._words

    async def batches(self) -> AsyncGenerator[SampleBatch, None]:
        samples: tuple[SampleBatch, ...] = ()
        for batch in samples:
            yield batch


def _digest(path: Path) -> str | None:
    """The content's digest; None of what can be read but once, such as a pipe."""
    return content_digest(path) if path.is_file() else None

"""How much is kept: the oldest raw samples go first, and what was learned from them stays.

Their pages are used again for new samples, so the file stops growing; it is never made smaller, which would
cost the card a copy of the whole.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import aiosqlite

from daemon.wall_clock import ClockState, read_clock

MAX_CHUNKS = 16
"""So many chunks at most are dropped with one commit, which adds one or two: it catches up."""
AGE_LOOK_S = 60.0
_DAY_S = 86_400.0
_LEAST_CHUNK_BYTES = 1024

_DROP_OLDEST = (
    "DELETE FROM sample_chunks WHERE id IN "
    "(SELECT id FROM sample_chunks WHERE id < ? ORDER BY id LIMIT ?) RETURNING n"
)
_NEWEST_TOO_OLD = """
SELECT max(sessions.id) FROM sessions LEFT JOIN boots USING (boot_id)
WHERE CASE
    WHEN boots.clock = 'synced' THEN boots.wall_minus_monotonic_s + sessions.started_monotonic_s
    WHEN sessions.clock = 'synced' THEN sessions.started_wall_s
END < ?
"""
_ALL = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Retention:
    """``max_bytes``: size of the database above which samples are dropped; ``max_age_days``: samples of
    drives that began earlier are dropped, where both dates are known for certain."""

    max_bytes: float = math.inf
    max_age_days: float = math.inf


KEEP_ALL = Retention()


class SampleDropper:
    """Drops the oldest samples, a few per commit. ``dropped`` counts them."""

    def __init__(self, retention: Retention) -> None:
        self.dropped = 0
        self._retention = retention
        self._looked_s = -math.inf
        self._too_old_below = 0

    async def drop(self, connection: aiosqlite.Connection) -> None:
        """Drops within the transaction that is open: what is over the limits, or a part of it."""
        n = await self._over_size(connection)
        if n:
            await self._drop(connection, _ALL, n)
            return
        dropping = await self._too_old(connection)
        if dropping and not await self._drop(connection, self._too_old_below, MAX_CHUNKS):
            self._too_old_below = 0

    async def _over_size(self, connection: aiosqlite.Connection) -> int:
        """How many chunks are to be dropped now for the file's size."""
        if math.isinf(self._retention.max_bytes):
            return 0
        sizes = []
        for pragma in ("page_size", "page_count", "freelist_count"):
            ((size,),) = await connection.execute_fetchall(f"PRAGMA {pragma}")
            sizes.append(int(size))
        page_bytes, pages, free_pages = sizes
        over_bytes = (pages - free_pages) * page_bytes - self._retention.max_bytes
        return min(math.ceil(over_bytes / _LEAST_CHUNK_BYTES), MAX_CHUNKS) if over_bytes > 0 else 0

    async def _too_old(self, connection: aiosqlite.Connection) -> bool:
        now_s = time.monotonic()
        if not self._too_old_below and now_s - self._looked_s >= AGE_LOOK_S:
            self._looked_s = now_s
            self._too_old_below = await self._first_young_enough(connection)
        return self._too_old_below > 0

    async def _first_young_enough(self, connection: aiosqlite.Connection) -> int:
        """Id of a chunk: those before it are too old; 0 where none is, or nobody knows."""
        clock = read_clock()
        if math.isinf(self._retention.max_age_days) or clock.state is not ClockState.SYNCED:
            return 0
        oldest_s = clock.wall_s - self._retention.max_age_days * _DAY_S
        ((session,),) = await connection.execute_fetchall(_NEWEST_TOO_OLD, (oldest_s,))
        return 0 if session is None else (int(session) + 1) << 32

    async def _drop(self, connection: aiosqlite.Connection, below: int, limit: int) -> bool:
        rows = list(await connection.execute_fetchall(_DROP_OLDEST, (below, limit)))
        self.dropped += sum(n for (n,) in rows)
        return bool(rows)

"""Published results in the database."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from daemon.serving.result_records import RESULT_COLUMNS, result_of, result_row
from daemon.store.records import StoreError
from daemon.store.store import Store
from web.results import Result, ResultHead, ResultUnknownError
from web.service_errors import NoRoomError, ServiceUnavailableError

_INSERT = f"INSERT INTO published_results ({', '.join(RESULT_COLUMNS)}, crc32) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own names


class KeptResults:
    """A :class:`web.results.ResultShelf` over the ``published_results`` of a store."""

    def __init__(
        self, store: Store, *, max_results: int, wall_clock: Callable[[], float] = time.time
    ) -> None:
        """At most ``max_results`` are kept: their addresses are lasting, so none is dropped for a new one."""
        self._store = store
        self._max_results = max_results
        self._wall_clock = wall_clock

    async def publish(self, name: str, table: bytes, refusals: Sequence[str]) -> ResultHead:
        head = ResultHead(secrets.token_hex(8), name, self._wall_clock())
        with _answered():
            if len(await self._heads()) >= self._max_results:
                raise NoRoomError(
                    f"{self._max_results} results are published, more are not allowed; delete some, or raise "
                    "[storage] max_results"
                )
            self._store.write(_INSERT, *result_row(head, table, refusals))
            await self._store.flush()
        return head

    async def results(self) -> Sequence[ResultHead]:
        with _answered():
            return await self._heads()

    async def result(self, result_id: str) -> Result:
        with _answered():
            rows = await self._store.query("SELECT * FROM published_results WHERE id = ?", result_id)
        if not rows:
            raise ResultUnknownError(
                f"there is no published result {result_id!r:.60}; GET /api/v1/results lists them"
            )
        result = result_of(rows[0])
        if result is None:
            raise ServiceUnavailableError(f"the published result {result_id} is damaged on the disk")
        return result

    async def delete(self, result_id: str) -> None:
        await self.result(result_id)
        with _answered():
            self._store.write("DELETE FROM published_results WHERE id = ?", result_id)
            await self._store.flush()

    async def _heads(self) -> list[ResultHead]:
        rows = await self._store.query(
            "SELECT id, name, published_wall_s FROM published_results ORDER BY published_wall_s, id"
        )
        return [ResultHead(row["id"], row["name"], row["published_wall_s"]) for row in rows]


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise ServiceUnavailableError(f"the database cannot be used now: {error}") from None

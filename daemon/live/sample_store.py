"""What the hub asks of whoever keeps its samples and cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from daemon.store.records import SessionStart
from lowmaf.cells import BlockKey
from lowmaf.maf_table import MafTable
from lowmaf.samples import SampleBatch

LOOK_INTERVAL_S = 0.5


class SampleStore(Protocol):
    """What the hub asks of the store; ``write_…`` return at once and are written with the next commit."""

    async def put_table(self, table: MafTable) -> MafTable: ...
    def write_session_start(self, start: SessionStart) -> int: ...
    def write_session_end(self, session: int, *, quiet_s: float) -> None: ...
    def write_samples(self, session: int, batch: SampleBatch) -> None: ...
    def write_blocks(self, session: int, blocks: Mapping[int, bytes]) -> None: ...
    def write_counts(self, session: int, counts: Mapping[str, int]) -> None: ...
    def write_minutes(self, session: int, minutes: Mapping[int, Mapping[str, int]]) -> None: ...
    def write_link(self, driver: str, state: str, words: str) -> None: ...
    def write_locks(self, cells: frozenset[int]) -> None: ...
    def write_epoch(self, epoch: int, start: BlockKey) -> None: ...
    @property
    def newest_session(self) -> int: ...
    def status(self) -> Mapping[str, Any]: ...


class StorageLook:
    """What the store says of itself, at most :data:`LOOK_INTERVAL_S` old.

    The page is told ten times a second; each time the disk would be asked how large files are.
    """

    def __init__(self, store: SampleStore, now_s: Callable[[], float]) -> None:
        self._store = store
        self._now_s = now_s
        self._looked_s = -math.inf
        self._status: Mapping[str, Any] = {}

    def status(self) -> Mapping[str, Any]:
        now_s = self._now_s()
        if now_s - self._looked_s >= LOOK_INTERVAL_S:
            self._status, self._looked_s = self._store.status(), now_s
        return self._status

"""A daemon without its source: simulated drives given to the hub, kept by a store in a file."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fakes import realistic_table

from daemon.drives.earlier_drives import carry_on, relearn
from daemon.drives.kept_sessions import KeptSessions
from daemon.live.hub import Hub
from daemon.live.hub_settings import HubSettings
from daemon.store.store import Store
from drivers.simulator.recording import record_drive
from drivers.simulator.settings import CarSettings
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable
from lowmaf.samples import SampleBatch
from lowmaf.settings import CurveSettings

TABLE = realistic_table()
FROM_COLD = Filters.from_pairs(["min_ect_c=off"])


@cache
def drive(seed: int, seconds: float = 130.0) -> SampleBatch:
    """A simulated drive; its engine runs from the first sample to the last."""
    return record_drive(CarSettings(seed=seed), seconds=seconds)


@dataclass
class Kept:
    """The parts of a daemon that keep drives, over one database."""

    hub: Hub
    store: Store
    sessions: KeptSessions

    def begin(self, batch: SampleBatch) -> int:
        """A drive goes on after this; returns its session."""
        self.hub.source_connected("test")
        self.go_on(batch)
        session = self.hub.session()
        assert session is not None
        return session

    def go_on(self, batch: SampleBatch, size: int = 200) -> None:
        """More samples of the drive."""
        for first in range(0, len(batch), size):
            self.hub.take(batch.slice(first, min(first + size, len(batch))))

    async def driven(self, seed: int) -> int:
        """A whole drive, ended and on the disk, its samples in two chunks; returns its session."""
        whole = drive(seed)
        half = len(whole) // 2
        session = self.begin(whole.slice(0, half))
        await self.store.flush()
        self.go_on(whole.slice(half, len(whole)))
        self.hub.source_ended()
        await self.store.flush()
        return session


def hub_settings(table: MafTable, **changed: Any) -> HubSettings:
    values: dict[str, Any] = {
        "version": "0",
        "table": table,
        "estimator": "curve",
        "filters": FROM_COLD,
        "curve": CurveSettings(),
    }
    return HubSettings(**(values | changed))


@contextlib.asynccontextmanager
async def kept(path: Path, table: MafTable = TABLE) -> AsyncIterator[Kept]:
    """A daemon on the database at ``path``, with what was learned before."""
    async with await Store.open(path, commit_interval_s=3600.0) as store:
        hub = Hub(hub_settings(await store.put_configured_table(table)), store)
        store.before_commit = hub.save
        await carry_on(hub.pipeline, store)
        hub.pipeline.lock(await store.locks(hub.pipeline.table.revision))
        sessions = KeptSessions(
            store, lambda session: session.id == hub.session(), lambda: relearn(hub, store)
        )
        yield Kept(hub, store, sessions)
        hub.source_ended()

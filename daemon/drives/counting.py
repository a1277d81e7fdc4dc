"""Which kept drives count in the table of now, and why others do not."""

from __future__ import annotations

from daemon.store.reader import StoreReader
from daemon.store.records import Session
from lowmaf.cells import BlockKey


class Counting:
    """The rule, made of the store at one moment."""

    def __init__(
        self, epoch_start: BlockKey, flow_since: int, newest_table: int, estimator: str | None
    ) -> None:
        """``flow_since``: from this revision on every MAF table has flow, so that drives carry over.

        ``estimator`` is the one that the table is made by; None where nobody makes one now.
        """
        self._epoch_start = epoch_start
        self._flow_since = flow_since
        self._newest_table = newest_table
        self._estimator = estimator

    @classmethod
    async def of(cls, store: StoreReader, estimator: str | None) -> Counting:
        """How it stands in the store."""
        flow_since, newest = 1, 0
        for table in await store.tables():
            newest = table.revision
            if table.flow_gs is None:
                flow_since = table.revision + 1
        _, start = await store.epoch()
        return cls(start, flow_since, newest, estimator)

    def why_not(self, session: Session) -> str | None:
        """Why the drive does not count, in words; None where it does."""
        revision = session.maf_table_revision
        if not session.included:
            return "it is excluded"
        if session.id < self._epoch_start.drive:
            return "learning began anew after it"
        if revision is None:
            return "it has no MAF table"
        if revision < self._flow_since and revision != self._newest_table:
            return "its MAF table has no flow (g/s), so it cannot be carried over to the one of today"
        if self._estimator == "curve" and session.estimator != "curve":
            return f"it was summed for the {session.estimator} estimator, which the curve cannot use"
        return None

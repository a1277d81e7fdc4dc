"""Cells made anew from a drive's kept samples, by what it was judged with: the same, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from daemon.drives.earlier_drives import is_whole
from daemon.live.verdict_minutes import VerdictMinutes
from daemon.store.records import Session
from daemon.store.store import Store
from lowmaf.cells import block_to_bytes
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable
from lowmaf.pipeline import Pipeline
from lowmaf.settings import CurveSettings


class RebuildOutcome(StrEnum):
    """What became of a drive's cells."""

    SAME = "same"
    REPLACED = "replaced"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The outcome for one drive; ``words`` say it to the owner."""

    session: int
    outcome: RebuildOutcome
    words: str


@dataclass(frozen=True, slots=True)
class _Made:
    blocks: Mapping[int, bytes]
    counts: Mapping[str, int]
    minutes: Mapping[int, Mapping[str, int]]


async def rebuild(store: Store, session: Session) -> Rebuilt:
    """Makes the cells, counts and minutes of a drive that is over anew.

    They replace what is kept, at once and whole, where the two differ. Where samples are missing the kept
    cells are left as they are: they hold what the samples no longer say.

    Raises:
        StoreError: the database cannot be read or written.
    """
    kept = await store.kept_samples(session.id)
    if kept is None or not is_whole(kept, session):
        have = 0 if kept is None else kept.samples
        return _left(session, f"{have} of {max(session.samples, have)} samples are kept")
    table = next((t for t in await store.tables() if t.revision == session.maf_table_revision), None)
    if table is None:
        return _left(session, f"its MAF table (revision {session.maf_table_revision}) is not kept")
    try:
        pipeline = _pipeline(session, table)
    except (TypeError, ValueError) as error:
        return _left(session, f"its settings cannot be read: {error}")
    made = await _made(store, session.id, pipeline)
    if sum(made.counts.values()) != kept.samples:
        return _left(session, "some of its samples are damaged")
    same = made.blocks == await store.blocks(session.id) and made.minutes == await store.minutes(session.id)
    if same and _given(made.counts) == _given(await store.counts(session.id)):
        return Rebuilt(session.id, RebuildOutcome.SAME, f"{kept.samples} samples give the kept cells")
    await _replace(store, session.id, made)
    return Rebuilt(session.id, RebuildOutcome.REPLACED, f"made anew from {kept.samples} samples")


async def _made(store: Store, session: int, pipeline: Pipeline) -> _Made:
    minutes = VerdictMinutes()
    pipeline.begin(session)
    async for batch in store.samples(session):
        minutes.add(pipeline.feed(batch))
    minutes.add(pipeline.finish())
    cells = pipeline.table.cells
    return _Made(
        {key.block: block_to_bytes(cells, sums) for key, sums in pipeline.take_changed_blocks().items()},
        pipeline.verdict_counts(),
        minutes.take(finished=True),
    )


async def _replace(store: Store, session: int, made: _Made) -> None:
    for table in ("cell_blocks", "verdict_counts", "verdict_minutes"):
        store.write(f"DELETE FROM {table} WHERE session = ?", session)  # noqa: S608 - our own names
    store.write_blocks(session, made.blocks)
    store.write_counts(session, made.counts)
    store.write_minutes(session, made.minutes)
    await store.flush()


def _left(session: Session, why: str) -> Rebuilt:
    return Rebuilt(session.id, RebuildOutcome.LEFT, f"left as it is kept: {why}")


def _given(counts: Mapping[str, int]) -> dict[str, int]:
    return {label: n for label, n in counts.items() if n}


def _pipeline(session: Session, table: MafTable) -> Pipeline:
    return Pipeline(
        table,
        estimator=session.estimator,
        filters=Filters(**_values(Filters, session.settings.get("filters", {}))),
        settings=CurveSettings(**_values(CurveSettings, session.settings.get("curve", {}))),
    )


def _values(kind: type[Filters] | type[CurveSettings], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Kept settings as they were; JSON has no infinity, so that is kept as text."""
    names = {spec.name for spec in fields(kind)}
    return {
        name: float(value) if isinstance(value, str) else value
        for name, value in kept.items()
        if name in names
    }

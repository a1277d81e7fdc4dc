"""What earlier drives have taught, had back from the store, and a drive that a restart has cut in two."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection

from daemon.drives.counting import Counting
from daemon.ingest.session_writer import INGEST, UPLOAD
from daemon.live.drive_watch import LINK_GONE_S
from daemon.live.hub import Hub
from daemon.store.reader import StoreReader
from daemon.store.records import KeptSamples, Session
from daemon.store.rows import json_text
from daemon.store.store import Store
from daemon.wall_clock import ClockReading, read_clock
from lowmaf.cells import BlockKey, CellSumsError, block_from_bytes
from lowmaf.pipeline import Pipeline

logger = logging.getLogger(__name__)

RESUMED_SAMPLES = 500_000
"""A drive with more samples (three hours at 50 per second) is not gone through again at the start."""


async def carry_on(pipeline: Pipeline, store: StoreReader, leave_out: Collection[int] = ()) -> None:
    """Gives an empty pipeline what the kept drives have taught, re-based where the MAF table was another.

    Drives whose numbers are in ``leave_out``, and those that the user has excluded, do not count.
    """
    epoch, start = await store.epoch()
    counting = await Counting.of(store, pipeline.estimator)
    sessions = [
        session
        for session in await store.sessions()
        if session.id not in leave_out and counting.why_not(session) is None
    ]
    before: Pipeline | None = None
    for table in [
        *(table for table in await store.tables() if table.revision < pipeline.table.revision),
        None,
    ]:
        now = pipeline if table is None else pipeline.like(table)
        now.learned.epoch, now.learned.epoch_start = epoch, start
        for session in sessions:
            if session.maf_table_revision == now.table.revision:
                await _restore(session, now, store)
        if before is not None and before.table.flow_gs is not None and now.table.flow_gs is not None:
            now.carry_over(before)
        before = now
    pipeline.begin(await store.last_session())


async def _restore(session: Session, pipeline: Pipeline, store: StoreReader) -> None:
    blocks = {}
    for number, data in (await store.blocks(session.id)).items():
        try:
            blocks[number] = block_from_bytes(pipeline.table.cells, data)
        except CellSumsError as error:
            logger.warning("session %d, block %d is left out: %s", session.id, number, error)
    pipeline.restore(session.id, blocks, await store.counts(session.id))


async def relearn(hub: Hub, store: Store) -> None:
    """Puts what the store has now in place of what the hub has learned; the drive that goes on stays.

    What was learned is a sum over drives, so one that was left out leaves no trace.

    Raises:
        StoreError: the database cannot be read or written.
    """
    while True:
        hub.save()
        await store.flush()
        session = hub.session()
        kept = hub.pipeline.like(hub.pipeline.table)
        await carry_on(kept, store, () if session is None else (session,))
        if hub.take_earlier(kept, session):
            return


async def resumable(hub: Hub, store: Store, clock: ClockReading | None = None) -> Session | None:
    """The newest drive of the car, if it goes on: its newest sample came in this boot, less than
    :data:`daemon.live.drive_watch.LINK_GONE_S` ago, its samples are all kept, and nothing has changed that it
    was judged by. None where a new drive is to begin.
    """
    session = await _newest_driven(hub, store)
    if session is None or session.duration_s is None:
        return None
    at = clock or read_clock()
    quiet_s = at.monotonic_s - session.started_monotonic_s - session.duration_s
    epoch, start = await store.epoch()
    same = (
        session.included
        and session.boot_id == at.boot_id is not None
        and session.maf_table_revision == hub.pipeline.table.revision
        and session.estimator == hub.pipeline.estimator
        and session.settings == json.loads(json_text(hub.settings.as_kept()))
        and session.epoch == epoch
        and start <= BlockKey(session.id, 0)
    )
    if not same or not 0.0 <= quiet_s < LINK_GONE_S or not hub.settings.keep_samples:
        return None
    kept = await store.kept_samples(session.id)
    return (
        session if kept is not None and is_whole(kept, session) and kept.samples <= RESUMED_SAMPLES else None
    )


async def _newest_driven(hub: Hub, store: Store) -> Session | None:
    """The newest session that a source of the daemon's own gave: not pushed, uploaded, or another log's."""
    for session in reversed(await store.sessions()):
        if session.driver not in (INGEST, UPLOAD) and ("log" in session.settings) == (
            hub.settings.log is not None
        ):
            return session
    return None


def is_whole(kept: KeptSamples, session: Session) -> bool:
    """Whether the samples that are kept of a session are all of them."""
    return kept.unbroken and kept.samples >= session.samples


async def resume(hub: Hub, store: Store, session: Session, clock: ClockReading | None = None) -> None:
    """Goes on with the drive that :func:`resumable` found."""
    kept = await store.kept_samples(session.id)
    assert kept is not None
    assert session.duration_s is not None
    quiet_s = (clock or read_clock()).monotonic_s - session.started_monotonic_s - session.duration_s
    await store.continue_session(session.id)
    await hub.resume(session.id, store.samples(session.id), newest_s=kept.last_t_s, quiet_s=quiet_s)
    logger.info("drive %d goes on: the last run stopped %.0f s ago", session.id, quiet_s)

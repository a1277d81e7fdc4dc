"""The hub owns the cells: it takes samples and commands, and is the board that everybody reads."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from daemon.live.drive_watch import DriveStep, DriveWatch
from daemon.live.ecu_watch import EcuWatch
from daemon.live.hub_commands import carry_out
from daemon.live.hub_settings import HubSettings
from daemon.live.live_view import TruthSource, reading_of, truth_of
from daemon.live.liveness import Liveness, why_not_counted
from daemon.live.sample_store import SampleStore, StorageLook
from daemon.live.verdict_minutes import VerdictMinutes
from daemon.store.records import SessionStart
from lowmaf.cells import block_to_bytes
from lowmaf.filters import Filters
from lowmaf.judge import Judged
from lowmaf.maf_table import MafTable
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch
from lowmaf.snapshot import HeldOut, Snapshot
from lowmaf.verdicts import Verdict
from web.board import Command, LiveReading, Status, TableChange, VerdictMinute

SOLVE_INTERVAL_S = 1.0
"""The curve is solved at most this often, and only when somebody looks; counts are always fresh."""
GONE_LOOK_S = 5.0
ENGINE_OFF = "the engine is off: a drive begins when it runs"


class Hub:
    """Implements :class:`web.board.Board`. All methods run on the event loop; none of them waits.

    Samples come by :meth:`take` from the one source; everything else reads.
    """

    def __init__(
        self,
        settings: HubSettings,
        store: SampleStore,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._store = store
        self._storage = StorageLook(store, now_s)
        self._now_s = now_s
        self._pulse = Liveness(now_s)
        self._second_pulse: Liveness | None = None
        self.pipeline = Pipeline(
            settings.table,
            estimator=settings.estimator,
            filters=settings.filters,
            settings=settings.curve,
            follow_changes=True,
        )
        self._drive = DriveWatch()
        self._minutes = VerdictMinutes()
        self._session: int | None = None
        self._driver = ""
        self._connected = False
        self._saved_epoch = self.pipeline.learned.epoch
        self._live: LiveReading | None = None
        self._unread: SampleBatch | None = None
        self._snapshot = self.pipeline.snapshot()
        self._solved_s = -math.inf
        self._held_out: HeldOut | None = None
        self._generation = 0
        self._news = asyncio.Event()
        self._pause_wanted = False
        self._pause_changed = asyncio.Event()
        self.truth_source: TruthSource | None = None
        self.ecu = EcuWatch()

    # ---- what the source does

    def source_connected(self, driver: str) -> None:
        """Samples come from now on, from this driver; their time may begin anywhere."""
        self._driver = driver
        self._connected = True
        self._drive.connected()

    def ecu_seen(self, ecu_id: str | None) -> None:
        """Which ECU the source reads; None where it does not say."""
        self.ecu.seen(ecu_id)
        self.pipeline.touch()

    def take(self, batch: SampleBatch) -> None:
        """Samples as they arrive. Those of a running engine belong to a drive, the others are only shown."""
        if len(batch) == 0 or not self._connected:
            return
        self._pulse.arrived(len(batch))
        for step, samples in self._drive.follow(batch, self._now_s()):
            if step is DriveStep.ENDS:
                self._end_session()
            elif step is DriveStep.IDLE:
                self._live = reading_of(samples, self.pipeline.table, Verdict.RPM_RANGE)
                self._unread = None
            else:
                if step is DriveStep.BEGINS:
                    self._begin_session()
                self._learn(samples)
        self._changed()

    def source_lost(self) -> None:
        """The link is gone: its drive goes on if it is back soon."""
        self._connected = False

    def source_ended(self) -> None:
        """Nothing of this drive follows: what waits is judged with what is known."""
        self._connected = False
        self._drive.stop()
        self._end_session()

    async def end_lost_drives(self) -> None:
        """Ends the drive of a link that does not come back. Runs until cancelled."""
        while True:
            await asyncio.sleep(GONE_LOOK_S)
            if self._drive.gone(self._now_s()):
                self._drive.stop()
                self._end_session()

    async def resume(
        self, session: int, kept: AsyncIterable[SampleBatch], *, newest_s: float, quiet_s: float
    ) -> None:
        """Goes on with a drive that another run of the program had begun, given all of its samples.

        ``newest_s`` is the time of the newest in the drive, ``quiet_s`` how long ago that was.
        """
        self._switch_to(session)
        async for batch in kept:
            self._judged(self.pipeline.feed(batch))
        self._drive.resume(newest_s, self._now_s() - quiet_s)

    def save(self) -> None:
        """Hands the store what changed since the last call, to go into its next commit."""
        if self._session is None:
            return
        if self.pipeline.learned.epoch != self._saved_epoch:
            self._save_epoch()
        cells = self.pipeline.table.cells
        changed = self.pipeline.take_changed_blocks()
        blocks = {key.block: block_to_bytes(cells, sums) for key, sums in changed.items()}
        self._store.write_blocks(self._session, blocks)
        self._store.write_counts(self._session, self.pipeline.drive_counts())
        self._store.write_minutes(self._session, self._minutes.take(finished=False))

    def set_link(self, state: str, words: str, driver: str, *, reconnected: bool = False) -> None:
        """The connection's state in words; counts reconnections."""
        if state != self._pulse.link.state:
            self._store.write_link(driver, state, words)
        self._pulse.set_link(state, words, driver, reconnected=reconnected)
        self._changed()

    def set_second_link(self, state: str, words: str, driver: str, *, reconnected: bool = False) -> None:
        """The same of the second source."""
        if self._second_pulse is None:
            self._second_pulse = Liveness(self._now_s)
        self._second_pulse.set_link(state, words, driver, reconnected=reconnected)
        self._changed()

    @property
    def pause_wanted(self) -> bool:
        """True while the user wants the port closed and nothing sent."""
        return self._pause_wanted

    async def wait_for_pause(self, *, wanted: bool) -> None:
        """Returns when the user wants a pause, or wants it no longer; at once where that is so."""
        while self._pause_wanted is not wanted:
            self._pause_changed.clear()
            await self._pause_changed.wait()

    # ---- what commands do (daemon.live.hub_commands)

    @property
    def cells(self) -> int:
        return self.pipeline.table.cells

    @property
    def locked(self) -> frozenset[int]:
        return self.pipeline.locked

    async def reset(self) -> int:
        """Forgets what was learned; returns the number of the new epoch. A drive goes on as a new session."""
        driving = self._session is not None
        self._end_session()
        self.pipeline.begin(self._store.newest_session)  # samples may have been pushed since the drive began
        self.pipeline.forget()
        self.ecu.learn_anew()
        self._save_epoch()
        self._forget_view()
        if driving:
            self._begin_session()
        return self.pipeline.learned.epoch

    async def flash(self, table: MafTable) -> TableChange:
        """The user has flashed this table: learning goes on with it, a drive as a new session."""
        current = await self._store.put_table(table)
        before, ended = self.pipeline, self._session
        if current.revision <= before.table.revision:
            return TableChange(current, changed=False)
        self._end_session()
        self.pipeline = before.successor(current)
        if np.array_equal(current.maf_v, before.table.maf_v):
            self.lock(before.locked)
        self._forget_view()
        if ended is not None:
            self._begin_session()
        self._changed()
        carried = before.table.flow_gs is not None and current.flow_gs is not None
        return TableChange(current, changed=True, carried_over=carried, ended=ended)

    def judge_by(self, filters: Filters) -> None:
        """Other limits from now on, and for the configuration's in what is shown; a drive goes on as a new
        session, which is kept with them."""
        driving = self._session is not None
        self._end_session()
        configured = self.settings.configured or self.settings.filters
        self.settings = replace(self.settings, filters=filters, configured=configured)
        self.pipeline.judge_by(filters)
        if driving:
            self._begin_session()
        self._changed()

    def take_earlier(self, kept: Pipeline, session: int | None) -> bool:
        """Takes what ``kept`` has learned in place of all drives but the one that goes on.

        ``kept`` was made while ``session`` was going on. Returns False, having done nothing, where a drive,
        epoch or table has begun since.
        """
        now = self.pipeline
        same = (kept.table.revision, kept.learned.epoch) == (now.table.revision, now.learned.epoch)
        if not same or session != self._session:
            return False
        now.replace_earlier(kept, drive_goes_on=session is not None)
        self._forget_view()
        self._changed()
        return True

    def lock(self, cells: frozenset[int]) -> None:
        """Cells (numbers from 0) that keep their flow, in place of those before."""
        self.pipeline.lock(cells)
        self._store.write_locks(cells)
        self._solved_s = -math.inf

    def want_pause(self, wanted: bool) -> None:
        """Whether the port is to be closed and nothing sent."""
        self._pause_wanted = wanted
        self._pause_changed.set()

    # ---- what everybody reads (web.board.Board)

    def snapshot(self) -> Snapshot:
        """The newest table: counts of this moment, cells at most :data:`SOLVE_INTERVAL_S` old."""
        revision = self.pipeline.revision
        if self._snapshot.revision != revision:
            now_s = self._now_s()
            if now_s - self._solved_s >= SOLVE_INTERVAL_S or self.pipeline.pending == 0:
                self._snapshot = self.ecu.warned(self.pipeline.snapshot(self._held_out))
                self._solved_s = now_s
            else:
                self._snapshot = replace(
                    self._snapshot,
                    revision=revision,
                    counts=self.pipeline.counts(),
                    hits=self.pipeline.hits(),
                )
        return self._snapshot

    def session(self) -> int | None:
        """Number of the session that samples go to now."""
        return self._session

    def live(self) -> LiveReading | None:
        """The newest sample, None before the first. Its verdict is only sought when somebody looks: that
        costs more than all else that is done with a sample."""
        if self._unread is not None:
            verdict = self.pipeline.last_verdict or Verdict.ACCEPTED
            self._live = reading_of(self._unread, self.pipeline.table, verdict)
            self._unread = None
        return self._live

    def status(self) -> Status:
        pulse = self._pulse
        quiet_s = pulse.nothing_accepted_s
        why = None
        if quiet_s is not None:  # else nobody need judge the newest sample for it
            why = why_not_counted(self.pipeline.last_verdict, self.live(), self.settings.filters)
            if self._session is None and self._live is not None:
                why = ENGINE_OFF
        unhealthy_because = pulse.unhealthy_because
        return Status(
            version=self.settings.version,
            uptime_s=pulse.uptime_s,
            link=pulse.link,
            second_link=None if self._second_pulse is None else self._second_pulse.link,
            session=self._session,
            sample_rate_hz=pulse.sample_rate_hz,
            last_sample_age_s=pulse.last_sample_age_s,
            counts=self.pipeline.verdict_counts(),
            nothing_accepted_s=quiet_s,
            nothing_accepted_because=why,
            storage=self._storage.status(),
            healthy=unhealthy_because is None,
            unhealthy_because=unhealthy_because,
            truth=None if self.truth_source is None else truth_of(self.truth_source, self.snapshot()),
        )

    def recent_verdicts(self) -> Sequence[VerdictMinute]:
        return self._minutes.recent()

    async def changed(self, generation: int) -> int:
        """Waits until anything changed after ``generation``; returns the new generation."""
        while self._generation <= generation:
            await self._news.wait()
        return self._generation

    async def command(self, command: Command) -> Mapping[str, Any]:
        """Carries out a command of the user; see :data:`daemon.live.hub_commands.COMMANDS`.

        Raises:
            CommandRefusedError: unknown, or its arguments are not allowed.
        """
        answer = await carry_out(self, command)
        self._changed()
        return answer

    def show_held_out(self, found: HeldOut | None) -> None:
        """The newest held-out check (:mod:`daemon.live.held_out_watch`), to be shown with the table."""
        self._held_out = found
        self._solved_s = -math.inf
        self.pipeline.touch()
        self._changed()

    # ---- inside

    def _changed(self) -> None:
        self._generation += 1
        self._news.set()
        self._news = asyncio.Event()

    def _begin_session(self) -> None:
        self._switch_to(self._store.write_session_start(self.session_start(self._driver)))

    def _switch_to(self, session: int) -> None:
        self.pipeline.begin(session)
        self._minutes.begin(session)
        self._session = session
        self._live = None
        self._unread = None

    def _end_session(self) -> None:
        session = self._session
        if session is None:
            return
        self._judged(self.pipeline.finish())
        self.save()
        self._store.write_minutes(session, self._minutes.take(finished=True))
        self._store.write_session_end(session, quiet_s=self._drive.quiet_s(self._now_s()))
        self._session = None
        self._changed()

    def _learn(self, samples: SampleBatch) -> None:
        assert self._session is not None
        if self.settings.keep_samples:
            self._store.write_samples(self._session, samples)
        self._judged(self.pipeline.feed(samples))
        self._unread = samples

    def _judged(self, judged: Judged) -> None:
        self._minutes.add(judged)
        if (judged.verdicts == int(Verdict.ACCEPTED)).any():
            self._pulse.accepted()

    def _forget_view(self) -> None:
        """What is shown was solved from what counts no more."""
        self._held_out = None
        self._solved_s = -math.inf

    def _save_epoch(self) -> None:
        self._saved_epoch = self.pipeline.learned.epoch
        self._store.write_epoch(self.pipeline.learned.epoch, self.pipeline.learned.epoch_start)

    def session_start(self, driver: str) -> SessionStart:
        """What a session of samples from ``driver`` would begin with now."""
        return SessionStart(
            driver=driver,
            maf_table_revision=self.pipeline.table.revision,
            epoch=self.pipeline.learned.epoch,
            estimator=self.settings.estimator,
            settings=self.settings.as_kept(),
        )

"""The hub owns the cells: it takes samples and commands, and is the board that everybody reads."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np

from daemon.hub_commands import carry_out
from daemon.liveness import Liveness, why_not_counted
from daemon.store_records import SessionStart
from lowmaf.cells import BlockKey, block_to_bytes
from lowmaf.filters import Filters
from lowmaf.judge import Judged
from lowmaf.maf_table import MafTable
from lowmaf.pipeline import Pipeline
from lowmaf.samples import Floats, SampleBatch
from lowmaf.settings import CurveSettings
from lowmaf.snapshot import HeldOut, Snapshot
from lowmaf.verdicts import Verdict
from web.board import Command, LiveReading, Status, Truth

SOLVE_INTERVAL_S = 1.0
"""The curve is solved at most this often, and only when somebody looks; counts are always fresh."""
HELD_OUT_INTERVAL_S = 30.0
TRUTH_DWELL_S = 10.0
"""Cells with at least this much closed loop count when the simulated car's error is compared."""


TruthSource = Callable[[], tuple[Floats, Floats]]
"""Of the simulated car: right correction per cell (k,), %, and seconds of closed loop per cell (k,)."""


class SampleStore(Protocol):
    """What the hub asks of the store; ``write_…`` return at once and are written with the next commit."""

    async def begin_session(self, start: SessionStart) -> int: ...
    async def end_session(self, session: int) -> None: ...
    def write_samples(self, session: int, batch: SampleBatch) -> None: ...
    def write_blocks(self, session: int, blocks: Mapping[int, bytes]) -> None: ...
    def write_counts(self, session: int, counts: Mapping[str, int]) -> None: ...
    def write_locks(self, cells: frozenset[int]) -> None: ...
    def write_epoch(self, epoch: int, start: BlockKey) -> None: ...
    def status(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class HubSettings:
    """What the hub is made of."""

    version: str
    table: MafTable
    estimator: str
    filters: Filters
    curve: CurveSettings
    keep_samples: bool = True


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
        self._settings = settings
        self._store = store
        self._now_s = now_s
        self._pulse = Liveness(now_s)
        self.pipeline = Pipeline(
            settings.table,
            estimator=settings.estimator,
            filters=settings.filters,
            settings=settings.curve,
            follow_changes=True,
        )
        self._session: int | None = None
        self._driver = ""
        self._counts_before: dict[str, int] = {}
        self._saved_epoch = self.pipeline.learned.epoch
        self._live: LiveReading | None = None
        self._snapshot = self.pipeline.snapshot()
        self._solved_s = -math.inf
        self._held_out: HeldOut | None = None
        self._generation = 0
        self._news = asyncio.Event()
        self._pause_wanted = False
        self.pause_changed = asyncio.Event()
        self.truth_source: TruthSource | None = None

    # ---- what the source does

    async def begin_session(self, driver: str) -> None:
        """Samples from now on belong to a new session, and their time starts anew."""
        self._driver = driver
        self._switch_to(await self._store.begin_session(self._session_start(self.pipeline.learned.epoch)))

    def take(self, batch: SampleBatch) -> None:
        """Samples as they arrive."""
        if len(batch) == 0 or self._session is None:
            return
        self._pulse.arrived(len(batch))
        judged = self.pipeline.feed(batch)
        if self._settings.keep_samples:
            self._store.write_samples(self._session, batch)
        self._note(judged)
        self._live = self._reading(batch)
        self._changed()

    async def end_session(self) -> None:
        """The source has ended: what waits is judged with what is known."""
        session = self._session
        if session is None:
            return
        self._note(self.pipeline.finish())
        self.save()
        self._session = None
        self._changed()
        await self._store.end_session(session)

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
        before = self._counts_before
        counts = {label: n - before[label] for label, n in self.pipeline.verdict_counts().items()}
        self._store.write_counts(self._session, counts)

    def set_link(self, state: str, words: str, driver: str, *, reconnected: bool = False) -> None:
        """The connection's state in words; counts reconnections."""
        self._pulse.set_link(state, words, driver, reconnected=reconnected)
        self._changed()

    @property
    def pause_wanted(self) -> bool:
        """True while the user wants the port closed and nothing sent."""
        return self._pause_wanted

    # ---- what commands do (daemon.hub_commands)

    @property
    def cells(self) -> int:
        return self.pipeline.table.cells

    @property
    def locked(self) -> frozenset[int]:
        return self.pipeline.locked

    async def reset(self) -> int:
        """Forgets what was learned; returns the number of the new epoch."""
        before = self._session
        if before is None:
            self.pipeline.forget()
        else:
            # Samples that come during the wait still belong to the old session; none is lost.
            session = await self._store.begin_session(self._session_start(self.pipeline.learned.epoch + 1))
            self.pipeline.finish()
            self.save()
            self.pipeline.forget()
            self._switch_to(session)
            await self._store.end_session(before)
        self._save_epoch()
        self._held_out = None
        self._solved_s = -math.inf
        return self.pipeline.learned.epoch

    def lock(self, cells: frozenset[int]) -> None:
        """Cells (numbers from 0) that keep their flow, in place of those before."""
        self.pipeline.lock(cells)
        self._store.write_locks(cells)
        self._solved_s = -math.inf

    def want_pause(self, wanted: bool) -> None:
        """Whether the port is to be closed and nothing sent."""
        self._pause_wanted = wanted
        self.pause_changed.set()

    # ---- what everybody reads (web.board.Board)

    def snapshot(self) -> Snapshot:
        """The newest table: counts of this moment, cells at most :data:`SOLVE_INTERVAL_S` old."""
        revision = self.pipeline.revision
        if self._snapshot.revision != revision:
            now_s = self._now_s()
            if now_s - self._solved_s >= SOLVE_INTERVAL_S or self.pipeline.pending == 0:
                self._snapshot = self.pipeline.snapshot(self._held_out)
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
        """The newest sample, None before the first."""
        return self._live

    def status(self) -> Status:
        pulse = self._pulse
        quiet_s = pulse.nothing_accepted_s
        why = why_not_counted(self.pipeline.last_verdict, self._live, self._settings.filters)
        unhealthy_because = pulse.unhealthy_because
        return Status(
            version=self._settings.version,
            uptime_s=pulse.uptime_s,
            link=pulse.link,
            session=self._session,
            sample_rate_hz=pulse.sample_rate_hz,
            last_sample_age_s=pulse.last_sample_age_s,
            counts=self.pipeline.verdict_counts(),
            nothing_accepted_s=quiet_s,
            nothing_accepted_because=None if quiet_s is None else why,
            storage=self._store.status(),
            healthy=unhealthy_because is None,
            unhealthy_because=unhealthy_because,
            truth=self._truth(),
        )

    async def changed(self, generation: int) -> int:
        """Waits until anything changed after ``generation``; returns the new generation."""
        while self._generation <= generation:
            await self._news.wait()
        return self._generation

    async def command(self, command: Command) -> Mapping[str, Any]:
        """Carries out a command of the user; see :data:`daemon.hub_commands.COMMANDS`.

        Raises:
            CommandRefusedError: unknown, or its arguments are not allowed.
        """
        answer = await carry_out(self, command)
        self._changed()
        return answer

    # ---- held-out check, away from the live path

    async def check_held_out(self) -> None:
        """Makes the held-out check now and then; several solves, so in a thread of its own."""
        checked = -1
        while True:
            await asyncio.sleep(HELD_OUT_INTERVAL_S)
            accepted = self.pipeline.counts().accepted
            if accepted == checked:
                continue
            checked = accepted
            sums, epoch = self.pipeline.learned.sums.copy(), self.pipeline.learned.epoch
            found = await asyncio.to_thread(self.pipeline.held_out, sums)
            if epoch != self.pipeline.learned.epoch:
                continue
            self._held_out = found
            self._solved_s = -math.inf
            self.pipeline.touch()
            self._changed()

    # ---- inside

    def _changed(self) -> None:
        self._generation += 1
        self._news.set()
        self._news = asyncio.Event()

    def _note(self, judged: Judged) -> None:
        if (judged.verdicts == int(Verdict.ACCEPTED)).any():
            self._pulse.accepted()

    def _reading(self, batch: SampleBatch) -> LiveReading:
        values = {name: float(column[-1]) for name, column in batch.channels.items()}
        maf_v = values.get("maf_v", math.nan)
        axis = self.pipeline.table.maf_v
        cell = int(np.abs(axis - maf_v).argmin()) if math.isfinite(maf_v) else None
        verdict = self.pipeline.last_verdict or Verdict.ACCEPTED
        return LiveReading(float(batch.t_s[-1]), values, cell, verdict.label, provisional=True)

    def _truth(self) -> Truth | None:
        if self.truth_source is None:
            return None
        right_pct, closed_loop_s = self.truth_source()
        scored = closed_loop_s >= TRUTH_DWELL_S
        if not scored.any():
            return Truth(right_pct.tolist(), None, 0)
        error = np.nan_to_num(self.snapshot().correction_pct) - right_pct
        rmse = float(np.sqrt(np.mean(error[scored] ** 2)))
        return Truth(right_pct.tolist(), rmse, int(np.count_nonzero(scored)))

    def _save_epoch(self) -> None:
        self._saved_epoch = self.pipeline.learned.epoch
        self._store.write_epoch(self.pipeline.learned.epoch, self.pipeline.learned.epoch_start)

    def _session_start(self, epoch: int) -> SessionStart:
        settings = self._settings
        return SessionStart(
            driver=self._driver,
            maf_table_revision=settings.table.revision,
            epoch=epoch,
            estimator=settings.estimator,
            settings={"filters": asdict(settings.filters), "curve": asdict(settings.curve)},
        )

    def _switch_to(self, session: int) -> None:
        self.pipeline.begin(session)
        self._session = session
        self._counts_before = self.pipeline.verdict_counts()
        self._live = None

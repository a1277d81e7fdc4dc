"""Analyses of uploaded logs: asked for over HTTP, carried out one after another in processes of their own.

What was asked for is in the database before it is acknowledged, and so is how a run ended before anybody
is told. A run that is cut off by a restart begins anew, so nothing in between has to be kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from daemon.analysis.documents import LOST, listed, output_of, pushed, with_output
from daemon.analysis.orders import Defaults, runs_of
from daemon.analysis.records import KeptRun, limits_text, table_values
from daemon.analysis.settings import AnalysisSettings
from daemon.analysis.store import AnalysisStore
from daemon.analysis.uploads import Uploads
from daemon.analysis.worker_process import WorkerFailedError, WorkerProcess, WorkerUnavailableError
from daemon.store.records import StoreError
from daemon.webhooks.hosts import HostForbiddenError
from daemon.webhooks.pusher import WebhookPusher
from web.analysis_desk import AnalysisOrder, AnalysisStatus
from web.service_errors import (
    AnalysisEndedError,
    AnalysisUnknownError,
    OrderRefusedError,
    QueueFullError,
    ServiceUnavailableError,
    WebhookForbiddenError,
)

RETRY_S = 2.0
"""Wait before what the machine refused, a write or a process, is tried again."""
_SMOOTHING = 0.1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a run ended. ``payload`` is what the worker gave."""

    status: AnalysisStatus
    error: str | None = None
    payload: bytes | None = None


@dataclass(slots=True)
class _Going:
    """A run that is being processed; ``payload`` is its newest interim output."""

    work: asyncio.Task[_Outcome]
    over: asyncio.Event
    kept: KeptRun | None = None
    progress: float = 0.0
    payload: bytes | None = None


class Analyses:
    """Implements :class:`web.analysis_desk.AnalysisDesk`; works while :meth:`run` goes on."""

    def __init__(
        self,
        kept: AnalysisStore,
        uploads: Uploads,
        settings: AnalysisSettings,
        defaults: Callable[[], Defaults],
    ) -> None:
        self._kept = kept
        self._uploads = uploads
        self._settings = settings
        self._defaults = defaults
        self._pusher = WebhookPusher(
            kept,
            settings.hosts,
            timeout_s=settings.push_timeout_s,
            max_attempts=settings.push_attempts,
            settled=self._tell,
        )
        self._acknowledging = 0
        self._waiting: dict[str, None] = {}
        self._going: dict[str, _Going] = {}
        self._added = asyncio.Event()
        self._news: weakref.WeakValueDictionary[str, asyncio.Event] = weakref.WeakValueDictionary()
        self._ended = 0
        self._mean_run_s = 1.0
        self._started = asyncio.Event()
        self._failed: str | None = None

    async def run(self) -> None:
        """Works until cancelled. Whatever fails here is said in the log and by 503; driving goes on."""
        try:
            await self._uploads.restore()
            self._waiting = dict.fromkeys(await self._kept.waiting())
            self._ended = await self._kept.ended()
            self._started.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pusher.run())
                for _ in range(self._settings.workers):
                    tasks.create_task(self._work())
        except Exception:
            logger.exception("analyses are not carried out any more")
            self._failed = (
                "it has failed; the daemon's log says how, and a restart goes on with what was asked"
            )
        finally:
            await self._uploads.close()
            self._failed = self._failed or "it is being stopped"
            self._started.set()
            for news in list(self._news.values()):
                news.set()

    # ---- AnalysisDesk

    @property
    def closed(self) -> bool:
        """Whether nothing will change any more because the service ends."""
        return self._failed is not None

    async def ask(self, order: AnalysisOrder) -> list[str]:
        await self._refuse_failed()
        for log_id in order.logs:
            self._uploads.known(log_id)
        if len(set(order.logs)) < len(order.logs):
            raise OrderRefusedError("a log is given twice: its samples would count double")
        table = self._kept.current_table()
        runs = runs_of(
            order,
            self._defaults(),
            maf_table_revision=None if table is None else table.revision,
            asked_wall_s=time.time(),
        )
        self._refuse_webhook(order.webhook_url)
        self._refuse_full(len(runs))
        self._acknowledging += len(runs)
        try:
            await self._kept.keep_runs(runs)
        except StoreError as error:
            raise ServiceUnavailableError(f"nothing can be kept now: {error}", retry_after_s=30.0) from None
        finally:
            self._acknowledging -= len(runs)
        ids = [run.id for run in runs]
        self._waiting.update(dict.fromkeys(ids))
        self._added.set()
        return ids

    async def analyses(
        self, *, webhook_url: str | None, status: AnalysisStatus | None, limit: int
    ) -> list[Mapping[str, Any]]:
        if status is AnalysisStatus.PROCESSING:
            found = [going.kept for going in reversed(self._going.values()) if going.kept is not None]
            found = [kept for kept in found if webhook_url in (None, kept.run.webhook_url)]
        else:
            statuses = [] if status is None else [status]
            more = limit + len(self._going)
            found = await self._kept.newest(webhook_url=webhook_url, statuses=statuses, limit=more)
        documents: list[Mapping[str, Any]] = [self._listed(kept) for kept in found]
        return [one for one in documents if status is None or one["status"] == str(status)][:limit]

    async def analysis(self, analysis_id: str) -> Mapping[str, Any]:
        going = self._going.get(analysis_id)
        if going is not None and going.kept is not None:
            return with_output(self._listed(going.kept), output_of(going.payload))
        kept = await self._known(analysis_id)
        payload = await self._kept.result(kept.number)
        document = with_output(self._listed(kept), output_of(payload))
        has_table = kept.status in (AnalysisStatus.COMPLETED, AnalysisStatus.COMPLETED_AND_SENT)
        return {**document, "error": LOST} if has_table and payload is None else document

    async def cancel(self, analysis_id: str) -> Mapping[str, Any]:
        await self._refuse_failed()
        kept = await self._known(analysis_id)
        while (going := self._going.get(analysis_id)) is not None:
            going.work.cancel()
            await going.over.wait()  # after which it may wait again, where the machine refused it something
        if analysis_id in self._waiting:
            del self._waiting[analysis_id]
            await self._end(kept, _Outcome(AnalysisStatus.CANCELLED))
        kept = await self._known(analysis_id)
        if kept.status is not AnalysisStatus.CANCELLED:
            raise AnalysisEndedError(f"analysis {analysis_id} has ended: it is {kept.status}")
        return await self.analysis(analysis_id)

    def news(self, analysis_id: str) -> asyncio.Event:
        return self._news.setdefault(analysis_id, asyncio.Event())

    # ---- asking

    async def _refuse_failed(self) -> None:
        await self._started.wait()
        if self._failed is not None:
            raise ServiceUnavailableError(f"the analysis service is not there: {self._failed}")

    def _refuse_webhook(self, url: str | None) -> None:
        if url is None:
            return
        try:
            self._settings.hosts.receiver(url)
        except HostForbiddenError as error:
            raise WebhookForbiddenError(str(error)) from None
        if self._pusher.undelivered >= self._settings.max_waiting:
            raise QueueFullError(
                f"the output of {self._pusher.undelivered} runs waits for webhooks that do not answer",
                retry_after_s=60.0,
            )

    def _refuse_full(self, runs: int) -> None:
        queued = self._acknowledging + len(self._waiting) + len(self._going)
        too_many = queued + runs - self._settings.max_waiting
        if too_many > 0:
            raise QueueFullError(
                f"{queued} runs wait, and at most {self._settings.max_waiting} may; ask again later",
                retry_after_s=too_many * self._mean_run_s / self._settings.workers,
                waiting=queued,
                limit=self._settings.max_waiting,
            )

    async def _known(self, analysis_id: str) -> KeptRun:
        try:
            kept = await self._kept.run(analysis_id)
        except StoreError as error:
            raise ServiceUnavailableError(str(error)) from None
        if kept is None:
            raise AnalysisUnknownError(
                f"there is no analysis {analysis_id!r:.60}; GET /api/v1/analyses lists the newest"
            )
        return kept

    def _listed(self, kept: KeptRun) -> dict[str, Any]:
        going = self._going.get(kept.run.id)
        if going is not None:
            return listed(kept, AnalysisStatus.PROCESSING, going.progress, self._log_name)
        return listed(kept, kept.status, 1.0 if kept.status.ended else 0.0, self._log_name)

    # ---- working

    async def _work(self) -> None:
        """Carries out runs in a process of its own, one after another."""
        worker = WorkerProcess(self._settings.memory_bytes, self._settings.log_limits)
        try:
            while True:
                while not self._waiting:
                    self._added.clear()
                    await self._added.wait()
                await self._carry_out(next(iter(self._waiting)), worker)
        finally:
            await worker.close()

    async def _carry_out(self, run_id: str, worker: WorkerProcess) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        del self._waiting[run_id]
        going = _Going(loop.create_task(self._analysed(run_id, worker)), asyncio.Event())
        self._going[run_id] = going
        try:
            await asyncio.wait((going.work,))
            outcome = _Outcome(AnalysisStatus.CANCELLED) if going.work.cancelled() else going.work.result()
            if going.kept is None:
                going.kept = await self._kept.run(run_id)
            if going.kept is not None:
                await self._end(going.kept, outcome)
                self._mean_run_s += _SMOOTHING * (loop.time() - began_s - self._mean_run_s)
        except (WorkerUnavailableError, StoreError) as error:
            logger.warning("analysis %s is tried again: %s", run_id, error)
            await asyncio.sleep(RETRY_S)
            self._waiting = {run_id: None, **self._waiting}
        finally:
            going.work.cancel()
            await asyncio.gather(going.work, return_exceptions=True)
            del self._going[run_id]
            going.over.set()
            self._tell(run_id)

    async def _analysed(self, run_id: str, worker: WorkerProcess) -> _Outcome:
        going = self._going[run_id]
        going.kept = kept = await self._kept.run(run_id)
        if kept is None:
            return _Outcome(AnalysisStatus.FAILED, "what was asked for was lost from the disk")
        self._pusher.begin(kept)
        self._tell(run_id)
        job = await self._job(kept)
        if job is None:
            return _Outcome(AnalysisStatus.FAILED, "the MAF table that it was asked for with was lost")
        try:
            async with contextlib.aclosing(worker.work(job, self._settings.limit_s)) as frames:
                async for frame in frames:
                    if frame.kind == "failed":
                        return _Outcome(AnalysisStatus.FAILED, json.loads(frame.payload)["error"])
                    if frame.kind == "result":
                        return _Outcome(AnalysisStatus.COMPLETED, payload=frame.payload)
                    self._interim(run_id, going, frame.progress, frame.payload)
        except WorkerFailedError as error:
            return _Outcome(AnalysisStatus.FAILED, str(error))
        raise AssertionError("a worker's last frame is a result or says why there is none")

    def _interim(self, run_id: str, going: _Going, progress: float, payload: bytes) -> None:
        going.progress, going.payload = progress, payload
        output = pushed(run_id, AnalysisStatus.PROCESSING, progress, None, output_of(payload))
        self._pusher.interim(run_id, output)
        self._tell(run_id)

    async def _job(self, kept: KeptRun) -> dict[str, Any] | None:
        table = await self._kept.table(kept.run.maf_table_revision)
        if table is None:
            return None
        return {
            "work": "analyse",
            "logs": [
                {"name": self._log_name(log_id) or log_id, "path": str(self._uploads.path(log_id))}
                for log_id in kept.run.logs
            ],
            "estimator": kept.run.estimator,
            "filters": json.loads(limits_text(kept.run.filters)),
            "settings": asdict(self._defaults().curve),
            "table": table_values(table),
        }

    async def _end(self, kept: KeptRun, outcome: _Outcome) -> None:
        """Keeps how a run ended, and returns when that is durable; then it is told."""
        run_id, status, error = kept.run.id, outcome.status, outcome.error
        self._kept.write_end(kept.number, status, error, outcome.payload)
        self._pusher.begin(kept)
        self._pusher.write_final(run_id, pushed(run_id, status, 1.0, error, output_of(outcome.payload)))
        self._ended += 1
        if self._ended > self._settings.max_kept:
            self._kept.drop_oldest(self._ended - self._settings.max_kept)
            self._ended = self._settings.max_kept
        while True:
            try:
                await self._kept.flush()
                break
            except StoreError as not_yet:
                logger.warning("how analysis %s ended is not on the disk yet: %s", run_id, not_yet)
                await asyncio.sleep(RETRY_S)
        self._pusher.send_final(run_id)
        self._tell(run_id)

    def _log_name(self, log_id: str) -> str | None:
        return self._uploads.name(log_id)

    def _tell(self, run_id: str) -> None:
        news = self._news.pop(run_id, None)
        if news is not None:
            news.set()

"""The running daemon: source, hub, store and dashboard, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.analysis.log_sessions import LogSessions
from daemon.analysis.orders import Defaults
from daemon.analysis.service import AnalysisService
from daemon.analysis.settings import AnalysisSettings
from daemon.drives.drive_review import HubReview
from daemon.drives.earlier_drives import carry_on, relearn, resumable, resume
from daemon.drives.kept_sessions import KeptSessions
from daemon.errors import WorkError
from daemon.ingest.ingest import Ingestion
from daemon.ingest.session_writer import INGEST, UPLOAD, SessionWriter
from daemon.live.clock_watch import ClockWatch
from daemon.live.ecu_watch import EcuWatch
from daemon.live.held_out_watch import watch_held_out
from daemon.live.hub import Hub
from daemon.live.hub_settings import HubSettings
from daemon.live.kept_filters import KeptFilters, filters_in_use
from daemon.live.replayed_log import ReplayedLog
from daemon.live.second_source import SecondSource
from daemon.live.supervisor import Supervisor
from daemon.service_notify import ServiceManager, feed_watchdog, tell_status
from daemon.serving.access_plan import AccessPlan
from daemon.serving.app_on_demand import AppOnDemand
from daemon.serving.diagnosis import Diagnosis, RecentMessages
from daemon.serving.kept_devices import KeptDevices
from daemon.serving.kept_results import KeptResults
from daemon.serving.limits import WebLimits
from daemon.serving.pairing_notice import invite_first_device
from daemon.serving.server import PortUnavailableError, listen, serve_on
from daemon.serving.workers import Workers
from daemon.store.retention import KEEP_ALL, Retention
from daemon.store.store import Store
from drivers.base import Driver
from drivers.second_lambda import LambdaTimeline
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable
from lowmaf.settings import CurveSettings
from web.front import Front
from web.pairing import Pairing

if TYPE_CHECKING:
    import ssl

    from starlette.types import ASGIApp

    from drivers.wideband import Wideband

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that was decided before anything was opened.

    ``second_source`` is a wideband controller and where its readings go, None without one. ``replayed`` is
    the log that the driver gives, which counts once; None where it gives no log.
    ``seconds`` None runs until told to stop. ``companion`` is one more task beside the daemon's own,
    for a command that has something to show while it runs. ``configuration`` is told in the diagnosis,
    section by section. ``tell_owner`` says what only the owner should read. ``reload`` is called on SIGHUP,
    which is left to the system where it is None.
    """

    table: MafTable
    make_driver: Callable[[], Driver]
    estimator: str
    filters: Filters
    curve: CurveSettings
    database: Path
    keep_samples: bool
    commit_interval_s: float
    min_free_bytes: float
    host: str
    port: int
    host_names: tuple[str, ...]
    tls: ssl.SSLContext | None = None
    openej_origins: tuple[str, ...] = ()
    second_source: tuple[Wideband, LambdaTimeline] | None = None
    replayed: Path | None = None
    retention: Retention = KEEP_ALL
    analyses: AnalysisSettings = field(default_factory=AnalysisSettings)
    access: AccessPlan = field(default_factory=AccessPlan)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    limits: WebLimits = field(default_factory=WebLimits)
    workers: int = 0
    max_results: int = 1000
    seconds: float | None = None
    listening: Callable[[str], None] = lambda _: None
    tell_owner: Callable[[str], None] = logger.info
    companion: Callable[[Hub], Coroutine[None, None, None]] | None = None
    reload: Callable[[], None] | None = None


def run(plan: Plan) -> None:
    """Runs the daemon in an event loop of its own until it is told to stop (SIGTERM, SIGINT, time).

    Raises:
        WorkError: port in use, database not usable.
    """
    asyncio.run(_run(plan))


async def _run(plan: Plan) -> None:
    service = ServiceManager(os.environ)
    try:
        listener = listen(plan.host, plan.port)
    except PortUnavailableError as error:
        raise WorkError(str(error)) from None
    with contextlib.closing(listener):
        async with await Store.open(
            plan.database,
            commit_interval_s=plan.commit_interval_s,
            min_free_bytes=plan.min_free_bytes,
            retention=plan.retention,
            reading_will_do=True,
        ) as store:
            hub, make_driver = await _hub_on(plan, store)
            web = await _Web.open(plan, hub, store)

            def listening(url: str) -> None:
                _now_ready(plan, service, store, url)
                invite_first_device(web.devices, web.pairing, plan.host, url, plan.tell_owner)

            supervisor = Supervisor(make_driver, hub)
            tasks: list[Coroutine[None, None, None]] = [
                supervisor.run(),
                hub.end_lost_drives(),
                watch_held_out(hub),
                ClockWatch(store.write_boot_clock).run(),
                store.watch(),
                web.analysis.analyses.run(),
                serve_on(
                    AppOnDemand(web.application),
                    web.front.events,
                    web.front.hot_paths,
                    listener,
                    limits=plan.limits,
                    tls=plan.tls,
                    listening=listening,
                    workers=_workers(plan, web.front),
                ),
                feed_watchdog(service, lambda: hub.status().unhealthy_because or store.stuck_because),
                tell_status(service, hub.status),
            ]
            if plan.second_source is not None:
                tasks.append(SecondSource(*plan.second_source, hub).run())
            if plan.companion is not None:
                tasks.append(plan.companion(hub))
            try:
                with _reloading(plan, service), web.messages.listening():
                    await _until_told(tasks, plan.seconds, service.stopping)
            finally:
                hub.source_ended()


async def _hub_on(plan: Plan, store: Store) -> tuple[Hub, Callable[[], Driver]]:
    """The hub with what the database has taught it, and what makes the driver that feeds it."""
    table = await store.put_configured_table(plan.table)
    for notice in store.notices:
        logger.warning("%s", notice.message)
    logger.info("database %s, MAF table %s (revision %d)", plan.database, table.name, table.revision)
    log = await ReplayedLog.of(plan.replayed)
    make_driver = plan.make_driver if log is None else await log.once(store, plan.make_driver)
    filters = await filters_in_use(store, plan.filters)
    settings = HubSettings(
        version("lowmaf"),
        table,
        plan.estimator,
        filters,
        plan.curve,
        plan.keep_samples,
        log,
        plan.filters,
    )
    hub = Hub(settings, store)
    hub.ecu = EcuWatch(await store.ecu(), store.write_ecu)
    await _learn_on(hub, store)
    store.before_commit = hub.save
    return hub, make_driver


@dataclass(frozen=True, slots=True, kw_only=True)
class _Web:
    """What the web application is made of; all of it is there before the application is."""

    plan: Plan
    hub: Hub
    store: Store
    analysis: AnalysisService
    review: HubReview
    devices: KeptDevices
    pairing: Pairing
    messages: RecentMessages
    writer: SessionWriter
    sessions: KeptSessions
    results: KeptResults
    front: Front

    @classmethod
    async def open(cls, plan: Plan, hub: Hub, store: Store) -> _Web:
        """Reads what the database has of devices and of sessions that others push."""
        analysis = AnalysisService(
            store,
            plan.analyses,
            lambda: Defaults(plan.estimator, hub.settings.filters, plan.curve),
            plan.min_free_bytes,
        )
        devices = await KeptDevices.load(store, max_devices=plan.access.max_devices)
        writer = SessionWriter(store, min_free_bytes=plan.min_free_bytes)
        await writer.restore()
        results = KeptResults(store, max_results=plan.max_results)
        return cls(
            plan=plan,
            hub=hub,
            store=store,
            analysis=analysis,
            review=HubReview(hub, store),
            devices=devices,
            pairing=Pairing(plan.access.code_valid_s, time.monotonic),
            messages=RecentMessages(),
            writer=writer,
            sessions=KeptSessions(
                store,
                lambda session: session.id == hub.session(),
                lambda: relearn(hub, store),
                plan.estimator,
            ),
            results=results,
            front=Front(
                hub,
                host_names=plan.host_names,
                results=results,
                access=plan.access.settings,
                devices=devices,
            ),
        )

    def application(self) -> ASGIApp:
        """The application with every route; see :class:`AppOnDemand`."""
        from web.app import create_app  # noqa: PLC0415 - FastAPI is loaded when it is needed

        plan, hub = self.plan, self.hub
        return create_app(
            hub,
            version=version("lowmaf"),
            front=self.front,
            openej_origins=plan.openej_origins,
            sessions=self.sessions,
            review=self.review,
            filters=KeptFilters(hub, self.store, plan.filters),
            logs=self.analysis.uploads,
            log_sessions=LogSessions(
                self.analysis.uploads,
                self.store,
                self.writer,
                self.sessions,
                lambda: hub.session_start(UPLOAD),
                limit_s=plan.analyses.limit_s,
            ),
            analyses=self.analysis.analyses,
            results=self.results,
            ingest=Ingestion(
                self.writer,
                lambda: hub.session_start(INGEST),
                bodies=plan.analyses.bodies,
                log_limits=plan.analyses.log_limits,
            ),
            pairing=(self.devices, self.pairing),
            diagnose=Diagnosis(hub, self.review, self.devices, self.messages, plan.configuration),
        )


def _workers(plan: Plan, front: Front) -> Workers | None:
    """The processes that answer a crowd, where there are to be any."""
    if not plan.workers:
        return None
    return Workers(plan.workers, front, limits=plan.limits, host_names=plan.host_names)


def _now_ready(plan: Plan, service: ServiceManager, store: Store, url: str) -> None:
    store.announce(url)
    plan.listening(url)
    gc.freeze()  # to look through all that the start has made takes 60 ms, in which samples and answers wait
    service.ready()


@contextlib.contextmanager
def _reloading(plan: Plan, service: ServiceManager) -> Iterator[None]:
    """Lets SIGHUP reload what the plan can reload."""
    reload = plan.reload
    if reload is None:
        yield
        return

    def reload_now() -> None:
        service.reloading()
        reload()
        service.ready()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload_now)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


async def _learn_on(hub: Hub, store: Store) -> None:
    """Gives the hub what earlier drives have taught; goes on with the last one if it is not over."""
    drive = await resumable(hub, store)
    await carry_on(hub.pipeline, store, () if drive is None else (drive.id,))
    hub.pipeline.lock(await store.locks(hub.pipeline.table.revision))
    if drive is not None:
        await resume(hub, store, drive)


async def _until_told(
    tasks: Sequence[Coroutine[None, None, None]], seconds: float | None, stopping_now: Callable[[], None]
) -> None:
    """Runs the tasks until a signal, the time, or until one of them fails; says so before it ends them.

    The source may end by itself (a recorded log): the dashboard then stays.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    running = [asyncio.create_task(task) for task in tasks]
    stopping = asyncio.create_task(stop.wait())
    try:
        async with asyncio.timeout(seconds):
            waiting = {*running, stopping}
            while stopping in waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
    except TimeoutError:
        pass
    finally:
        stopping_now()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        for task in (*running, stopping):
            task.cancel()
        ended = await asyncio.gather(*running, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception):
                logger.debug("while stopping: %s", outcome)

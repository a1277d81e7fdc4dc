"""From a checked configuration to what the daemon runs: the MAF table is read, the driver is named."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from daemon.analysis.settings import AnalysisSettings
from daemon.config.sections import Config, WebSettings
from daemon.config.table_file import read_table
from daemon.errors import UsageError
from daemon.runtime import Plan
from daemon.serving.access_plan import AccessPlan
from daemon.serving.diagnosis import configuration_document
from daemon.serving.limits import WebLimits
from daemon.serving.long_bodies import LongBodyLimits
from daemon.store.retention import Retention
from daemon.webhooks.hosts import AllowedHosts
from drivers.base import Driver, DriverOptionError
from drivers.clock import Clock, WallClock
from drivers.links import LiveLinks
from drivers.logs.limits import LogLimits
from drivers.recorder import RecordingSettings
from drivers.recording import BESIDE
from drivers.registry import (
    KEEPS_PLACE,
    NEEDS_MAF_TABLE,
    OWN_TIME,
    RECORDED,
    RECORDED_WITH,
    create,
    create_second,
)
from drivers.second_lambda import LambdaTimeline, with_second_lambda
from lowmaf.maf_table import default_axis
from web.cross_origin import OpenEjOrigins

if TYPE_CHECKING:
    import ssl

    from drivers.simulator.source import Simulator
    from drivers.wideband import Wideband

logger = logging.getLogger(__name__)


def plan_from(config: Config) -> Plan:
    """What to run; no device is opened.

    Raises:
        UsageError: the MAF table cannot be read, or the driver refuses its options.
    """
    clock = WallClock()
    driver, make_driver = _driver(config, clock)
    try:
        OpenEjOrigins(config.web.openej_origins)
    except ValueError as error:
        raise UsageError(f"{config.path}: [web] openej_origins: {error}") from None
    analyses = _analyses(config)
    simulated = cast("Simulator", driver) if config.source.driver == "simulator" else None
    if simulated is not None:
        logger.warning("the source is a SIMULATED car: what is learned says nothing of yours")
    if config.vehicle.maf_table is not None:
        table = read_table(config.vehicle.maf_table, f"{config.path}: [vehicle] maf_table")
    else:
        table = default_axis() if simulated is None else simulated.maf_table
    lacks_voltage = config.source.driver in NEEDS_MAF_TABLE or getattr(driver, "lacks_voltage", False)
    if lacks_voltage and table.flow_gs is None:
        raise UsageError(
            f"{config.path}: driver {config.source.driver} reads the flow but no MAF voltage: "
            f"[vehicle] maf_table is needed, the table in the ECU with its flow"
        )
    second = second_source_of(config, clock)
    return Plan(
        table=table,
        make_driver=make_driver if second is None else with_second_lambda(make_driver, second[1], clock),
        second_source=second,
        replayed=getattr(driver, "log", None),
        estimator=config.estimator.name,
        filters=config.filters,
        curve=config.estimator.curve,
        database=config.storage.database,
        keep_samples=config.storage.keep_samples,
        commit_interval_s=config.storage.commit_interval_s,
        min_free_bytes=config.storage.min_free_mb * 1e6,
        retention=Retention(config.storage.max_database_mb * 1e6, config.storage.max_samples_days),
        tls=_tls(config),
        host=config.web.host,
        port=config.web.port,
        host_names=config.web.host_names,
        openej_origins=config.web.openej_origins,
        limits=_limits(config),
        workers=_workers(config.web),
        max_results=config.storage.max_results,
        analyses=analyses,
        access=AccessPlan.of(config.web, config.limits),
        configuration=configuration_document(config),
        listening=lambda url: logger.info("dashboard at %s", url),
    )


def _driver(config: Config, clock: Clock) -> tuple[Driver, Callable[[], Driver]]:
    """The source's driver, and what makes that of every connection.

    Raises:
        UsageError: it refuses its options, or cannot be recorded.
    """
    links = links_of(config)

    def make_driver() -> Driver:
        return create(config.source.driver, config.source.options, clock, links)

    try:
        driver = make_driver()
    except DriverOptionError as error:
        raise UsageError(f"{config.path}: [source]: {error}") from None
    return driver, (lambda: driver) if config.source.driver in KEEPS_PLACE else make_driver


def _workers(web: WebSettings) -> int:
    """How many worker processes answer a crowd."""
    if web.workers and web.read_requires_pairing:
        logger.warning("[web] workers: none are started, because only paired devices may look at anything")
        return 0
    if web.workers and web.tls_certificate is not None:
        logger.warning("[web] workers: none are started, because only the daemon itself speaks https")
        return 0
    return web.workers


def _limits(config: Config) -> WebLimits:
    web = config.web
    return WebLimits(
        connections=web.max_connections,
        connections_per_client=web.max_connections_per_client,
        idle_s=web.idle_s,
        head_s=web.head_s,
        stalled_s=web.stalled_s,
        head_bytes=int(config.limits.head_kb * 1e3),
    )


def _tls(config: Config) -> ssl.SSLContext | None:
    """What the page is served with over https; None where it is plain http.

    Raises:
        UsageError: certificate or key cannot be used.
    """
    certificate, key = config.web.tls_certificate, config.web.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing, given = ("tls_key", "tls_certificate") if key is None else ("tls_certificate", "tls_key")
        raise UsageError(f"{config.path}: [web] {given} is given without {missing}: https needs both")
    from daemon.serving.tls import TlsError, tls_context, validity_trouble  # noqa: PLC0415 - seldom needed

    try:
        context = tls_context(certificate, key)
        trouble = validity_trouble(certificate, time.time())
    except (TlsError, ValueError) as error:
        raise UsageError(f"{config.path}: [web] {error}") from None
    if trouble is not None:
        logger.warning("%s: browsers will warn or refuse", trouble)
    return context


def _analyses(config: Config) -> AnalysisSettings:
    """Limits of the analysis service.

    Raises:
        UsageError: a host or network for webhooks that is none.
    """
    storage, web, limits, webhooks = config.storage, config.web, config.limits, config.webhooks
    try:
        hosts = AllowedHosts(webhooks.hosts, webhooks.networks)
    except ValueError as error:
        raise UsageError(f"{config.path}: [webhooks] {error}") from None
    return AnalysisSettings(
        max_upload_bytes=int(storage.max_upload_mb * 1e6),
        max_uploads=storage.max_uploads,
        workers=web.analysis_workers,
        memory_bytes=int(web.analysis_memory_mb * 1e6),
        limit_s=web.analysis_limit_s,
        max_waiting=web.max_waiting_runs,
        max_kept=storage.max_analyses,
        hosts=hosts,
        push_timeout_s=webhooks.timeout_s,
        push_attempts=webhooks.max_attempts,
        log_limits=LogLimits(
            line_bytes=int(limits.log_line_kb * 1e3),
            field_bytes=int(limits.log_field_kb * 1e3),
            columns=limits.log_columns,
            rows=limits.log_rows,
            unpacked_bytes=int(limits.log_unpacked_mb * 1e6),
        ),
        bodies=LongBodyLimits(quiet_s=limits.quiet_s, lasts_s=limits.long_body_s),
    )


def links_of(config: Config) -> LiveLinks | None:
    """Links that are recorded, where that is configured; None where it is not.

    Raises:
        UsageError: the driver has no link that can be recorded.
    """
    source = config.source
    if source.record is None:
        return None
    if source.driver not in RECORDED:
        raise UsageError(
            f"{config.path}: [source] record: driver {source.driver} has no link that can be recorded; "
            f"those of {', '.join(sorted(RECORDED))} have"
        )
    needed = source.options.get(RECORDED_WITH.get(source.driver, ""), "none")
    beside = () if needed == "none" else (Path(needed),)
    return LiveLinks(_recording(config, source.record, source.driver, source.options, beside))


def _recording(
    config: Config, folder: Path, driver: str, options: Mapping[str, object], beside: tuple[Path, ...] = ()
) -> RecordingSettings:
    """How the links of one of the sources are recorded."""
    source, second = config.source, config.second_source
    header = {
        "options": json.dumps(options, default=str),
        "car": config.vehicle.name,
        "rom": config.vehicle.maf_table.name if config.vehicle.maf_table is not None else "",
        "note": source.record_note,
    }
    if second is not None:
        other = source.driver if driver == second.driver else second.driver
        header[BESIDE] = other
    return RecordingSettings(folder, int(source.record_max_mb * 1e6), driver, header, beside)


def second_source_of(config: Config, clock: Clock) -> tuple[Wideband, LambdaTimeline] | None:
    """The second source, where one is configured, and where its readings go. It is recorded as the first is.

    Raises:
        UsageError: the source has a time of its own, or the second one refuses its options.
    """
    settings = config.second_source
    if settings is None:
        return None
    if config.source.driver in OWN_TIME:
        raise UsageError(
            f"{config.path}: [[second_source]]: the source {config.source.driver} has a time of its own, so "
            f"readings of now do not belong to its samples: a second source needs a live one"
        )
    links = None
    if (folder := config.source.record) is not None:
        links = LiveLinks(_recording(config, folder, settings.driver, settings.options))
    try:
        return create_second(settings.driver, settings.options, clock, links), LambdaTimeline()
    except DriverOptionError as error:
        raise UsageError(f"{config.path}: [[second_source]]: {error}") from None

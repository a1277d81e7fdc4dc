"""From a checked configuration to what the daemon runs: the MAF table is read, the driver is named."""

from __future__ import annotations

import logging
from pathlib import Path

from daemon.config_sections import Config
from daemon.errors import UsageError
from daemon.runtime import Plan
from drivers.base import Driver, DriverOptionError
from drivers.clock import WallClock
from drivers.registry import create
from drivers.simulator.source import Simulator
from lowmaf.maf_table import MafTable, MafTableError, default_axis
from lowmaf.table_text import parse_table

logger = logging.getLogger(__name__)

MAX_TABLE_BYTES = 1_000_000


def plan_from(config: Config) -> Plan:
    """What to run; no device is opened.

    Raises:
        UsageError: the MAF table cannot be read, or the driver refuses its options.
    """
    clock = WallClock()

    def make_driver() -> Driver:
        return create(config.source.driver, config.source.options, clock)

    try:
        driver = make_driver()
    except DriverOptionError as error:
        raise UsageError(f"{config.path}: [source]: {error}") from None
    if config.vehicle.maf_table is not None:
        table = read_table(config.vehicle.maf_table)
    else:
        table = driver.maf_table if isinstance(driver, Simulator) else default_axis()
    return Plan(
        table=table,
        make_driver=make_driver,
        estimator=config.estimator.name,
        filters=config.filters,
        curve=config.estimator.curve,
        database=config.storage.database,
        keep_samples=config.storage.keep_samples,
        commit_interval_s=config.storage.commit_interval_s,
        min_free_bytes=config.storage.min_free_mb * 1e6,
        host=config.web.host,
        port=config.web.port,
        host_names=config.web.host_names,
        listening=lambda url: logger.info("dashboard at %s", url),
    )


def read_table(path: Path) -> MafTable:
    """The MAF table in a file, in any form that :func:`lowmaf.table_text.parse_table` knows.

    Raises:
        UsageError: no such file, not text, or not a MAF table; says which file and why.
    """
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise UsageError(f"{path}: larger than {MAX_TABLE_BYTES} bytes: that is no MAF table")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a text file (UTF-8)") from None
    try:
        return parse_table(text, path.name)
    except MafTableError as error:
        raise UsageError(f"{path}: {error}") from None

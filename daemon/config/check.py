"""A configuration checked to the end, opening no device: what it would run, or all that is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from daemon.config.config import load_config
from daemon.config.sections import Config
from daemon.errors import UsageError
from daemon.planning import plan_from
from daemon.store.opening import check_place
from daemon.store.records import StoreError
from drivers.clock import WallClock
from drivers.registry import create_second
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable


@dataclass(frozen=True, slots=True)
class CheckedConfig:
    """A configuration that can run; ``summary`` says in words what it would run."""

    config: Config
    summary: tuple[tuple[str, str], ...]


def check_config(path: Path, environment: Mapping[str, str]) -> CheckedConfig:
    """Everything that can be known of a configuration without opening a device.

    Raises:
        UsageError: what is wrong, one line per error.
    """
    config = load_config(path, environment)
    plan = plan_from(config)
    try:
        exists = check_place(config.storage.database.resolve())
    except StoreError as error:
        raise UsageError(f"{config.path}: [storage] database: {error}") from None
    return CheckedConfig(config, tuple(_summary(config, plan.table, database_exists=exists)))


def _summary(config: Config, table: MafTable, *, database_exists: bool) -> Iterator[tuple[str, str]]:
    yield "car", config.vehicle.name
    given = "".join(f", {name} {value}" for name, value in config.source.options.items())
    simulated = " (a SIMULATED car)" if config.source.driver == "simulator" else ""
    yield "source", f"{config.source.driver}{simulated}{given}"
    if config.second_source is not None:
        second = create_second(config.second_source.driver, config.second_source.options, WallClock())
        yield "beside it", second.describe()
    flow = "corrections only" if table.flow_gs is None else f"to {table.flow_gs[-1]:.0f} g/s"
    span = f"{table.maf_v[0]:.2f} to {table.maf_v[-1]:.2f} V"
    yield "MAF table", f"{table.name}: {table.cells} cells, {span}, {flow}"
    yield "estimator", config.estimator.name
    yield "filters", ", ".join(_filters(config.filters)) or "none but closed loop"
    samples = "cells and samples" if config.storage.keep_samples else "cells only"
    state = "there already" if database_exists else "new"
    yield "database", f"{config.storage.database} ({state}), {samples}"
    host = f"[{config.web.host}]" if ":" in config.web.host else config.web.host
    scheme = "http" if config.web.tls_certificate is None else "https"
    yield "dashboard", f"{scheme}://{host}:{config.web.port}" if config.web.port else f"{host}, any free port"


def _filters(filters: Filters) -> Iterator[str]:
    for spec in fields(filters):
        value = getattr(filters, spec.name)
        if isinstance(value, bool):
            if value:
                yield spec.name
        elif math.isfinite(value) and value != spec.metadata["off"]:
            yield f"{spec.name} {value:g} {spec.metadata['unit']}"

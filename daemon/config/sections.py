"""The sections of the configuration as types: every key with its default, unit, meaning and limits.

The field's metadata is all there is to know about a key: checking, the example file and the
reference are made from it. Metadata of numbers: ``unit``, ``meaning``, ``low``, ``high`` and, where
a limit can be switched off, ``off``; of texts: ``meaning`` and, where only some words are allowed,
``choices``; ``may_be_empty`` says that no text will do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lowmaf.filters import Filters
from lowmaf.settings import CurveSettings


def _number(default: float, unit: str, meaning: str, low: float, high: float) -> Any:
    return field(default=default, metadata={"unit": unit, "meaning": meaning, "low": low, "high": high})


def _text(default: str, meaning: str, choices: tuple[str, ...] = ()) -> Any:
    return field(
        default=default, metadata={"meaning": meaning, "choices": choices, "may_be_empty": not default}
    )


@dataclass(frozen=True, slots=True)
class VehicleSettings:
    """Which car this is."""

    name: str = _text("my car", "name of the car, shown on the page")
    maf_table: Path | None = field(
        default=None,
        metadata={
            "meaning": "file with the MAF table that is in the ECU now, as RomRaider copies it or as CSV; "
            "without one only corrections are learned, on the breakpoints of the 2002-2007 USDM WRX"
        },
    )
    ecu_definition: Path | None = field(
        default=None,
        metadata={
            "meaning": "RomRaider logger definition (XML) for Subaru drivers: tells where this ECU keeps the "
            "state of its fuel loop, finer trims and the commanded mixture"
        },
    )


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Where samples come from. Every other key of the section is an option of that driver."""

    driver: str = _text("simulator", "what is read: the driver that fits your link to the ECU")
    record: Path | None = field(
        default=None,
        metadata={
            "meaning": "folder for raw recordings of the link, every byte with its time; replay reads them, "
            "and they show what went wrong; empty: none. For all sources on a link, and the second one"
        },
    )
    record_max_mb: float = _number(
        500.0, "MB", "recordings together take at most so much: the oldest are deleted", 0.1, 1e6
    )
    record_note: str = _text("", "written at the head of recordings")
    options: Mapping[str, Any] = field(default_factory=dict, metadata={"meaning": "options of the driver"})


@dataclass(frozen=True, slots=True)
class SecondSourceSettings:
    """What adds measured lambda to the source's samples: a wideband controller. Optional."""

    driver: str = _text("wideband", "what is read; every other key is an option of it")
    options: Mapping[str, Any] = field(default_factory=dict, metadata={"meaning": "options of the driver"})


@dataclass(frozen=True, slots=True)
class EstimatorSettings:
    """How corrections are made from trims. ``curve`` holds the constants of the method of that name."""

    name: str = _text(
        "curve",
        "curve: weighs evidence and gives error bars; nearest: the plain mean of each cell",
        ("curve", "nearest"),
    )
    curve: CurveSettings = field(default_factory=CurveSettings)


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """What is kept on disk."""

    database: Path = field(
        default=Path("lowmaf.sqlite3"),
        metadata={"meaning": "SQLite file that keeps drives, cells and MAF tables"},
    )
    keep_samples: bool = field(
        default=True,
        metadata={"meaning": "keep every sample too, so that the table can be made anew with other settings"},
    )
    commit_interval_s: float = _number(
        2.0, "s", "written to disk this often; at most so much is lost when the power goes", 0.2, 60.0
    )
    min_free_mb: float = _number(
        200.0, "MB", "with less room on the disk samples are no longer kept; the table goes on", 0.0, 1e6
    )
    max_database_mb: float = field(
        default=250.0,
        metadata={
            "unit": "MB",
            "meaning": "with a larger database the oldest samples are dropped (an hour takes 2 to 3 MB); "
            "what was learned from them stays; all of it is checked at each start",
            "low": 10.0,
            "high": 1e6,
            "off": math.inf,
        },
    )
    max_samples_days: float = field(
        default=math.inf,
        metadata={
            "unit": "days",
            "meaning": "samples of older drives are dropped; what was learned from them stays",
            "low": 1.0,
            "high": 1e5,
            "off": math.inf,
        },
    )
    max_upload_mb: float = _number(
        500.0, "MB", "an uploaded log has at most so much; it is kept beside the database", 0.1, 1e5
    )
    max_uploads: int = _number(1000, "", "so many uploaded logs are kept at most", 1, 100_000)
    max_results: int = _number(1000, "", "so many published results are kept at most", 1, 100_000)
    max_analyses: int = _number(
        10_000, "", "so many analyses that have ended are kept; the oldest are dropped", 1, 1_000_000
    )


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Who can see the dashboard, and where."""

    host: str = _text(
        "127.0.0.1", "address to listen on; 127.0.0.1 is this machine only, 0.0.0.0 is the whole network"
    )
    port: int = _number(8000, "", "port of the dashboard; 0 takes any free one", 0, 65535)
    tls_certificate: Path | None = field(
        default=None,
        metadata={
            "meaning": "certificate (PEM) of the page: with it the page is served over https only, and a "
            "phone can install it and keep its screen on; empty: plain http"
        },
    )
    tls_key: Path | None = field(default=None, metadata={"meaning": "private key (PEM) of the certificate"})
    host_names: tuple[str, ...] = field(
        default=(),
        metadata={
            "meaning": "names by which the page may be opened, besides IP addresses, localhost and *.local"
        },
    )
    openej_origins: tuple[str, ...] = field(
        default=(),
        metadata={
            "meaning": "origins of other web pages that may use the OpenEJ service, such as "
            '"http://localhost:8080"'
        },
    )
    read_requires_pairing: bool = field(
        default=False,
        metadata={
            "meaning": "whether only paired devices may look, too; otherwise everybody on the network may. "
            "To change anything a device of the network must be paired in any case: lowmaf pair"
        },
    )
    pairing_code_s: float = _number(
        300.0, "s", "a code that pairs a device is good for so long", 30.0, 3600.0
    )
    max_devices: int = _number(50, "", "so many devices and tokens of scripts are kept", 1, 1000)
    requests_per_s: float = _number(
        100.0, "", "an address of the network may ask so often; more is answered with 429", 1.0, 1e6
    )
    openej_service: bool = field(
        default=True,
        metadata={"meaning": "whether to offer the OpenEJ service, which keeps nothing, to everybody"},
    )
    openej_per_min: float = _number(
        60.0, "", "an address that was not paired may use it so often; more is answered with 429", 1.0, 1e6
    )
    openej_max_mb: float = _number(100.0, "MB", "a log that is sent to it has at most so much", 0.1, 1000.0)
    max_connections: int = _number(
        16_000, "", "so many connections are open at most; more are answered with 503", 10, 1_000_000
    )
    max_connections_per_client: int = _number(
        200,
        "",
        "so many of them from one address; more are answered with 429 (this machine is exempt)",
        1,
        1_000_000,
    )
    idle_s: float = _number(30.0, "s", "a connection on which nothing is asked is closed after", 1.0, 3600.0)
    head_s: float = _number(
        10.0, "s", "a request whose head is not there after this time is given up", 0.5, 600.0
    )
    stalled_s: float = _number(
        60.0, "s", "a client that takes nothing of its answer for so long is cut off", 1.0, 3600.0
    )
    workers: int = _number(
        0,
        "",
        "so many more processes share the port and answer those who look at the table and at published "
        "results, for a machine that serves many; each has the limits of connections and requests for itself",
        0,
        64,
    )
    max_waiting_runs: int = _number(
        10_000, "", "so many runs of analyses wait at most; more are answered with 429", 1, 1_000_000
    )
    analysis_workers: int = _number(
        1,
        "",
        "so many processes analyse uploaded logs at once, of least priority: driving comes first",
        1,
        64,
    )
    analysis_memory_mb: float = _number(1000.0, "MB", "address space of each of them", 300.0, 1e6)
    analysis_limit_s: float = _number(600.0, "s", "a run that takes longer has failed", 1.0, 1e6)


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How much is taken of what others send; beyond that it is refused in words."""

    head_kb: float = _number(16.0, "kB", "head of a request; longer ones are answered with 431", 1.0, 250.0)
    json_kb: float = _number(
        64.0, "kB", "body of a command and the like; larger ones are answered with 413", 1.0, 1e5
    )
    table_kb: float = _number(
        1000.0, "kB", "a pasted MAF table; larger ones are answered with 413", 10.0, 1e5
    )
    body_wait_s: float = _number(
        20.0,
        "s",
        "a body that is not here after this time and that of its pace is answered with 408",
        1.0,
        3600.0,
    )
    body_kb_per_s: float = _number(10.0, "kB/s", "the least pace of such a body", 0.1, 1e5)
    quiet_s: float = _number(
        30.0,
        "s",
        "an upload, or a body of pushed samples, of which nothing comes for so long is given up",
        1.0,
        3600.0,
    )
    long_body_s: float = _number(
        86_400.0, "s", "an upload or such a body that lasts longer is given up", 10.0, 1e7
    )
    log_line_kb: float = _number(
        1000.0,
        "kB",
        "a log or pushed CSV with a longer line is refused, a longer pushed record left out",
        300.0,
        1e6,
    )
    log_field_kb: float = _number(64.0, "kB", "a row with a longer field is left out", 1.0, 1e6)
    log_columns: int = _number(1000, "", "a log with more columns is refused", 10, 1_000_000)
    log_rows: int = _number(50_000_000, "", "a log with more rows is refused", 1000, 1_000_000_000)
    log_unpacked_mb: float = _number(8000.0, "MB", "a packed log that unpacks to more is refused", 1.0, 1e6)


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """To whom the output of analyses may be pushed. Nobody, unless hosts are named here."""

    hosts: tuple[str, ...] = field(
        default=(),
        metadata={
            "meaning": "hosts that may be pushed to: a name or an address, on ports 80 and 443 or with the "
            'port, such as "nas.local:8123"'
        },
    )
    networks: tuple[str, ...] = field(
        default=(),
        metadata={
            "meaning": "addresses that are not public to which names of hosts may lead, such as "
            '"192.168.0.0/16"; hosts given by their address need no entry'
        },
    )
    timeout_s: float = _number(
        10.0, "s", "a push that takes longer has failed and is tried again", 0.1, 600.0
    )
    max_attempts: int = _number(
        100,
        "",
        "after so many pushes without success, one after another, output is given up (waits between them "
        "grow from 1 s to 5 min)",
        1,
        1_000_000,
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What the daemon says while it runs."""

    level: str = _text("info", "least weight of messages", ("debug", "info", "warning", "error"))


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration, checked. ``path`` is the file it was read from.

    Relative paths in it were taken relative to that file's folder. ``second_source`` is None where
    the file has none.
    """

    path: Path
    vehicle: VehicleSettings = field(default_factory=VehicleSettings)
    source: SourceSettings = field(default_factory=SourceSettings)
    filters: Filters = field(default_factory=Filters)
    estimator: EstimatorSettings = field(default_factory=EstimatorSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    web: WebSettings = field(default_factory=WebSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    log: LogSettings = field(default_factory=LogSettings)
    second_source: SecondSourceSettings | None = None


SECTIONS: Mapping[str, type[Any]] = {
    "vehicle": VehicleSettings,
    "source": SourceSettings,
    "filters": Filters,
    "estimator": EstimatorSettings,
    "storage": StorageSettings,
    "web": WebSettings,
    "limits": LimitSettings,
    "webhooks": WebhookSettings,
    "log": LogSettings,
}
"""Section name → type, in the order of the example file."""

SECOND_SOURCE = "second_source"
"""The one table that may be left out, written ``[[second_source]]``."""

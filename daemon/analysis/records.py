"""What is kept of uploaded logs and of analyses, and between it and the rows of the database, both ways."""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

from daemon.drives.session_documents import moment
from daemon.store.rows import checksum, json_text
from lowmaf.filters import FilterError, Filters
from lowmaf.maf_table import MafTable
from web.analysis_desk import AnalysisStatus, PushState

UPLOAD_COLUMNS = ("id", "name", "bytes", "recognised")
"""What the checksum of a row of ``uploaded_logs`` covers."""

ANALYSIS_COLUMNS = ("id", "logs", "estimator", "filters", "maf_table_revision", "webhook_url")
"""What the checksum of a row of ``analyses`` covers: what was asked for."""

_FILTER_NAMES = tuple(spec.name for spec in fields(Filters))


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedLog:
    """A log as it was uploaded. ``recognised`` is what its beginning says it is."""

    id: str
    name: str
    bytes: int
    recognised: Mapping[str, Any]
    uploaded_wall_s: float

    def row(self) -> tuple[Any, ...]:
        """Values of a row of ``uploaded_logs`` after its number."""
        covered = (self.id, self.name, self.bytes, json_text(self.recognised))
        return (*covered, self.uploaded_wall_s, checksum(*covered))

    @classmethod
    def of(cls, row: sqlite3.Row) -> UploadedLog | None:
        """The log in a row; None where it was damaged on the disk."""
        if checksum(*(row[name] for name in UPLOAD_COLUMNS)) != row["crc32"]:
            return None
        return cls(
            id=row["id"],
            name=row["name"],
            bytes=row["bytes"],
            recognised=json.loads(row["recognised"]),
            uploaded_wall_s=row["uploaded_wall_s"],
        )

    def document(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "bytes": self.bytes,
            "uploaded": moment(self.uploaded_wall_s),
            "recognised": dict(self.recognised),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run is to do."""

    id: str
    logs: tuple[str, ...]
    estimator: str
    filters: Filters
    maf_table_revision: int | None
    webhook_url: str | None
    asked_wall_s: float

    def row(self) -> tuple[Any, ...]:
        """Values of a row of ``analyses``: what was asked for, when, and the checksum of the former."""
        filters = limits_text(self.filters)
        logs = json.dumps(self.logs)
        covered = (self.id, logs, self.estimator, filters, self.maf_table_revision, self.webhook_url)
        return (*covered, self.asked_wall_s, checksum(*covered))

    @classmethod
    def of(cls, row: sqlite3.Row) -> Run | None:
        """The run in a row; None where it cannot be read any more."""
        if checksum(*(row[name] for name in ANALYSIS_COLUMNS)) != row["crc32"]:
            return None
        try:
            filters = filters_of(json.loads(row["filters"]))
        except (FilterError, TypeError):  # kept by a version that had other filters
            return None
        return cls(
            id=row["id"],
            logs=tuple(json.loads(row["logs"])),
            estimator=row["estimator"],
            filters=filters,
            maf_table_revision=row["maf_table_revision"],
            webhook_url=row["webhook_url"],
            asked_wall_s=row["asked_wall_s"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """A run as the database has it. ``number`` is its place in the order of asking."""

    number: int
    run: Run
    status: AnalysisStatus
    error: str | None
    next_sequence: int
    push: PushState
    push_attempts: int
    push_error: str | None

    @classmethod
    def of(cls, row: sqlite3.Row) -> KeptRun | None:
        """The run in a row of ``analyses``; None where it was damaged on the disk."""
        run = Run.of(row)
        if run is None:
            return None
        return cls(
            number=row["number"],
            run=run,
            status=AnalysisStatus(row["status"]),
            error=row["error"],
            next_sequence=row["next_sequence"],
            push=PushState(row["push"]),
            push_attempts=row["push_attempts"],
            push_error=row["push_error"],
        )


def limits_of(filters: Filters) -> dict[str, Any]:
    """Every filter's limit, by name."""
    return {name: getattr(filters, name) for name in _FILTER_NAMES}


@lru_cache(maxsize=64)
def limits_text(filters: Filters) -> str:
    """Filters as they are kept, JSON; those of many runs are alike."""
    return json_text(limits_of(filters))


def filters_of(limits: Mapping[str, Any]) -> Filters:
    """Filters as they were kept: infinities are texts there."""
    values: dict[str, Any] = {
        name: float(value) if isinstance(value, str) else value for name, value in limits.items()
    }
    return Filters(**values)


def table_values(table: MafTable) -> dict[str, Any]:
    """A MAF table as a worker is told it; see :func:`table_of`."""
    return {
        "name": table.name,
        "revision": table.revision,
        "maf_v": table.maf_v.tolist(),
        "flow_gs": None if table.flow_gs is None else table.flow_gs.tolist(),
    }


def table_of(values: Mapping[str, Any]) -> MafTable:
    """The table that :func:`table_values` was given."""
    flow_gs = None if values["flow_gs"] is None else np.array(values["flow_gs"])
    return MafTable(values["name"], np.array(values["maf_v"]), flow_gs, values["revision"])


def packed(text: bytes) -> bytes:
    """JSON as it is kept."""
    return zlib.compress(text)


def unpacked(row: sqlite3.Row, column: str, *keys: Any) -> bytes | None:
    """The JSON in a column of a row whose checksum covers ``keys`` and it; None where it was damaged."""
    if checksum(*keys, row[column]) != row["crc32"]:
        return None
    return zlib.decompress(row[column])


def shown_limits(filters: Filters) -> dict[str, Any]:
    """Filters as JSON shows them: null is off."""
    return {
        name: None if isinstance(value, float) and math.isinf(value) else value
        for name, value in limits_of(filters).items()
    }

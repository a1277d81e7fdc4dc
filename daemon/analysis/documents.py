"""Runs as JSON shows them, to those who ask and to webhooks. Tables are passed on as they came, undecoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from daemon.analysis.records import KeptRun, shown_limits
from daemon.drives.session_documents import moment
from web.analysis_desk import AnalysisStatus
from web.documents import encode_json

FORMAT = "lowmaf.analysis/1"
LOST = "what it gave was lost from the disk; ask for it again"


class Output(msgspec.Struct, frozen=True):
    """What a worker gives, both still JSON: the table, and notes about logs that gave nothing."""

    table: msgspec.Raw
    notes: msgspec.Raw


NO_OUTPUT = Output(msgspec.Raw(b"null"), msgspec.Raw(b"[]"))


def output_of(payload: bytes | None) -> Output:
    """The parts of what a worker gave; of nothing, where there is nothing."""
    return NO_OUTPUT if payload is None else msgspec.json.decode(payload, type=Output)


def listed(
    kept: KeptRun, status: AnalysisStatus, progress: float, log_name: Callable[[str], str | None]
) -> dict[str, Any]:
    """A run without its table. ``log_name`` is None for a log that was deleted."""
    run = kept.run
    return {
        "format": FORMAT,
        "id": run.id,
        "status": str(status),
        "progress": progress,
        "error": kept.error,
        "asked": moment(run.asked_wall_s),
        "logs": [{"id": log_id, "name": log_name(log_id)} for log_id in run.logs],
        "estimator": run.estimator,
        "filters": shown_limits(run.filters),
        "maf_table_revision": run.maf_table_revision,
        "webhook_url": run.webhook_url,
        "push": {"state": str(kept.push), "attempts": kept.push_attempts, "error": kept.push_error},
    }


def with_output(document: dict[str, Any], output: Output) -> dict[str, Any]:
    """A run with its interim or final table."""
    return {**document, "notes": output.notes, "table": output.table}


def pushed(run_id: str, status: AnalysisStatus, progress: float, error: str | None, output: Output) -> bytes:
    """What a webhook is told of a run."""
    return encode_json(
        {
            "format": FORMAT,
            "id": run_id,
            "status": str(status),
            "progress": progress,
            "error": error,
            "notes": output.notes,
            "table": output.table,
        }
    )

"""``GET /metrics``: the daemon's state in the Prometheus text format, written by hand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from lowmaf.snapshot import CellState, Snapshot
from lowmaf.verdicts import Verdict
from web.board import Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LINK_STATES = ("connecting", "running", "waiting", "paused", "ended")

Labels = Mapping[str, str]
Series = Iterable[tuple[Labels, float | None]]


def metrics_text(status: Status, snapshot: Snapshot, streams: int) -> str:
    """All metrics; a value that is not known now is left out."""
    counts = snapshot.counts
    by_label = {Verdict.ACCEPTED.label: counts.accepted, **counts.rejected}
    states = Counter(snapshot.states)
    families = [
        _family("info", "gauge", "version of the daemon", [({"version": status.version}, 1)]),
        _one("uptime_seconds", "gauge", "time since the daemon started", status.uptime_s),
        _one("healthy", "gauge", "1 while the pipeline moves", float(status.healthy)),
        _family(
            "link_state",
            "gauge",
            "1 for the state that the link to the car is in",
            [({"state": state}, float(state == status.link.state)) for state in LINK_STATES],
        ),
        _one("link_reconnects_total", "counter", "times the link was opened anew", status.link.reconnects),
        _one("sample_rate_hertz", "gauge", "samples per second from the car", status.sample_rate_hz),
        _one("last_sample_age_seconds", "gauge", "age of the newest sample", status.last_sample_age_s),
        _family(
            "samples_total",
            "counter",
            "judged samples by verdict",
            [({"verdict": verdict.label}, by_label.get(verdict.label, 0)) for verdict in Verdict],
        ),
        _one("samples_pending", "gauge", "samples not judged yet", counts.pending),
        _one(
            "nothing_accepted_seconds",
            "gauge",
            "time since a sample was accepted",
            status.nothing_accepted_s,
        ),
        _one("table_revision", "counter", "revision of the table", snapshot.revision),
        _one("table_epoch", "counter", "epoch of the table", snapshot.epoch),
        _family(
            "cells",
            "gauge",
            "cells of the MAF table by state",
            [({"state": state.value}, states[state]) for state in CellState],
        ),
        _family(
            "queue",
            "gauge",
            "fill levels and drop counts of the queues",
            [({"name": name}, value) for name, value in status.queues.items()],
        ),
        _family("storage", "gauge", "figures of the store", _numbers(status.storage)),
        _one("event_streams", "gauge", "open event streams", streams),
    ]
    if status.truth is not None:
        families.append(
            _one(
                "truth_rmse_percent",
                "gauge",
                "error of the estimate, simulated car only",
                status.truth.rmse_pct,
            )
        )
    return "".join(families)


def _one(name: str, kind: str, words: str, value: float | None) -> str:
    return _family(name, kind, words, [({}, value)])


def _family(name: str, kind: str, words: str, series: Series) -> str:
    lines = [f"# HELP lowmaf_{name} {words}", f"# TYPE lowmaf_{name} {kind}"]
    for labels, value in series:
        if value is None or math.isnan(value):
            continue
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"lowmaf_{name}{'{' + inside + '}' if inside else ''} {value}")
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def _numbers(storage: Mapping[str, object]) -> Series:
    return [
        ({"name": name}, float(value)) for name, value in storage.items() if isinstance(value, int | float)
    ]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

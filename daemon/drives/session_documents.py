"""Drives and logs as people and programs see them: plain dicts of finite numbers, texts and None."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from daemon.store.reader import StoreReader
from daemon.store.records import ClosedHow, Session
from lowmaf.verdicts import Verdict

FORMAT = "lowmaf.session/1"


def session_document(session: Session, why_not: str | None, *, goes_on: bool) -> dict[str, Any]:
    """A drive in a list. ``clock`` is ``unsynced`` where ``started`` may be wrong; ``log`` says which
    recorded log it was, None for driving."""
    started = moment(session.started_wall_s)
    return {
        "id": session.id,
        "name": session.name,
        "driver": session.driver,
        "started": started,
        "clock": str(session.clock),
        "duration_s": session.duration_s,
        "state": "driving" if goes_on else _STATES[session.closed_how],
        "samples": session.samples,
        "accepted": session.accepted,
        "maf_table_revision": session.maf_table_revision,
        "epoch": session.epoch,
        "included": session.included,
        "counts": why_not is None,
        "counts_not_because": why_not,
        "log": session.settings.get("log"),
    }


async def session_details(
    store: StoreReader, session: Session, why_not: str | None, *, goes_on: bool
) -> dict[str, Any]:
    """All that is known of a drive but its samples: verdicts in total and per minute, changes of the link."""
    kept = await store.kept_samples(session.id)
    counts = await store.counts(session.id)
    minutes = await store.minutes(session.id)
    until_s = session.started_monotonic_s + (session.duration_s or 0.0)
    changes = await store.link_changes(session.boot_id, session.started_monotonic_s, until_s)
    return {
        "format": FORMAT,
        **session_document(session, why_not, goes_on=goes_on),
        "estimator": session.estimator,
        "settings": dict(session.settings),
        "samples_kept": 0 if kept is None else kept.samples,
        "verdicts": verdict_list(counts),
        "minutes": [{"minute": minute, "verdicts": verdicts} for minute, verdicts in minutes.items()],
        "link": [
            {
                "after_s": max(change.monotonic_s - session.started_monotonic_s, 0.0),
                "state": change.state,
                "words": change.words,
            }
            for change in changes
        ],
    }


def verdict_list(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Label, words and number of samples of each verdict that was given, in the order of precedence."""
    return [
        {"verdict": verdict.label, "words": verdict.words, "count": counts[verdict.label]}
        for verdict in Verdict
        if counts.get(verdict.label)
    ]


def moment(wall_s: float) -> str | None:
    """UTC in ISO 8601; None for a clock so wrong that there is no such date."""
    try:
        return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None


_STATES = {
    ClosedHow.OPEN: "cut_off",
    ClosedHow.CLOSED: "ended",
    ClosedHow.CLOSED_INCORRECT: "cut_off",
}

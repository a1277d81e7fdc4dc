"""Status and the newest sample as JSON: what the routes and the event stream say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from lowmaf.snapshot import SampleCounts
from lowmaf.verdicts import Verdict
from web.board import LinkStatus, LiveReading, Status, VerdictMinute


def encode_json(document: Any) -> bytes:
    """UTF-8 JSON; NaN and infinity become null, NumPy scalars plain numbers."""
    return msgspec.json.encode(document, enc_hook=_plain)


def status_document(status: Status, counts: SampleCounts, streams: int) -> dict[str, Any]:
    """What ``GET /api/v1/status`` and the ``status`` event say.

    ``verdicts`` lists accepted samples and every reason that rejected one, in the order of
    precedence, with its words; ``streams`` is the number of open event streams.
    """
    truth = status.truth
    return {
        "version": status.version,
        "uptime_s": status.uptime_s,
        "link": _link_with_history(status.link),
        "second_link": None if status.second_link is None else _link_with_history(status.second_link),
        "session": status.session,
        "sample_rate_hz": status.sample_rate_hz,
        "last_sample_age_s": status.last_sample_age_s,
        "counts": dict(status.counts),
        "verdicts": verdict_counts(counts),
        "nothing_accepted_s": status.nothing_accepted_s,
        "nothing_accepted_because": status.nothing_accepted_because,
        "storage": dict(status.storage),
        "queues": dict(status.queues),
        "streams": streams,
        "healthy": status.healthy,
        "unhealthy_because": status.unhealthy_because,
        "truth": None
        if truth is None
        else {"error_pct": list(truth.error_pct), "rmse_pct": truth.rmse_pct, "cells": truth.cells},
    }


def live_document(reading: LiveReading | None, link: LinkStatus) -> dict[str, Any]:
    """What the ``live`` event says: the newest sample (nulls before the first) and the link."""
    if reading is None:
        return {"t_s": None, "values": {}, "cell": None, "verdict": None, "link": _link(link)}
    return {
        "t_s": reading.t_s,
        "values": dict(reading.values),
        "cell": reading.cell,
        "verdict": reading.verdict,
        "verdict_words": verdict_words(reading.verdict),
        "provisional": reading.provisional,
        "link": _link(link),
    }


def verdict_counts(counts: SampleCounts) -> list[dict[str, Any]]:
    """Label, words and number of samples of each verdict that was given at least once."""
    by_label = {Verdict.ACCEPTED.label: counts.accepted, **counts.rejected}
    return [
        {"verdict": verdict.label, "words": verdict.words, "count": by_label[verdict.label]}
        for verdict in Verdict
        if by_label.get(verdict.label)
    ]


def recent_verdicts_document(minutes: Sequence[VerdictMinute]) -> dict[str, Any]:
    """What ``GET /api/v1/verdicts`` says: counts per minute, oldest first, and over all of them in words."""
    total: Counter[str] = Counter()
    for minute in minutes:
        total.update(minute.counts)
    return {
        "minutes": [
            {"session": minute.session, "minute": minute.minute, "verdicts": dict(minute.counts)}
            for minute in minutes
        ],
        "verdicts": [
            {"verdict": verdict.label, "words": verdict.words, "count": total[verdict.label]}
            for verdict in Verdict
            if total[verdict.label]
        ],
    }


def verdict_words(label: str) -> str:
    """A verdict's words by its label."""
    return Verdict[label.upper()].words


def _link_with_history(link: LinkStatus) -> dict[str, Any]:
    return {
        **_link(link),
        "history": [
            {"state": event.state, "words": event.words, "age_s": event.age_s} for event in link.history
        ],
    }


def _link(link: LinkStatus) -> dict[str, Any]:
    return {
        "state": link.state,
        "words": link.words,
        "driver": link.driver,
        "since_s": link.since_s,
        "reconnects": link.reconnects,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in JSON: {value!r}")

"""What ``lowmaf doctor`` finds: each finding says how it is and, where something is wrong, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SCHEMA = "lowmaf.doctor/1"


class State(StrEnum):
    """How it is. A note is worth knowing and no fault; what is wrong needs somebody to do something."""

    GOOD = "good"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """``subject`` is what was looked at, ``words`` how it is, ``advice`` what to do about it."""

    subject: str
    state: State
    words: str
    advice: str = ""


def good(subject: str, words: str) -> Finding:
    """Nothing to do."""
    return Finding(subject, State.GOOD, words)


def note(subject: str, words: str, advice: str = "") -> Finding:
    """Worth knowing."""
    return Finding(subject, State.NOTE, words, advice)


def wrong(subject: str, words: str, advice: str) -> Finding:
    """Somebody has to do something."""
    return Finding(subject, State.WRONG, words, advice)


def findings_document(findings: Iterable[Finding]) -> Mapping[str, Any]:
    """The findings for a program; ``healthy`` while nothing is wrong."""
    listed = [
        {"subject": each.subject, "state": each.state, "words": each.words, "advice": each.advice}
        for each in findings
    ]
    healthy = not any(each["state"] == State.WRONG for each in listed)
    return {"schema": SCHEMA, "healthy": healthy, "findings": listed}

"""Logs in their order, as one machine would have read them: which count, and what is said of each."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.cluster.outcomes import Outcome
from daemon.cluster.tasks import Chosen
from daemon.log_replay import copy_words
from drivers.logs.summary import LogSummary
from lowmaf.data_warnings import change_warning
from lowmaf.merging import Change, Said
from lowmaf.snapshot import DataWarning


class LogOrder:
    """Takes the outcomes of logs one after another."""

    def __init__(self) -> None:
        self.summaries: list[LogSummary] = []
        self.troubles: list[str] = []
        self.copies: list[str] = []
        self.said: list[Said] = []
        self.updated_s = 0.0
        self._first_with: dict[str, str] = {}
        self._warnings: dict[str, tuple[tuple[int, float], DataWarning]] = {}
        self._drive = 0

    def take(self, names: Sequence[str], found: Sequence[Outcome]) -> list[Chosen]:
        """The next logs; returns those of them that count. A bad one counts as far as it was read."""
        chosen = []
        for index, (name, outcome) in enumerate(zip(names, found, strict=True)):
            if outcome.digest is not None and outcome.digest in self._first_with:
                self.copies.append(copy_words(name, self._first_with[outcome.digest]))
                continue
            self._drive += outcome.begun
            chosen.append(Chosen(index, self._drive))
            self._count(name, outcome)
        return chosen

    def _count(self, name: str, outcome: Outcome) -> None:
        self.troubles += outcome.troubles
        self.said += outcome.said
        if outcome.summary is not None:
            self.summaries.append(outcome.summary)
            if outcome.digest is not None:
                self._first_with[outcome.digest] = name
        if outcome.updated_s is not None:
            self.updated_s = outcome.updated_s
        for newest_block, warning in outcome.warnings:
            self._warnings.setdefault(warning.code, ((self._drive, newest_block), warning))

    def warnings(self, first_change: Change | None, last_change: Change | None) -> list[DataWarning]:
        """What the logs gave reason to warn of, in the order in which it was seen; of changes the last."""
        kept = [warning for _, warning in self._warnings.values()]
        if first_change is None or last_change is None:
            return kept
        seen = (first_change.before.drive, first_change.before.block)
        earlier = sum(position < seen for position, _ in self._warnings.values())
        return [*kept[:earlier], change_warning(last_change.began, followed=False), *kept[earlier:]]

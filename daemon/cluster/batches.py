"""Which logs are read together, and which of them by one worker.

A batch is one task: what is repeated when it fails. A run is what one worker reads of neighbouring logs,
batch after batch: what goes from one run to the next (50 to 100 kB) is shared by all its logs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from daemon.log_names import NamedLog
from daemon.log_replay import shown_name

BATCH_LOGS = 32
BATCH_BYTES = 64_000_000
LEAST_BATCH_BYTES = 1_000_000
"""A quarter of a second of reading: less is not worth a task."""
RUN_BATCHES = 4
LEAST_RUN_LOGS = 8
SHARES = 2
"""A run is at most half of what would be left for each thread: the last ones are small, so that no thread
waits long for the others."""
USUAL_BYTES = 1_000_000
"""Taken for the size of a log where nobody knows it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Neighbouring logs that one task reads; ``size`` in bytes."""

    logs: tuple[NamedLog, ...]
    size: int

    @property
    def words(self) -> str:
        """Which logs they are, for a person."""
        first, last = shown_name(self.logs[0].name), shown_name(self.logs[-1].name)
        return first if len(self.logs) == 1 else f"{first} to {last} ({len(self.logs)} logs)"


def runs(logs: Sequence[NamedLog], threads: int) -> Iterator[list[Batch]]:
    """All logs in their order, each run in its batches, for so many threads of workers."""
    threads = max(threads, 1)
    least_logs = min(LEAST_RUN_LOGS, -(-len(logs) // threads))
    most_logs = RUN_BATCHES * BATCH_LOGS
    left = sum(_size(log) for log in logs)
    run: list[NamedLog] = []
    size = 0
    for log in logs:
        most = min(RUN_BATCHES * BATCH_BYTES, left / (SHARES * threads))
        if len(run) >= most_logs or (len(run) >= least_logs and size + _size(log) > most):
            yield list(_batches(run, size / RUN_BATCHES))
            left -= size
            run, size = [], 0
        run.append(log)
        size += _size(log)
    if run:
        yield list(_batches(run, size / RUN_BATCHES))


def _batches(logs: Sequence[NamedLog], wanted: float) -> Iterator[Batch]:
    most = min(BATCH_BYTES, max(LEAST_BATCH_BYTES, wanted))
    batch: list[NamedLog] = []
    size = 0
    for log in logs:
        if batch and (len(batch) == BATCH_LOGS or size + _size(log) / 2 > most):
            yield Batch(tuple(batch), size)
            batch, size = [], 0
        batch.append(log)
        size += _size(log)
    if batch:
        yield Batch(tuple(batch), size)


def _size(log: NamedLog) -> int:
    return log.size or USUAL_BYTES

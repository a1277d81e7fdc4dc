"""Which logs are read together, and which of them by one worker.

A batch is one task: what is repeated when it fails. A run is what one worker reads of neighbouring logs,
batch after batch: what goes from one run to the next (60 kB) is shared by its logs.
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
SHARES = 4
"""A batch is at most a fourth of what would be left for each thread: the last ones are small, so that
no thread waits long for the others."""
RUN_LOGS = 8
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


def batches(logs: Sequence[NamedLog], threads: int) -> Iterator[Batch]:
    """All logs in their order, the batches smaller towards the end."""
    left = sum(_size(log) for log in logs)
    held: list[NamedLog] = []
    size, most = 0, 0.0
    for log in logs:
        if held and (len(held) == BATCH_LOGS or size + _size(log) > most):
            yield Batch(tuple(held), size)
            left -= size
            held, size = [], 0
        if not held:
            most = min(BATCH_BYTES, max(left / (SHARES * max(threads, 1)), LEAST_BATCH_BYTES))
        held.append(log)
        size += _size(log)
    if held:
        yield Batch(tuple(held), size)


def runs(planned: Sequence[Batch], threads: int) -> Iterator[range]:
    """Numbers of the batches of each run: together :data:`RUN_LOGS` or more, or a thread's share of all."""
    logs = sum(len(batch.logs) for batch in planned)
    least = min(RUN_LOGS, -(-logs // max(threads, 1)))
    first, held = 0, 0
    for number, batch in enumerate(planned):
        held += len(batch.logs)
        if held >= least:
            yield range(first, number + 1)
            first, held = number + 1, 0
    if held:
        yield range(first, len(planned))


def _size(log: NamedLog) -> int:
    return log.size or USUAL_BYTES

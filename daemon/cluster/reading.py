"""Logs read by the workers in any order, and known to the client in their own."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from distributed import Future

from daemon.cluster import tasks
from daemon.cluster.batches import Batch, batches, runs
from daemon.cluster.outcomes import Outcome, outcomes_from_bytes
from daemon.cluster.submitting import SOON, Submitter, result
from daemon.log_names import NamedLog
from daemon.log_replay import Progress

States: TypeAlias = "Future[list[tasks.LogState]]"

RETRIES = 2


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring batches that ``worker`` has read: other tasks go to it. None: nobody knows which."""

    batches: tuple[Batch, ...]
    states: tuple[States, ...]
    worker: str | None

    @property
    def logs(self) -> list[NamedLog]:
        """All of them, in their order."""
        return [log for batch in self.batches for log in batch.logs]

    @property
    def size(self) -> int:
        """Bytes that were read."""
        return sum(batch.size for batch in self.batches)


class _Run:
    """Batches that one worker is meant to read, and what is known of them."""

    def __init__(self, reads: dict[States, Batch]) -> None:
        self.reads = reads
        self.unread = len(reads)
        self._asked: dict[Future[bytes], Part] = {}
        self._found: dict[Future[bytes], list[Outcome]] = {}

    def ask(self, cluster: Submitter) -> list[Future[bytes]]:
        """Asks the workers that have the batches for what is to be known of them."""
        holders = cluster.holders(list(self.reads))
        each = zip(self.reads.items(), holders, strict=True)
        for worker, of_worker in itertools.groupby(each, key=lambda read: read[1]):
            states, read = zip(*(pair for pair, _ in of_worker), strict=True)
            asked = cluster.submit_to(worker, tasks.outcomes, states, priority=SOON)
            self._asked[asked] = Part(read, states, worker)
        return list(self._asked)

    def take(self, asked: Future[bytes]) -> None:
        """What a worker had to say."""
        self._found[asked] = outcomes_from_bytes(result(asked, self._asked[asked].batches[0].words))

    @property
    def is_known(self) -> bool:
        """Whether nothing of it is waited for."""
        return not self.unread and len(self._found) == len(self._asked)

    def parts(self) -> Iterator[tuple[Part, list[Outcome]]]:
        """What each worker has of it, in the order of the logs."""
        return ((part, self._found[asked]) for asked, part in self._asked.items())


def read_in_order(
    cluster: Submitter, kept_job: Future[tasks.Job], logs: Sequence[NamedLog], progress: Progress
) -> Iterator[tuple[Part, list[Outcome]]]:
    """Parts with what was read of them, each as soon as all before it are known as well.

    Raises:
        UsageError, WorkError: a log could not be read after :data:`RETRIES` further attempts.
    """
    waiting = deque(_started(cluster, kept_job, logs))
    run_of: dict[Future[object], _Run] = {read: run for run in waiting for read in run.reads}
    done = cluster.done(list(run_of))
    for future in done:
        run = run_of.pop(future)
        if future in run.reads:
            _show(progress, future, run.reads[future])
            run.unread -= 1
            asked = [] if run.unread else run.ask(cluster)
            run_of |= dict.fromkeys(asked, run)
            done.update(asked)
        else:
            run.take(future)
        while waiting and waiting[0].is_known:
            yield from waiting.popleft().parts()


def _started(cluster: Submitter, kept_job: Future[tasks.Job], logs: Sequence[NamedLog]) -> Iterator[_Run]:
    threads = cluster.threads()
    planned = list(batches(logs, len(threads)))
    for number, run in enumerate(runs(planned, len(threads))):
        # A single batch goes to whoever is free; several are meant to lie together.
        worker = threads[number % len(threads)] if len(run) > 1 else None
        reads = {}
        for batch in planned[run.start : run.stop]:
            names = [log.name for log in batch.logs]
            reads[cluster.submit_to(worker, tasks.read_logs, kept_job, names, retries=RETRIES)] = batch
        yield _Run(reads)


def _show(progress: Progress, read: States, batch: Batch) -> None:
    if read.status == "error":
        result(read, batch.words)
    progress.show(batch.logs[-1].name, batch.size, batch.size)
    for _ in batch.logs:
        progress.next_log()

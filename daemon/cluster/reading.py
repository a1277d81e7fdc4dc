"""Logs read by the workers in any order, and known to the client in their own."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from distributed import Future

from daemon.cluster import tasks
from daemon.cluster.batches import Batch, runs
from daemon.cluster.outcomes import Outcome, outcomes_from_bytes
from daemon.cluster.submitting import SOON, Submitter, result
from daemon.log_names import NamedLog
from daemon.log_replay import Progress

States: TypeAlias = "Future[list[tasks.LogState]]"

RETRIES = 2
AHEAD = 2
"""A worker gets its next run when it has fewer batches than so many for each thread left to read."""


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
    """Batches that ``worker`` is meant to read, and what is known of them."""

    def __init__(self, worker: str | None, reads: dict[States, Batch]) -> None:
        self.worker = worker
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
    starter = _Starter(cluster, kept_job, logs)
    waiting: deque[_Run] = deque()
    run_of: dict[Future[object], _Run] = {}
    done = cluster.done([])

    def start() -> None:
        for run in starter.start():
            waiting.append(run)
            run_of.update(dict.fromkeys(run.reads, run))
            done.update(run.reads)

    start()
    for future in done:
        run = run_of.pop(future)
        if future in run.reads:
            _show(progress, future, run.reads[future])
            starter.has_read(run)
            start()
            asked = [] if run.unread else run.ask(cluster)
            run_of |= dict.fromkeys(asked, run)
            done.update(asked)
        else:
            run.take(future)
        while waiting and waiting[0].is_known:
            yield from waiting.popleft().parts()


class _Starter:
    """Hands runs to workers that are about to have nothing to do, in the order of the logs."""

    def __init__(self, cluster: Submitter, kept_job: Future[tasks.Job], logs: Sequence[NamedLog]) -> None:
        self._cluster = cluster
        self._kept_job = kept_job
        self._left = deque(runs(logs, sum(cluster.threads().values())))
        self._unread: Counter[str | None] = Counter()

    def has_read(self, run: _Run) -> None:
        """One more batch of a run was read."""
        run.unread -= 1
        self._unread[run.worker] -= 1

    def start(self) -> Iterator[_Run]:
        """The next runs, as many as workers want now."""
        if not self._left:
            return
        for worker, count in self._cluster.threads().items():
            while self._left and self._unread[worker] < AHEAD * count:
                yield self._started(worker, self._left.popleft())

    def _started(self, worker: str | None, batches: Sequence[Batch]) -> _Run:
        reads = {}
        for batch in batches:
            names = [log.name for log in batch.logs]
            read = self._cluster.submit_to(worker, tasks.read_logs, self._kept_job, names, retries=RETRIES)
            reads[read] = batch
        self._unread[worker] += len(reads)
        return _Run(worker, reads)


def _show(progress: Progress, read: States, batch: Batch) -> None:
    if read.status in ("error", "cancelled"):
        result(read, batch.words)
    progress.show(batch.logs[-1].name, batch.size, batch.size)
    for _ in batch.logs:
        progress.next_log()

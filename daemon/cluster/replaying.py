"""Logs replayed on a cluster: the client's part. The result is, bit for bit, that of one machine.

Reading is one task per batch of neighbouring logs, done in any order. As soon as all logs up to some
place are known, tasks are added that follow them in their order (equations, watch for a change) and that
add up what is exact, as a tree. Every so many batches the client takes over what they came to: it is the
place to go on from when a worker is lost.
"""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from distributed import Client, Future, KilledWorker, as_completed
from distributed.comm import CommClosedError

from daemon.cluster import tasks
from daemon.cluster.connection import connected, one_line
from daemon.cluster.order import LogOrder
from daemon.errors import UsageError, WorkError
from daemon.log_names import NamedLog, refuse_twice
from daemon.log_replay import STDIN, Progress, Reading, Replayed, shown_name
from daemon.output.progress import ProgressBar
from lowmaf.cells import BlockKey, CellSums
from lowmaf.filters import Filters
from lowmaf.learned import KEPT_BLOCKS
from lowmaf.maf_table import MafTable
from lowmaf.merging import ExactSums, Followed, Merged, blocks_from_bytes, summed_equations

_States: TypeAlias = "Future[list[tasks.LogState]]"

RETRIES = 2
BATCH_LOGS = 32
BATCH_BYTES = 64_000_000
BATCHES_PER_THREAD = 8
"""Batches are small enough that no worker waits long for the last one."""
USUAL_BYTES = 1_000_000
"""Taken for the size of a log where nobody knows it."""
FAN_IN = 4
CHECKPOINT_BATCHES = 16
"""Losing a worker costs at most reading so many batches once more."""
SOON = 10
"""Priority of what makes room: before reading more."""


def replay_on(
    address: str,
    names: Sequence[str],
    table: MafTable,
    *,
    estimator: str = "curve",
    filters: Filters | None = None,
    reading: Reading | None = None,
    progress: Progress | None = None,
) -> Replayed:
    """Replays logs on the Dask cluster whose scheduler is at ``address``.

    ``names`` are files, folders, patterns or URLs as the workers see them; relative ones count from the
    working directory here. ``progress`` is a bar on stderr where none is given.

    Raises:
        UsageError: a name that cannot mean a log on a cluster, or one log twice.
        WorkError: no cluster answers, its versions differ, or a log could not be read to its end after
            :data:`RETRIES` further attempts.
    """
    if STDIN in names:
        raise UsageError("standard input lies on this machine only: with --cluster logs are named")
    job = tasks.Job(
        table,
        estimator,
        Filters() if filters is None else filters,
        Reading({}) if reading is None else reading,
        Path.cwd(),
        tasks.versions(),
    )
    with connected(address) as client:
        logs: list[NamedLog] = _result(
            client.submit(tasks.named_logs, list(names), job.folder, pure=False), address
        )
        refuse_twice(log.name for log in logs)
        bar: Progress = ProgressBar(sys.stderr, len(logs)) if progress is None else progress
        return _ClusterRun(client, job, bar).replay(logs)


@dataclass(frozen=True, slots=True)
class _Read:
    """A batch that was read: its states, and the workers that have them: other tasks go there."""

    states: _States
    workers: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Newest:
    """A batch that was read, and how many blocks those of its logs have that count."""

    read: _Read
    blocks: tuple[tuple[tasks.Chosen, int], ...]

    @property
    def size(self) -> int:
        """Blocks of all its logs that count."""
        return sum(blocks for _, blocks in self.blocks)


class _ClusterRun:
    """One replay. The futures that it holds are what the cluster keeps; closing the client drops them."""

    def __init__(self, client: Client, job: tasks.Job, progress: Progress) -> None:
        self._client = client
        self._job = job
        self._kept_job = self._submit(tasks.same, job)
        self._progress = progress
        self._order = LogOrder()
        self._newest: deque[_Newest] = deque()
        self._leaves: list[Future[ExactSums]] = []
        self._exact: ExactSums | None = None
        self._followed: Future[Followed] | Followed | None = None

    def replay(self, logs: Sequence[NamedLog]) -> Replayed:
        """Reads all logs and puts them together."""
        for number, (batch, read, found) in enumerate(self._read_in_order(logs), start=1):
            self._take(batch, read, found)
            if number % CHECKPOINT_BATCHES == 0:
                self._checkpoint()
        self._checkpoint()
        self._progress.clear()
        return self._replayed(len(logs))

    def _read_in_order(
        self, logs: Sequence[NamedLog]
    ) -> Iterator[tuple[Sequence[NamedLog], _Read, Sequence[tasks.Outcome]]]:
        """Batches with what was read of them, each as soon as all before it are known as well."""
        batches = list(_batches(logs, sum(self._client.nthreads().values())))
        read: dict[_States, int] = {}
        for number, batch in enumerate(batches):
            names = [log.name for log in batch]
            read[self._submit(tasks.read_logs, self._kept_job, names, retries=RETRIES)] = number
        asked: dict[Future[list[tasks.Outcome]], tuple[int, _Read]] = {}
        known: dict[int, tuple[_Read, Sequence[tasks.Outcome]]] = {}
        nexts = itertools.count()
        wanted = next(nexts)
        done = as_completed(list(read), loop=self._client.loop)
        for future in done:
            if future in read:
                number = read.pop(future)
                there = _Read(future, self._holders(future))
                outcomes = self._submit_where(there, tasks.outcomes, future)
                asked[outcomes] = (number, there)
                done.add(outcomes)
                continue
            number, there = asked.pop(future)
            known[number] = there, _result(future, _words(batches[number]))
            self._show(batches[number])
            while wanted in known:
                yield batches[wanted], *known.pop(wanted)
                wanted = next(nexts)

    def _take(self, batch: Sequence[NamedLog], read: _Read, found: Sequence[tasks.Outcome]) -> None:
        """The next batch in the order of the logs."""
        chosen = self._order.take([shown_name(log.name) for log in batch], found)
        if not chosen:
            return
        self._leaves.append(self._submit_where(read, tasks.exact_sums, read.states, chosen))
        if self._job.estimator != "curve":
            return
        self._followed = self._submit_where(
            read, tasks.follow, self._kept_job, self._followed, read.states, chosen
        )
        self._newest.append(_Newest(read, tuple((each, found[each.index].blocks) for each in chosen)))
        while sum(one.size for one in self._newest) - self._newest[0].size >= KEPT_BLOCKS:
            self._newest.popleft()

    def _checkpoint(self) -> None:
        """Merges what was read since the last one, and takes it over."""
        while len(self._leaves) > 1:
            self._leaves = [
                self._submit(tasks.merged_sums, self._leaves[first : first + FAN_IN], priority=SOON)
                for first in range(0, len(self._leaves), FAN_IN)
            ]
        if self._leaves:
            merged: ExactSums = _result(self._leaves.pop(), "merging")
            self._exact = merged if self._exact is None else self._exact + merged
        if isinstance(self._followed, Future):
            self._followed = _result(self._followed, "merging")

    def _replayed(self, logs: int) -> Replayed:
        job, order, followed = self._job, self._order, self._followed
        assert self._exact is not None
        assert not isinstance(followed, Future)
        pipeline = job.pipeline()
        equations = [] if followed is None else summed_equations(job.table.cells, followed, order.said)
        changes = (None, None) if followed is None else (followed.first_change, followed.last_change)
        warnings = order.warnings(*changes)
        pipeline.take_merged(Merged(self._exact, equations, warnings, order.updated_s))
        held_out = pipeline.held_out(self._newest_blocks()) if order.summaries else None
        return Replayed(
            pipeline.snapshot(held_out),
            tuple(order.summaries),
            tuple(order.troubles),
            tuple(order.copies),
            logs,
        )

    def _newest_blocks(self) -> CellSums:
        """The newest blocks, at least as many as the held-out check looks at."""
        sums = CellSums(self._job.table.cells)
        for newest in reversed(self._newest):
            needed: list[tasks.Chosen] = []
            missing = KEPT_BLOCKS - len(sums.blocks)
            for each, blocks in reversed(newest.blocks):
                if missing > 0:
                    needed.append(each)
                    missing -= blocks
            read = newest.read
            kept = _result(self._submit_where(read, tasks.blocks_of, read.states, needed), "merging")
            for drive, numbers, packed in kept:
                for number, block in zip(numbers, blocks_from_bytes(packed), strict=True):
                    sums.add(BlockKey(drive, number), block)
        return sums

    def _show(self, batch: Sequence[NamedLog]) -> None:
        size = sum(log.size or USUAL_BYTES for log in batch)
        self._progress.show(batch[-1].name, size, size)
        for _ in batch:
            self._progress.next_log()

    def _holders(self, future: _States) -> Sequence[str]:
        """Workers that have a result; none where there is no result."""
        return [worker for workers in self._client.who_has([future]).values() for worker in workers]

    def _submit_where(self, read: _Read, task: Callable[..., object], *arguments: object) -> Future[Any]:
        """A task that runs where the states of a batch are, or anywhere once that worker is lost."""
        where = {"workers": list(read.workers), "allow_other_workers": True} if read.workers else {}
        return self._submit(task, *arguments, priority=SOON, **where)

    def _submit(self, task: Callable[..., object], *arguments: object, **options: Any) -> Future[Any]:
        return self._client.submit(task, *arguments, pure=False, **options)


def _batches(logs: Sequence[NamedLog], threads: int) -> Iterator[list[NamedLog]]:
    """Neighbouring logs, so many that a task is worth its trouble and that no thread is left without one."""
    sizes = [log.size or USUAL_BYTES for log in logs]
    most = min(BATCH_BYTES, sum(sizes) / (BATCHES_PER_THREAD * max(threads, 1)))
    batch: list[NamedLog] = []
    held = 0
    for log, size in zip(logs, sizes, strict=True):
        if batch and (len(batch) == BATCH_LOGS or held + size > most):
            yield batch
            batch, held = [], 0
        batch.append(log)
        held += size
    if batch:
        yield batch


def _words(batch: Sequence[NamedLog]) -> str:
    first = shown_name(batch[0].name)
    return first if len(batch) == 1 else f"{first} to {shown_name(batch[-1].name)} ({len(batch)} logs)"


def _result(future: Future[Any], what: str) -> Any:
    """The result of a task; ``what`` it was for.

    Raises:
        UsageError, WorkError: the task's own, or in one line how it failed.
    """
    try:
        return future.result()
    except (UsageError, WorkError):
        raise
    except KilledWorker as error:
        raise WorkError(
            f"{what}: {error.allowed_failures + 1} workers died one after another while they worked on it; "
            "they may have too little memory for it"
        ) from None
    except (CancelledError, CommClosedError, OSError) as error:
        raise WorkError(f"{what}: the cluster was lost: {one_line(error)}") from None
    except Exception as error:
        raise WorkError(f"{what}: a worker failed: {type(error).__name__}: {one_line(error)}") from error

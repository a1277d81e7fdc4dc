"""Logs replayed on a cluster: the client's part. The result is, bit for bit, that of one machine.

Reading is one task per batch of neighbouring logs, done in any order. As soon as all logs up to some
place are known, tasks are added that follow them in their order (equations, watch for a change) and that
add up what is exact, as a tree. Every so many logs the client takes over what they came to: it is the
place to go on from when a worker is lost.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from distributed import Future

from daemon.cluster import tasks
from daemon.cluster.connection import connected
from daemon.cluster.newest import NewestLogs
from daemon.cluster.order import LogOrder
from daemon.cluster.outcomes import Outcome
from daemon.cluster.packed_sums import PackedSums
from daemon.cluster.reading import Part, read_in_order
from daemon.cluster.submitting import SOON, Submitter, result
from daemon.errors import UsageError
from daemon.log_names import NamedLog, refuse_twice
from daemon.log_replay import STDIN, Progress, Reading, Replayed, shown_name
from daemon.output.progress import ProgressBar
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable
from lowmaf.merging import ExactSums, Followed, Merged, summed_equations
from lowmaf.snapshot import HeldOut

FAN_IN = 4
CHECKPOINT_LOGS = 512
CHECKPOINT_BYTES = 1_000_000_000
"""Losing a worker costs at most reading so many logs, or so much, once more."""


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
            two further attempts.
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
        cluster = Submitter(client)
        listed = cluster.submit(tasks.named_logs, list(names), job.folder)
        logs: list[NamedLog] = result(listed, address)
        refuse_twice(log.name for log in logs)
        bar: Progress = ProgressBar(sys.stderr, len(logs)) if progress is None else progress
        return _ClusterRun(cluster, job, bar).replay(logs)


class _ClusterRun:
    """One replay. The futures that it holds are what the cluster keeps; closing the client drops them."""

    def __init__(self, cluster: Submitter, job: tasks.Job, progress: Progress) -> None:
        self._cluster = cluster
        self._job = job
        self._kept_job = cluster.submit(tasks.same, job)
        self._progress = progress
        self._order = LogOrder()
        self._newest = NewestLogs()
        self._leaves: list[Future[PackedSums]] = []
        self._exact: ExactSums | None = None
        self._blocks = 0
        self._followed: Future[Followed] | Followed | None = None

    def replay(self, logs: Sequence[NamedLog]) -> Replayed:
        """Reads all logs and puts them together."""
        since_logs = since_bytes = 0
        for part, found in read_in_order(self._cluster, self._kept_job, logs, self._progress):
            self._take(part, found)
            since_logs, since_bytes = since_logs + len(found), since_bytes + part.size
            if since_logs >= CHECKPOINT_LOGS or since_bytes >= CHECKPOINT_BYTES:
                self._checkpoint()
                since_logs = since_bytes = 0
        held_out = self._held_out()
        self._progress.clear()
        return self._replayed(len(logs), held_out)

    def _take(self, part: Part, found: Sequence[Outcome]) -> None:
        """The next part in the order of the logs."""
        chosen = self._order.take([shown_name(log.name) for log in part.logs], found)
        if not chosen:
            return
        exact = self._cluster.submit_to(part.worker, tasks.exact_sums, part.states, chosen, priority=SOON)
        self._leaves.append(exact)
        if self._job.estimator != "curve":
            return
        groups = self._cluster.submit_to(
            part.worker, tasks.groups, self._kept_job, part.states, chosen, self._blocks, priority=SOON
        )
        at = self._kept_job, self._followed
        self._followed = self._cluster.submit_to(
            part.worker, tasks.follow, *at, part.states, chosen, groups, priority=SOON
        )
        self._blocks += sum(found[each.index].blocks for each in chosen)
        self._newest.add(part, chosen, found)

    def _checkpoint(self) -> None:
        """Merges what was read since the last one, and takes it over."""
        while len(self._leaves) > 1:
            self._leaves = [
                self._cluster.submit(tasks.merged_sums, self._leaves[first : first + FAN_IN], priority=SOON)
                for first in range(0, len(self._leaves), FAN_IN)
            ]
        if self._leaves:
            packed: PackedSums = result(self._leaves.pop(), "merging")
            merged = packed.unpacked()
            self._exact = merged if self._exact is None else self._exact + merged
        if isinstance(self._followed, Future):
            self._followed = result(self._followed, "merging")

    def _held_out(self) -> HeldOut | None:
        """The held-out check, and the last checkpoint meanwhile: no other log follows."""
        checked = None
        if self._order.summaries and self._job.estimator == "curve":
            checked = self._newest.held_out(self._cluster, self._kept_job)
        if isinstance(self._followed, Future):
            end = self._cluster.submit(tasks.followed_to_the_end, self._followed, priority=SOON)
            self._followed = end
        self._checkpoint()
        found: HeldOut | None = None if checked is None else result(checked, "merging")
        return found

    def _replayed(self, logs: int, held_out: HeldOut | None) -> Replayed:
        job, order, followed = self._job, self._order, self._followed
        assert self._exact is not None
        assert not isinstance(followed, Future)
        pipeline = job.pipeline()
        equations = [] if followed is None else summed_equations(job.table.cells, followed, order.said)
        changes = (None, None) if followed is None else (followed.first_change, followed.last_change)
        warnings = order.warnings(*changes)
        pipeline.take_merged(Merged(self._exact, equations, warnings, order.updated_s))
        return Replayed(
            pipeline.snapshot(held_out),
            tuple(order.summaries),
            tuple(order.troubles),
            tuple(order.copies),
            logs,
        )

"""What runs on the workers: each log becomes its sums where it lies, and sums are merged there.

Results stay on the worker that made them until another task needs them; only outcomes and what all logs
come to travel to the client. A task gives the same again when it is repeated because its worker was lost.
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from daemon.cluster.outcomes import Outcome, outcomes_to_bytes
from daemon.cluster.packed_sums import PackedSums
from daemon.errors import WorkError
from daemon.log_names import NamedLog, at_hand, expanded
from daemon.log_replay import Log, Reading, feed_log, nothing_counted, shown_name, with_digest
from drivers.logs.errors import LogUnreadableError
from drivers.logs.summary import LogSummary
from lowmaf.cells import BlockKey, CellSums
from lowmaf.equation_bytes import equations_from_bytes, equations_to_bytes
from lowmaf.filters import Filters
from lowmaf.held_out import held_out_check
from lowmaf.judge import Judged
from lowmaf.maf_table import MafTable
from lowmaf.merging import (
    ExactSums,
    Followed,
    Follower,
    Said,
    blocks_from_bytes,
    blocks_to_bytes,
    complete_groups,
)
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch
from lowmaf.snapshot import DataWarning, HeldOut
from lowmaf.solve import Whole, wholes
from lowmaf.verdicts import Verdict
from lowmaf.windows import Integers

COMPARED = ("lowmaf", "numpy", "distributed")


@dataclass(frozen=True, slots=True)
class Job:
    """How all logs are read. Relative names count from ``folder``; ``versions`` are the client's."""

    table: MafTable
    estimator: str
    filters: Filters
    reading: Reading
    folder: Path
    versions: Mapping[str, str]

    def pipeline(self, *, only_sums: bool = False) -> Pipeline:
        """One that has seen nothing yet."""
        return Pipeline(self.table, estimator=self.estimator, filters=self.filters, only_sums=only_sums)


@dataclass(frozen=True, slots=True)
class LogState:
    """One log as its additive sums: all together, by block (``numbers`` tells which), and its equations."""

    outcome: Outcome
    exact: ExactSums
    numbers: tuple[int, ...]
    blocks: bytes
    equations: bytes

    def by_number(self) -> dict[int, Integers]:
        """Sums of each block, in the order of time."""
        return dict(zip(self.numbers, blocks_from_bytes(self.blocks), strict=True))


_Batches: TypeAlias = Sequence[Sequence[LogState]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A log that counts: its place among those of its task, and the number of its drive.

    ``skipped``: so many of its oldest blocks are left out.
    """

    index: int
    drive: int
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class NewestLog:
    """Blocks of a log that the held-out check looks at; ``equations`` are None where some are left out."""

    drive: int
    numbers: tuple[int, ...]
    blocks: bytes
    equations: bytes | None


class _Watcher:
    """Of one log: whether it began, and when it first gave reason for each warning."""

    keeps_samples = False

    def __init__(self) -> None:
        self.begun = False
        self.warnings: dict[str, tuple[float, DataWarning]] = {}
        self._newest_block = float("-inf")

    def begin(self, _log: Log) -> int:
        self.begun = True
        return 1

    def take(self, _batch: SampleBatch, judged: Judged, pipeline: Pipeline) -> None:
        for warning in pipeline.stream_warnings:
            self.warnings.setdefault(warning.code, (self._newest_block, warning))
        if judged.sums:
            self._newest_block = float(judged.sums[-1][0])

    def end(self, _judged: Judged, _pipeline: Pipeline, _summary: LogSummary) -> None:
        """The pipeline has all of it."""

    def drop(self) -> None:
        """What was read before it went wrong stays counted, as on one machine."""


class _Silent:
    """Nobody looks at a bar on a worker."""

    def show(self, name: str, read: int, total: int | None, /) -> None: ...
    def next_log(self) -> None: ...
    def clear(self) -> None: ...


@functools.cache
def versions() -> dict[str, str]:
    """What must be the same everywhere for results to be the same."""
    found = {name: importlib.metadata.version(name) for name in COMPARED}
    return {"Python": ".".join(platform.python_version_tuple()[:2]), **found}


def same(job: Job) -> Job:
    """The job, for the workers to hand to each other instead of having it with every task."""
    return job


def named_logs(names: Sequence[str], folder: Path) -> list[NamedLog]:
    """The logs that these names mean, as a worker sees them."""
    return expanded(names, folder)


def read_logs(job: Job, names: Sequence[str]) -> list[LogState]:
    """Each of these logs as its sums.

    Raises:
        WorkError: a log could not be read to its end because of the disk or the network; or this worker,
            which came late, has other versions than the client.
    """
    if versions() != job.versions:
        raise WorkError(
            f"a worker on {platform.node()} has {versions()}, this machine has {dict(job.versions)}"
        )
    return [_state(job, name) for name in names]


def outcomes(batches: _Batches) -> bytes:
    """What the client has to know of these logs, as :func:`outcomes_to_bytes` packs it."""
    return outcomes_to_bytes([state.outcome for state in chain.from_iterable(batches)])


def exact_sums(batches: _Batches, chosen: Sequence[Chosen]) -> PackedSums:
    """What adds up in any order, of those logs that count; there is at least one."""
    return PackedSums.of([state.exact for state, _ in _those(batches, chosen)])


def merged_sums(parts: Sequence[PackedSums]) -> PackedSums:
    """One node of the tree."""
    return PackedSums.of([part.unpacked() for part in parts])


def groups(job: Job, batches: _Batches, chosen: Sequence[Chosen], before: int) -> dict[BlockKey, bytes]:
    """What :func:`follow` needs of these logs that no other log has a part in: the dearest of it.

    So many blocks of logs that count come ``before`` them.
    """
    cells = job.table.cells
    sums = CellSums(cells)
    whole: dict[tuple[int, int], Whole] = {}
    for state, each in _those(batches, chosen):
        keys = _add_blocks(sums, each.drive, state.numbers, state.blocks)
        whole |= wholes(keys, equations_from_bytes(cells, state.equations))
    found = complete_groups(job.pipeline().solver, sums, before, whole)
    return {first: equations_to_bytes(cells, group) for first, group in found.items()}


def follow(
    job: Job,
    before: Followed | None,
    batches: _Batches,
    chosen: Sequence[Chosen],
    packed: Mapping[BlockKey, bytes],
) -> Followed:
    """What depends on the order of the logs, from where the task before this one stopped."""
    cells = job.table.cells
    follower = Follower(cells, job.pipeline().solver, before)
    made = {first: equations_from_bytes(cells, group) for first, group in packed.items()}
    for state, each in _those(batches, chosen):
        follower.add(each.drive, state.by_number(), equations_from_bytes(cells, state.equations), made)
    return follower.stands()


def followed_to_the_end(followed: Followed) -> Followed:
    """The same without what only another drive would need."""
    return replace(followed, groups=(), keys=(), blocks=b"")


def newest_logs(batches: _Batches, chosen: Sequence[Chosen]) -> list[NewestLog]:
    """Of the newest logs what :func:`held_out` needs, taken where they lie."""
    return [_newest_log(state, each) for state, each in _those(batches, chosen)]


def held_out(job: Job, parts: Sequence[Sequence[NewestLog]]) -> HeldOut | None:
    """The held-out check on the newest logs, in any order."""
    cells = job.table.cells
    sums = CellSums(cells)
    whole: dict[tuple[int, int], Whole] = {}
    for log in chain.from_iterable(parts):
        keys = _add_blocks(sums, log.drive, log.numbers, log.blocks)
        if log.equations is not None:
            whole |= wholes(keys, equations_from_bytes(cells, log.equations))
    return held_out_check(sums, job.pipeline().solver, whole)


def _add_blocks(sums: CellSums, drive: int, numbers: Sequence[int], packed: bytes) -> list[BlockKey]:
    keys = [BlockKey(drive, number) for number in numbers]
    for key, block in zip(keys, blocks_from_bytes(packed), strict=True):
        sums.add(key, block)
    return keys


def _those(batches: _Batches, chosen: Sequence[Chosen]) -> list[tuple[LogState, Chosen]]:
    states = list(chain.from_iterable(batches))
    return [(states[each.index], each) for each in chosen]


def _newest_log(state: LogState, each: Chosen) -> NewestLog:
    if not each.skipped:
        return NewestLog(each.drive, state.numbers, state.blocks, state.equations)
    blocks = blocks_from_bytes(state.blocks)[each.skipped :]
    return NewestLog(each.drive, state.numbers[each.skipped :], blocks_to_bytes(blocks), None)


def _state(job: Job, name: str) -> LogState:
    pipeline, watcher = job.pipeline(only_sums=True), _Watcher()
    before = pipeline.verdict_counts()
    digest: str | None = None
    summary: LogSummary | None = None
    try:
        with at_hand(name, job.folder) as path:
            log = with_digest(Log(shown_name(name), path), job.reading.limits)
            digest = log.digest
            summary = feed_log(log, pipeline, job.reading, watcher, _Silent())
    except LogUnreadableError as error:
        troubles: tuple[str, ...] = (str(error),)
    else:
        troubles = tuple(nothing_counted(log.name, before, pipeline.verdict_counts()))
    blocks, equations = pipeline.learned.sums.blocks, pipeline.equations()
    keys = sorted(blocks)
    outcome = Outcome(
        digest,
        summary,
        troubles,
        watcher.begun,
        len(keys),
        pipeline.updated_s if _any_verdict(pipeline) else None,
        tuple(watcher.warnings.values()),
        tuple(Said.of(stretch) for stretch in equations),
    )
    return LogState(
        outcome,
        pipeline.exact_sums(),
        tuple(key.block for key in keys),
        blocks_to_bytes([blocks[key] for key in keys]),
        equations_to_bytes(job.table.cells, equations),
    )


def _any_verdict(pipeline: Pipeline) -> bool:
    """Whether any sample was judged; those whose time does not rise are refused before that."""
    counts = pipeline.verdict_counts()
    return sum(counts.values()) > counts[Verdict.TIME_NOT_RISING.label]

"""What runs on the workers: each log becomes its sums where it lies, and sums are merged there.

Results stay on the worker that made them until another task needs them; only :class:`Outcome`, the
merged sums and the newest blocks travel to the client. A task gives the same again when it is repeated
because its worker was lost.
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import WorkError
from daemon.log_names import NamedLog, at_hand, expanded
from daemon.log_replay import Log, Reading, feed_log, nothing_counted, shown_name, with_digest
from drivers.logs.errors import LogUnreadableError
from drivers.logs.summary import LogSummary
from lowmaf.equation_bytes import equations_from_bytes, equations_to_bytes
from lowmaf.filters import Filters
from lowmaf.judge import Judged
from lowmaf.maf_table import MafTable
from lowmaf.merging import ExactSums, Followed, Follower, Said, blocks_from_bytes, blocks_to_bytes
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch
from lowmaf.snapshot import DataWarning
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
class Outcome:
    """What the client has to know of one log; about 1 kB.

    ``begun``: it gave samples. ``updated_s`` is the time of its newest sample with a verdict, None
    without one. ``warnings`` come with the number of the newest block before each, -inf before the first.
    """

    digest: str | None
    summary: LogSummary | None
    troubles: tuple[str, ...]
    begun: bool
    blocks: int
    updated_s: float | None
    warnings: tuple[tuple[float, DataWarning], ...]
    said: tuple[Said, ...]


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


@dataclass(frozen=True, slots=True)
class Chosen:
    """A log that counts: its place among those of its task, and the number of its drive."""

    index: int
    drive: int


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


def outcomes(states: Sequence[LogState]) -> list[Outcome]:
    """What the client has to know of these logs."""
    return [state.outcome for state in states]


def exact_sums(states: Sequence[LogState], chosen: Sequence[Chosen]) -> ExactSums:
    """What adds up in any order, of those logs that count; there is at least one."""
    return merged_sums([states[each.index].exact for each in chosen])


def merged_sums(parts: Sequence[ExactSums]) -> ExactSums:
    """One node of the tree."""
    return functools.reduce(lambda one, other: one + other, parts)


def follow(
    job: Job, before: Followed | None, states: Sequence[LogState], chosen: Sequence[Chosen]
) -> Followed:
    """What depends on the order of the logs, from where the task before this one stopped."""
    cells = job.table.cells
    follower = Follower(cells, job.pipeline().solver, before)
    for each in chosen:
        state = states[each.index]
        follower.add(each.drive, state.by_number(), equations_from_bytes(cells, state.equations))
    return follower.stands()


def blocks_of(
    states: Sequence[LogState], chosen: Sequence[Chosen]
) -> list[tuple[int, tuple[int, ...], bytes]]:
    """Blocks of the newest logs, for the held-out check: drive, numbers, sums."""
    return [(each.drive, states[each.index].numbers, states[each.index].blocks) for each in chosen]


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

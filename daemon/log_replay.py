"""Recorded logs through the core, one after another: what each gave, and why one gave nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from daemon.errors import WorkError
from daemon.output.progress import ProgressBar
from drivers.dbc_signals import SignalMap
from drivers.logs.content import content_digest
from drivers.logs.errors import LogUnreadableError
from drivers.logs.limits import DEFAULT_LIMITS, LogLimits
from drivers.logs.opening import open_log
from drivers.logs.recorded_drive import RecordedDrive
from drivers.logs.summary import LogSummary
from lowmaf.judge import Judged
from lowmaf.pipeline import Pipeline
from lowmaf.sample_stream import USED_CHANNELS
from lowmaf.samples import SampleBatch
from lowmaf.snapshot import Snapshot
from lowmaf.verdicts import Verdict

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Reading:
    """How logs are read: ``columns`` by role where recognition should not choose, ``signals`` where
    a DBC file describes CAN recordings."""

    columns: Mapping[str, str]
    require_flag: bool = False
    decimal_comma: bool = False
    signals: SignalMap | None = None
    limits: LogLimits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class Log:
    """One log that was asked for. ``digest`` tells its content from others'; None where nobody asked."""

    name: str
    source: Path | BinaryIO
    digest: str | None = None


class Keeper(Protocol):
    """What happens with the samples and cells of logs besides the table.

    ``keeps_samples``: whether it wants every channel that a log has, not only those that the table needs.
    """

    keeps_samples: bool

    def begin(self, log: Log, /) -> int:
        """A log begins; returns the number of its drive."""
        ...

    def take(self, batch: SampleBatch, judged: Judged, pipeline: Pipeline, /) -> None:
        """Samples of the log, the verdicts that became final, and who has its cells."""
        ...

    def end(self, judged: Judged, pipeline: Pipeline, summary: LogSummary, /) -> None:
        """The log was read to its end: the last verdicts."""
        ...

    def drop(self) -> None:
        """The log that began cannot be used after all."""
        ...


class Progress(Protocol):
    """Who is told how far the reading of the logs is, such as a bar on a terminal."""

    def show(self, name: str, read: int, total: int | None, /) -> None:
        """How much of the current log was read, in bytes; ``total`` is None for a stream."""
        ...

    def next_log(self) -> None:
        """The current log is done."""
        ...

    def clear(self) -> None:
        """All logs are done."""
        ...


class KeepNothing:
    """Numbers the logs, and that is all."""

    keeps_samples = False

    def __init__(self) -> None:
        self._begun = 0

    def begin(self, _log: Log) -> int:
        self._begun += 1
        return self._begun

    def take(self, _batch: SampleBatch, _judged: Judged, pipeline: Pipeline) -> None:
        """Nothing is kept: the pipeline need not remember what changed."""
        pipeline.take_changed_blocks()

    def end(self, _judged: Judged, pipeline: Pipeline, _summary: LogSummary) -> None:
        """The same."""
        pipeline.take_changed_blocks()

    def drop(self) -> None:
        """There is nothing to drop."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of all ``logs``, so many, together, and what became of each.

    ``troubles`` are logs that gave nothing, each with the reason in one line; ``copies`` say which log
    was left out because another holds the same.
    """

    snapshot: Snapshot
    summaries: tuple[LogSummary, ...]
    troubles: tuple[str, ...]
    copies: tuple[str, ...]
    logs: int


def logs_of(names: Sequence[str]) -> list[Log]:
    """The logs that were asked for. Of several, each file is read once more, to tell whether another holds
    the same; pipes cannot be read twice and are not."""
    logs = [_log(name) for name in names]
    return logs if len(logs) == 1 else [with_digest(log) for log in logs]


def with_digest(log: Log, limits: LogLimits = DEFAULT_LIMITS) -> Log:
    """The log with the digest of its content, where it is a file that can be read."""
    is_file = isinstance(log.source, Path) and log.source.is_file()
    return replace(log, digest=content_digest(log.source, limits)) if is_file else log


def _log(name: str) -> Log:
    if name == STDIN:
        return Log("stdin", sys.stdin.buffer)
    return Log(shown_name(name), Path(name))


def shown_name(name: str) -> str:
    """A file's name as text, whatever its bytes are."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def replay(
    logs: Sequence[Log],
    pipeline: Pipeline,
    reading: Reading,
    keeper: Keeper,
    progress: Progress | None = None,
) -> Replayed:
    """Feeds all logs and estimates the table. ``progress`` is a bar on stderr where none is given.

    Raises:
        WorkError: a log could not be read to its end because of the disk or the like.
    """
    summaries: list[LogSummary] = []
    troubles: list[str] = []
    copies: list[str] = []
    first_with: dict[str, str] = {}
    bar: Progress = ProgressBar(sys.stderr, len(logs)) if progress is None else progress
    for log in logs:
        if log.digest is not None and log.digest in first_with:
            copies.append(copy_words(log.name, first_with[log.digest]))
            bar.next_log()
            continue
        before = pipeline.verdict_counts()
        try:
            summaries.append(feed_log(log, pipeline, reading, keeper, bar))
        except LogUnreadableError as error:
            troubles.append(str(error))
        else:
            troubles += nothing_counted(log.name, before, pipeline.verdict_counts())
            if log.digest is not None:
                first_with[log.digest] = log.name
        bar.next_log()
    bar.clear()
    snapshot = pipeline.snapshot(pipeline.held_out() if summaries else None)
    return Replayed(snapshot, tuple(summaries), tuple(troubles), tuple(copies), len(logs))


def copy_words(name: str, first: str) -> str:
    """That log ``name`` is left out because ``first`` holds the same, in one line."""
    return f"{name}: holds the same as {first}: counted once"


def feed_log(
    log: Log, pipeline: Pipeline, reading: Reading, keeper: Keeper, progress: Progress
) -> LogSummary:
    """Feeds one log to its end.

    Raises:
        LogUnreadableError: it gives no table; what was read of it before that stays counted.
        WorkError: it could not be read to its end because of the disk or the like.
    """
    drive = _opened(log, pipeline, reading, keeper)
    _feed(drive, log, pipeline, keeper, progress)
    return drive.summary


def _opened(log: Log, pipeline: Pipeline, reading: Reading, keeper: Keeper) -> RecordedDrive:
    used = USED_CHANNELS | pipeline.filters.channels_needed().keys()
    return open_log(
        log.source,
        log.name,
        columns=reading.columns,
        require_flag=reading.require_flag,
        decimal_comma=True if reading.decimal_comma else None,
        channels=None if keeper.keeps_samples else used,
        maf_table=pipeline.table,
        signals=reading.signals,
        limits=reading.limits,
    )


def _feed(drive: RecordedDrive, log: Log, pipeline: Pipeline, keeper: Keeper, bar: Progress) -> None:
    begun = False
    try:
        for batch in drive.batches():
            if not begun:
                _refuse_without_axis(drive.name, batch, pipeline)
                pipeline.begin(keeper.begin(log))
                begun = True
            keeper.take(batch, pipeline.feed(batch), pipeline)
            bar.show(drive.name, *drive.progress)
    except OSError as error:
        raise WorkError(f"{drive.name}: reading failed: {error.strerror or error}") from error
    except LogUnreadableError:
        pipeline.finish()
        if begun:
            keeper.drop()
        raise
    keeper.end(pipeline.finish(), pipeline, drive.summary)


def _refuse_without_axis(name: str, batch: SampleBatch, pipeline: Pipeline) -> None:
    if "maf_v" not in batch.channels and pipeline.table.flow_gs is None:
        raise LogUnreadableError(name, "it has g/s but no MAF voltage: needs --maf-table to find the cells")


def nothing_counted(name: str, before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[str]:
    """Why no sample of a log counted, where that is so."""
    counts = {verdict: after[verdict.label] - before[verdict.label] for verdict in Verdict}
    if counts.pop(Verdict.ACCEPTED):
        return
    seen, most = sum(counts.values()), max(counts, key=lambda verdict: counts[verdict])
    if seen == 1:
        yield f"{name}: its only sample did not count: {most.words}"
    elif counts[most] == seen:
        yield f"{name}: none of its {seen} samples counted: {most.words}"
    else:
        yield f"{name}: none of its {seen} samples counted, {counts[most]} of them because: {most.words}"

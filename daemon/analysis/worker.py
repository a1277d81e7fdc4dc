"""The process that reads uploaded logs and analyses them: apart from the daemon, of low priority, bounded.

``python -m daemon.analysis.worker`` takes one job after another on standard input, a JSON object per line,
and answers on standard output in frames: a JSON object per line that says of how many bytes the payload
behind it is. It ends when its input does.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from daemon.analysis.log_samples import FlowComparison, packed_samples
from daemon.analysis.records import filters_of, table_of
from daemon.errors import WorkError
from daemon.log_replay import KeepNothing, Log, Reading, replay, with_digest
from drivers.logs.content import content_digest
from drivers.logs.errors import LogUnreadableError
from drivers.logs.layout import NAME_ONE
from drivers.logs.limits import LogLimits
from drivers.logs.opening import open_log
from lowmaf.document import table_document
from lowmaf.judge import Judged
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch
from lowmaf.settings import CurveSettings

INTERIM_S = 0.1
"""An interim table is made after so much work."""
NICENESS = 19
"""The least of priorities: driving comes first."""
_READ_BYTES = 1 << 16
"""What a log is needs no more than its beginning, which is not read in larger pieces."""
_LONGEST_TEXT = 300
_LONGEST_LIST = 50

Tell = Callable[[str, float, Mapping[str, Any] | bytes], None]
"""Takes the kind of a frame, the progress from 0 to 1, and the payload: what JSON can say, or bytes."""


class _InterimTables(KeepNothing):
    """Tells the table as it stands after every :data:`INTERIM_S` of work, and how far the logs are read."""

    def __init__(self, tell: Tell, logs: int) -> None:
        super().__init__()
        self._tell = tell
        self._logs = logs
        self._done = 0
        self._pipeline: Pipeline | None = None
        self._told_s = time.process_time()

    def take(self, batch: SampleBatch, judged: Judged, pipeline: Pipeline) -> None:
        """Remembers whose table it is."""
        super().take(batch, judged, pipeline)
        self._pipeline = pipeline

    def show(self, _name: str, read: int, total: int | None) -> None:
        """Called after each part of a log."""
        if self._pipeline is None or time.process_time() - self._told_s < INTERIM_S:
            return
        share = min(1.0, read / total) if total else 0.0
        table = table_document(self._pipeline.snapshot())
        self._tell("interim", (self._done + share) / self._logs, {"table": table, "notes": []})
        self._told_s = time.process_time()

    def next_log(self) -> None:
        """The current log is done."""
        self._done += 1

    def clear(self) -> None:
        """All logs are done; the final table follows."""


def analyse(job: Mapping[str, Any], tell: Tell) -> None:
    """One run over one or more logs: tells interim tables, then the final one.

    Raises:
        WorkError: no log could be used, or one could not be read.
    """
    pipeline = Pipeline(
        table_of(job["table"]),
        estimator=job["estimator"],
        filters=filters_of(job["filters"]),
        settings=CurveSettings(**job["settings"]),
    )
    logs = [Log(log["name"], Path(log["path"])) for log in job["logs"]]
    limits = LogLimits(**job["log_limits"])
    if len(logs) > 1:
        logs = [with_digest(log, limits) for log in logs]
    interim = _InterimTables(tell, len(logs))
    replayed = replay(logs, pipeline, Reading({}, limits=limits), interim, interim)
    notes = [*replayed.copies, *replayed.troubles]
    if not replayed.summaries:
        raise WorkError("; ".join(notes))
    document = table_document(replayed.snapshot, logs=[log.as_json() for log in replayed.summaries])
    tell("result", 1.0, {"table": document, "notes": notes})


def recognise(job: Mapping[str, Any], tell: Tell) -> None:
    """What the beginning of a log says it is.

    Raises:
        LogUnreadableError: it cannot give a table; says why.
    """
    log = job["log"]
    limits = LogLimits(**job["log_limits"])
    drive = open_log(Path(log["path"]), log["name"], read_bytes=_READ_BYTES, limits=limits)
    next(drive.batches(), None)
    found = drive.summary.as_json()
    told = ("format", "encoding", "columns", "converted", "inferred", "warnings", "sample_rate_hz")
    digest = content_digest(Path(log["path"]), limits)
    tell("result", 1.0, {**{name: _shortened(found[name]) for name in told}, "sha256": digest})


def read_samples(job: Mapping[str, Any], tell: Tell) -> None:
    """All samples of a log, with every channel that it has.

    Raises:
        LogUnreadableError: it cannot give a table; says why.
        WorkError: it cannot be read, or its flow is not what the MAF table gives.
    """
    log, table = job["log"], table_of(job["table"])
    limits = LogLimits(**job["log_limits"])
    drive = open_log(Path(log["path"]), log["name"], maf_table=table, limits=limits)
    flow = FlowComparison(table)
    begun = False
    try:
        for batch in drive.batches():
            begun = True
            flow.take(batch)
            read, total = drive.progress
            tell("samples", min(1.0, read / total) if total else 0.0, packed_samples(batch))
    except OSError as error:
        raise WorkError(f"{log['name']}: reading failed: {error.strerror or error}") from error
    if (words := flow.words() if begun else "it has no samples") is not None:
        raise WorkError(f"{log['name']}: {words}")
    tell("result", 1.0, {})


def _shortened(value: Any) -> Any:
    """What a log says of itself may be as long as it likes, and is kept for every log."""
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    if isinstance(value, list):
        return [_shortened(item) for item in value[:_LONGEST_LIST]]
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    return value


_WORK: Mapping[str, Callable[[Mapping[str, Any], Tell], None]] = {
    "analyse": analyse,
    "recognise": recognise,
    "read_samples": read_samples,
}


def serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    """Carries out jobs until there are no more."""

    def tell(kind: str, progress: float, payload: Mapping[str, Any] | bytes) -> None:
        if isinstance(payload, bytes):
            body = payload
        else:
            body = json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()
        head = {"kind": kind, "progress": progress, "bytes": len(body)}
        answers.write(json.dumps(head).encode() + b"\n" + body)
        answers.flush()

    for line in jobs:
        job = json.loads(line)
        try:
            _WORK[job["work"]](job, tell)
        except (LogUnreadableError, WorkError) as error:
            tell("failed", 1.0, {"error": str(error).replace(NAME_ONE, "")})
        except MemoryError:
            limit_mb = job["memory_bytes"] / 1e6
            tell("failed", 1.0, {"error": f"more memory would be needed than the {limit_mb:.0f} MB allowed"})


def main() -> None:
    """Lowers the priority, bounds the memory, and works. Ctrl-C is for the daemon, which then ends this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # not allowed here: it works all the same
        os.nice(NICENESS)
    memory_bytes = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints does not get between the frames
    with contextlib.suppress(BrokenPipeError):  # the daemon is gone: nobody waits for the answer
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()

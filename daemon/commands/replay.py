"""``lowmaf replay``: recorded logs through the same core as live, to a table."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from daemon.errors import UsageError, WorkError
from daemon.plot import check_plot, plot_bytes
from daemon.progress import ProgressBar
from daemon.report import text_report
from daemon.table_file import read_table
from drivers.logs.aliases import ROLES
from drivers.logs.errors import LogUnreadableError
from drivers.logs.opening import open_log
from drivers.logs.recorded_drive import RecordedDrive
from drivers.logs.summary import LogSummary
from lowmaf.document import flash_refusals, table_document
from lowmaf.filters import FilterError, Filters
from lowmaf.maf_table import default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.sample_stream import USED_CHANNELS
from lowmaf.snapshot import CellState, Snapshot
from lowmaf.table_text import (
    format_cells_csv,
    format_romraider,
    format_romraider_selection,
)

STDIN = "-"
FORMATS = ("text", "json", "csv", "romraider", "romraider-selection")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf replay``."""
    parser.epilog = (
        "examples:\n"
        "  lowmaf replay drive.csv\n"
        "  lowmaf replay drive1.csv drive2.csv.gz --maf-table stock.csv --format romraider\n"
        "  lowmaf replay drive.csv --filters min_ect_c=60 max_iat_c=50 --columns maf_v='MAF sensor (V)'"
    )
    add = parser.add_argument
    add(
        "logs", nargs="+", metavar="LOG",
        help="recorded logs or CAN recordings, also as .gz or .zip; - reads standard input",
    )  # fmt: skip
    add(
        "--maf-table", type=Path, metavar="FILE", help="the MAF table in the ECU while the logs were recorded"
    )
    add("--estimator", choices=("curve", "nearest"), default="curve", help="how cells are estimated (curve)")
    add("--format", choices=FORMATS, default="text", help="what is written (text)")
    add("--output", type=Path, metavar="FILE", help="write there instead of to standard output")
    add("--plot", type=Path, metavar="FILE", help="draw the result as well, .svg or .png")
    add("--filters", nargs="+", default=[], metavar="KEY=VALUE", help="limits of the filters, or none")
    add(
        "--columns", nargs="+", default=[], metavar="ROLE=HEADER",
        help=f"which column is which; roles are {', '.join(ROLES)}",
    )  # fmt: skip
    add("--strict", action="store_true", help="fail if any log cannot be used")
    add("--require-flag", action="store_true", help="refuse logs without a closed-loop flag")
    add("--decimal-comma", action="store_true", help="decimal comma, in the logs and in RomRaider text")
    add("--unchecked", action="store_true", help="give a table to flash even if the checks did not pass")


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of all logs together, and what became of each."""

    snapshot: Snapshot
    summaries: tuple[LogSummary, ...]
    failures: tuple[LogUnreadableError, ...]


def run(options: argparse.Namespace) -> int:
    """Reads all logs, then writes one result; nothing is written when the work fails."""
    filters, columns = _filters(options.filters), _columns(options.columns)
    table = default_axis() if options.maf_table is None else read_table(options.maf_table, "--maf-table")
    _refuse_overwriting(options)
    if options.plot is not None:
        check_plot(options.plot)
    replayed = _replay(options, Pipeline(table, estimator=options.estimator, filters=filters), columns)
    for failure in replayed.failures:
        print(f"lowmaf replay: {failure}", file=sys.stderr)
    if not replayed.summaries:
        raise WorkError("no log could be used")
    if replayed.failures and options.strict:
        raise WorkError(f"{len(replayed.failures)} of {len(options.logs)} logs could not be used")
    document = table_document(replayed.snapshot, logs=[log.as_json() for log in replayed.summaries])
    if options.plot is not None:
        _write_file("--plot", options.plot, plot_bytes(document, options.plot))
    text = formatted(replayed.snapshot, document, options)
    if options.output is None:
        _print(text)
    else:
        _write_file("--output", options.output, text.encode())
    return 0


def formatted(snapshot: Snapshot, document: Mapping[str, Any], options: argparse.Namespace) -> str:
    """The result, a snapshot and its document, in the format that was asked for.

    Raises:
        WorkError: a table to flash was asked for and may not be given.
    """
    refusals = flash_refusals(snapshot)
    if options.format == "text":
        return text_report(document, refusals)
    if options.format == "json":
        return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    if options.format == "csv":
        return format_cells_csv(document)
    if snapshot.proposed_gs is None:
        raise WorkError(f"--format {options.format} needs --maf-table with the flow that is in the ECU")
    if refusals and not options.unchecked:
        raise WorkError(f"no table to flash: {'; '.join(refusals)} (--unchecked gives it all the same)")
    comma = options.decimal_comma
    if options.format == "romraider":
        return format_romraider(snapshot.table.maf_v, snapshot.proposed_gs, decimal_comma=comma)
    stays = [state is not CellState.MEASURED for state in snapshot.states]
    return format_romraider_selection(snapshot.proposed_gs, stays, decimal_comma=comma)


def _replay(options: argparse.Namespace, pipeline: Pipeline, columns: Mapping[str, str]) -> Replayed:
    summaries: list[LogSummary] = []
    failures: list[LogUnreadableError] = []
    bar = ProgressBar(sys.stderr, len(options.logs))
    for drive, log in enumerate(options.logs, start=1):
        reader = open_log(
            _source(log),
            "stdin" if log == STDIN else log,
            columns=columns,
            require_flag=options.require_flag,
            decimal_comma=True if options.decimal_comma else None,
            channels=_channels_used(pipeline),
            maf_table=pipeline.table,
        )
        try:
            _feed(reader, pipeline, drive, bar)
        except LogUnreadableError as error:
            failures.append(error)
        else:
            summaries.append(reader.summary)
        bar.next_log()
    bar.clear()
    snapshot = pipeline.snapshot(pipeline.held_out() if summaries else None)
    return Replayed(snapshot, tuple(summaries), tuple(failures))


def _feed(reader: RecordedDrive, pipeline: Pipeline, drive: int, bar: ProgressBar) -> None:
    begun = False
    try:
        for batch in reader.batches():
            if "maf_v" not in batch.channels and pipeline.table.flow_gs is None:
                raise LogUnreadableError(
                    reader.name, "it has g/s but no MAF voltage: needs --maf-table to find the cells"
                )
            if not begun:
                pipeline.begin(drive)
                begun = True
            pipeline.feed(batch)
            bar.show(reader.name, *reader.progress)
    except OSError as error:
        raise WorkError(f"{reader.name}: reading failed: {error.strerror or error}") from error
    pipeline.finish()


def _channels_used(pipeline: Pipeline) -> frozenset[str]:
    """Channels that verdicts and the table are made of; the others need not be read."""
    return USED_CHANNELS | pipeline.filters.channels_needed().keys()


def _source(log: str) -> Path | BinaryIO:
    return sys.stdin.buffer if log == STDIN else Path(log)


def _filters(pairs: Sequence[str]) -> Filters:
    if list(pairs) == ["none"]:
        return Filters.none()
    try:
        return Filters.from_pairs(pairs)
    except FilterError as error:
        raise UsageError(f"--filters: {error}") from None


def _columns(pairs: Sequence[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for pair in pairs:
        role, equals, header = pair.partition("=")
        if not equals or not header:
            raise UsageError(f"--columns: {pair!r} is not ROLE=HEADER; roles are {', '.join(ROLES)}")
        if role not in ROLES:
            raise UsageError(f"--columns: no role {role!r}; roles are {', '.join(ROLES)}")
        columns[role] = header
    return columns


def _refuse_overwriting(options: argparse.Namespace) -> None:
    """Evidence counted twice and a log lost to its own result are mistakes, not wishes."""
    read = [Path(log).resolve() for log in options.logs if log != STDIN]
    for log in options.logs:
        if options.logs.count(log) > 1 or (log != STDIN and read.count(Path(log).resolve()) > 1):
            raise UsageError(f"{log} is given twice: its samples would count double")
    taken = [*read, *([] if options.maf_table is None else [options.maf_table.resolve()])]
    for option, target in (("--output", options.output), ("--plot", options.plot)):
        if target is not None and target.resolve() in taken:
            raise UsageError(f"{option} {target} is one of the files that are read or written")
        taken += [] if target is None else [target.resolve()]


def _write_file(option: str, target: Path, content: bytes) -> None:
    """Writes all of it or nothing: a file gets its name only when it is complete.

    What is there and no file (a pipe, a device) is written to as it is, and stays what it is.
    """
    try:
        target = target.resolve()
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                stream.write(content)
            return
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as temporary:
            try:
                temporary.write(content)
                temporary.flush()
                os.fsync(temporary.fileno())
                Path(temporary.name).chmod(0o666 & ~_umask())
                Path(temporary.name).replace(target)
            except BaseException:
                Path(temporary.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise WorkError(f"{option} {target}: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _print(text: str) -> None:
    """UTF-8 whatever the locale; a reader that stops early (``| head``) is no failure."""
    out: Any = getattr(sys.stdout, "buffer", None)
    end = "" if text.endswith("\n") or not sys.stdout.isatty() else "\n"
    try:
        if out is None:
            sys.stdout.write(text + end)
        else:
            out.write((text + end).encode())
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

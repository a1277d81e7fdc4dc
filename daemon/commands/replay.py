"""``lowmaf replay``: recorded logs through the same core as live, to a table."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from daemon.config.table_file import read_table
from daemon.errors import UsageError, WorkError
from daemon.log_names import expanded, is_url, refuse_twice
from daemon.log_replay import STDIN, KeepNothing, Log, Reading, Replayed, logs_of, replay
from daemon.output.plot import check_plot, plot_bytes
from daemon.output.printable import printable
from daemon.output.report import text_report
from daemon.output.whole_file import check_place, write_file
from drivers.dbc_signals import DbcError, signal_map
from drivers.logs.aliases import ROLES_SHOWN
from lowmaf.document import flash_refusals, table_document
from lowmaf.filters import FilterError, Filters
from lowmaf.maf_table import MafTable, default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.snapshot import CellState, Snapshot
from lowmaf.table_text import (
    format_cells_csv,
    format_romraider,
    format_romraider_selection,
)

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
        "logs", nargs="*", type=_name, metavar="LOG",
        help="recorded logs or CAN recordings, also as .gz or .zip; - reads standard input",
    )  # fmt: skip
    add(
        "--maf-table",
        type=_path,
        metavar="FILE",
        help="the MAF table in the ECU while the logs were recorded",
    )
    add("--estimator", choices=("curve", "nearest"), default="curve", help="how cells are estimated (curve)")
    add("--format", choices=FORMATS, default="text", help="what is written (text)")
    add("--output", type=_path, metavar="FILE", help="write there instead of to standard output")
    add("--plot", type=_path, metavar="FILE", help="draw the result as well, .svg or .png")
    add(
        "--filters", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help=f"limits of the filters, or none; keys are {', '.join(spec.name for spec in fields(Filters))}",
    )  # fmt: skip
    add(
        "--columns", nargs="+", action="extend", default=[], metavar="ROLE=HEADER",
        help=f"which column is which; roles are {', '.join(ROLES_SHOWN)}",
    )  # fmt: skip
    add(
        "--dbc", type=_path, metavar="FILE",
        help="DBC file that describes CAN recordings of an ECU that broadcasts; --columns names its signals",
    )  # fmt: skip
    add(
        "--database", type=_path, metavar="FILE",
        help="keep the logs there as drives, each once; without --maf-table its table is taken",
    )  # fmt: skip
    add(
        "--cluster", metavar="ADDRESS",
        help="read the logs on the Dask cluster whose scheduler is there, such as tcp://10.0.0.5:8786; "
        "files, folders, patterns and URLs are those that its workers see",
    )  # fmt: skip
    add("--strict", action="store_true", help="fail if any log cannot be used")
    add("--require-flag", action="store_true", help="refuse logs without a closed-loop flag")
    add("--decimal-comma", action="store_true", help="decimal comma, in the logs and in RomRaider text")
    add("--unchecked", action="store_true", help="give a table to flash even if the checks did not pass")


def run(options: argparse.Namespace) -> int:
    """Reads all logs, then writes one result. A table without any sample is written, and is a failure."""
    if not options.logs:
        raise UsageError(
            "a LOG is needed, before --filters and --columns: what follows those is taken for their values"
        )
    filters, columns = _filters(options.filters), _columns(options.columns)
    table = None if options.maf_table is None else read_table(options.maf_table, "--maf-table")
    names = options.logs if options.cluster is not None else _names(options.logs)
    _refuse_overwriting(names, options)
    if options.plot is not None:
        check_plot(options.plot)
        check_place("--plot", options.plot)
    if options.output is not None:
        check_place("--output", options.output)
    reading = _reading(columns, options)
    make_pipeline = partial(Pipeline, estimator=options.estimator, filters=filters)
    with _interrupted_by_sigterm():
        if options.cluster is not None:
            replayed = _on_cluster(table or default_axis(), filters, reading, options)
            _tell(replayed, options)
        elif options.database is None:
            logs = logs_of(names)
            replayed = replay(logs, make_pipeline(table or default_axis()), reading, KeepNothing())
            _tell(replayed, options)
        else:
            replayed = _kept(logs_of(names), table, make_pipeline, reading, options)
        _write(replayed, options)
    if not replayed.snapshot.counts.accepted:
        raise WorkError("no sample counted: the table is empty")
    return 0


def _names(given: Sequence[str]) -> list[str]:
    """The logs of this machine that were asked for, folders and patterns opened up."""
    for name in given:
        if is_url(name):
            raise UsageError(f"{name}: URLs are read by the workers of a cluster: --cluster ADDRESS")
    return [log.name for log in expanded(given, Path())]


def _reading(columns: Mapping[str, str], options: argparse.Namespace) -> Reading:
    """How the logs are read; with ``--dbc`` the columns are signals of CAN recordings."""
    if options.dbc is None:
        return Reading(columns, options.require_flag, options.decimal_comma)
    try:
        signals = signal_map(options.dbc, columns)
    except DbcError as error:
        raise UsageError(f"--dbc, --columns: {error}") from None
    return Reading({}, options.require_flag, options.decimal_comma, signals)


def _kept(
    logs: Sequence[Log],
    table: MafTable | None,
    make_pipeline: Callable[[MafTable], Pipeline],
    reading: Reading,
    options: argparse.Namespace,
) -> Replayed:
    """Replays the logs and keeps those that can be used. The database is loaded only where it is needed."""
    keeping = importlib.import_module("daemon.drives.log_keeping")
    with contextlib.ExitStack() as copies, keeping.LogKeeper(options.database) as keeper:
        pipeline = make_pipeline(keeper.table(table))
        keeper.prepare(pipeline)
        logs = [keeping.spooled(log, options.database.parent, copies) for log in logs]
        replayed = replay(logs, pipeline, reading, keeper)
        _tell(replayed, options)
        keeper.confirm()
    for note in keeper.notes:
        _complain(note)
    return replayed


def _on_cluster(table: MafTable, filters: Filters, reading: Reading, options: argparse.Namespace) -> Replayed:
    """Replays the logs where their workers are. The cluster's library is loaded only here."""
    if options.database is not None:
        raise UsageError("--database: with --cluster the samples stay where they lie and are not kept")
    try:
        cluster = importlib.import_module("daemon.cluster.replaying")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in {"daemon", "drivers", "lowmaf"}:
            raise
        raise UsageError(f"--cluster needs {error.name}: pip install 'lowmaf[cluster]'") from None
    replayed: Replayed = cluster.replay_on(
        options.cluster, options.logs, table, estimator=options.estimator, filters=filters, reading=reading
    )
    return replayed


def _tell(replayed: Replayed, options: argparse.Namespace) -> None:
    """Says what became of logs that gave nothing.

    Raises:
        WorkError: no log could be used, or not all of them where all were asked for.
    """
    for line in (*replayed.copies, *replayed.troubles):
        _complain(line)
    if not replayed.summaries:
        raise WorkError("no log could be used")
    if replayed.troubles and options.strict:
        raise WorkError(f"{len(replayed.troubles)} of {replayed.logs} logs could not be used")


def _complain(line: str) -> None:
    print(f"lowmaf replay: {printable(line)}", file=sys.stderr)


def _write(replayed: Replayed, options: argparse.Namespace) -> None:
    document = table_document(replayed.snapshot, logs=[log.as_json() for log in replayed.summaries])
    if options.plot is not None:
        write_file("--plot", options.plot, plot_bytes(document, options.plot))
    text = formatted(replayed.snapshot, document, options)
    if options.output is None:
        _print(text)
    else:
        write_file("--output", options.output, text.encode())


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
        shown, equals, header = pair.partition("=")
        if not equals or not header:
            raise UsageError(f"--columns: {pair!r} is not ROLE=HEADER; roles are {', '.join(ROLES_SHOWN)}")
        if shown not in ROLES_SHOWN:
            raise UsageError(f"--columns: no role {shown!r}; roles are {', '.join(ROLES_SHOWN)}")
        role = ROLES_SHOWN[shown]
        if role in columns:
            raise UsageError(
                f"--columns: {shown} is given twice: {shown}={columns[role]} and {shown}={header}"
            )
        columns[role] = header
    return columns


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the name of a file is needed, not an empty text")
    return text


def _path(text: str) -> Path:
    return Path(_name(text))


def _refuse_overwriting(names: Sequence[str], options: argparse.Namespace) -> None:
    """Evidence counted twice and a log lost to its own result are mistakes, not wishes."""
    read: set[Path] = set()
    refuse_twice(names)
    for log in names:
        if log == STDIN or is_url(log):
            continue
        if (path := Path(log).resolve()) in read:
            raise UsageError(f"{log} is given twice: its samples would count double")
        read.add(path)
    taken = [*read, *([] if options.maf_table is None else [options.maf_table.resolve()])]
    written = (("--database", options.database), ("--output", options.output), ("--plot", options.plot))
    for option, target in written:
        if target is not None and target.resolve() in taken:
            raise UsageError(f"{option} {target} is one of the files that are read or written")
        taken += [] if target is None else [target.resolve()]


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does: nothing half done stays behind."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGTERM)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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

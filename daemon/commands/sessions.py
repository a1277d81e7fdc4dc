"""``lowmaf sessions``: what the store holds, and what is to become of it.

Looking needs nothing but the file. A change is made by the one program that has the database: this one, or
the daemon, which is asked over its own routes and takes the change into its table at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from daemon.daemon_client import DaemonSessions
from daemon.drives.kept_sessions import KeptSessions, SessionReading
from daemon.drives.session_export import ExportFormat
from daemon.drives.session_rebuild import RebuildOutcome
from daemon.errors import WorkError
from daemon.output.printable import printable
from daemon.output.whole_file import write_file
from daemon.store.reader import MAX_SESSION, StoreReader
from daemon.store.records import ClosedHow, DatabaseInUseError
from daemon.store.store import Store
from daemon.store.viewing import existing, in_use, viewing
from web.session_shelf import (
    SessionChange,
    SessionRefusedError,
    SessionsUnavailableError,
    SessionUnknownError,
)

_REFUSALS = (SessionUnknownError, SessionRefusedError, SessionsUnavailableError)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf sessions``."""
    parser.epilog = (
        "examples:\n"
        "  lowmaf sessions list --database /var/lib/lowmaf/lowmaf.sqlite3\n"
        "  lowmaf sessions export 7 --format csv --output drive.csv --database lowmaf.sqlite3\n"
        "  lowmaf sessions exclude 7 --database lowmaf.sqlite3"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=type(parser))
    for name, words in _WORDS.items():
        action = actions.add_parser(name, help=words, description=words)
        if name == "rebuild":
            action.add_argument(
                "ids", nargs="*", type=_number, metavar="ID", help="default: all that are over"
            )
        elif name != "list":
            action.add_argument("id", type=_number, metavar="ID", help="number of the session")
        if name == "name":
            action.add_argument("name", metavar="NAME", help="an empty one takes the name away")
        if name in ("list", "show"):
            action.add_argument("--json", action="store_true", help="as JSON")
        if name == "export":
            formats = [str(kind) for kind in ExportFormat]
            action.add_argument(
                "--format", choices=formats, default="csv", help="csv as RomRaider logs (csv)"
            )
            action.add_argument("--output", type=Path, metavar="FILE", help="by default standard output")
        action.add_argument("--database", type=Path, required=True, metavar="FILE", help="the database")


_WORDS = {
    "list": "drives and logs that are kept",
    "show": "all that is known of one",
    "export": "its samples as a file",
    "name": "give it a name",
    "include": "let it count in the table",
    "exclude": "leave it out of the table, exactly as if it had never been driven",
    "delete": "delete it with all that was learned from it",
    "rebuild": "make the cells anew from the kept samples",
}


def run(options: argparse.Namespace) -> int:
    """Does what is asked; 1 where a drive could not be made anew."""
    options.database = existing(options.database)
    try:
        return asyncio.run(_ACTIONS[options.action](options))
    except _REFUSALS as error:
        raise WorkError(str(error)) from None


async def _list(options: argparse.Namespace) -> int:
    async with viewing(options.database) as reader:
        sessions = await _reading(reader, options.database).sessions()
    if options.json:
        _print_json({"sessions": sessions})
    else:
        _print_table(sessions)
    return 0


async def _show(options: argparse.Namespace) -> int:
    async with viewing(options.database) as reader:
        session = await _reading(reader, options.database).session(options.id)
    if options.json:
        _print_json(session)
        return 0
    _print_table([session])
    if session["counts_not_because"]:
        print(f"does not count in the table: {session['counts_not_because']}")
    print(f"{session['samples_kept']} samples are kept")
    for verdict in session["verdicts"]:
        print(f"{verdict['count']:>9}  {verdict['words']}")
    for change in session["link"]:
        print(f"after {_span(change['after_s'])}  {change['state']}: {change['words']}")
    return 0


async def _export(options: argparse.Namespace) -> int:
    async with viewing(options.database) as reader:
        pieces = await _reading(reader, options.database).export(options.id, options.format)
        if options.output is None:
            async for piece in pieces:
                sys.stdout.buffer.write(piece)
        else:
            write_file("--output", options.output, b"".join([piece async for piece in pieces]))
        for notice in reader.damage.values():
            print(f"lowmaf sessions: {notice.message}", file=sys.stderr)
    return 0


async def _name(options: argparse.Namespace) -> int:
    return await _change(options, SessionChange(name=options.name))


async def _include(options: argparse.Namespace) -> int:
    return await _change(options, SessionChange(included=True))


async def _exclude(options: argparse.Namespace) -> int:
    return await _change(options, SessionChange(included=False))


async def _change(options: argparse.Namespace, change: SessionChange) -> int:
    async with _changing(options.database) as sessions:
        session = await sessions.change(options.id, change)
    _print_table([session])
    return 0


async def _delete(options: argparse.Namespace) -> int:
    async with _changing(options.database) as sessions:
        await sessions.delete(options.id)
    print(f"session {options.id} is deleted")
    return 0


async def _rebuild(options: argparse.Namespace) -> int:
    left = False
    async with _changing(options.database) as sessions:
        numbers = options.ids or await sessions.numbers()
        for number in numbers:
            try:
                rebuilt = await sessions.rebuild(number)
            except (WorkError, *_REFUSALS) as error:
                print(f"lowmaf sessions: {error}", file=sys.stderr)
                left = True
            else:
                left |= rebuilt["outcome"] == RebuildOutcome.LEFT
                print(f"session {number}: {rebuilt['message']}", flush=True)
    return int(left)


@asynccontextmanager
async def _changing(database: Path) -> AsyncIterator[KeptSessions | DaemonSessions]:
    """The drives in the database, to be changed here or by the daemon that has it."""
    try:
        store = await Store.open(database)
    except DatabaseInUseError as error:
        if error.address is None:
            raise
        yield DaemonSessions(error.address)
        return
    async with store:
        for notice in store.notices:
            print(f"lowmaf sessions: {notice.message}", file=sys.stderr)
        yield KeptSessions(store, lambda _: False, _nothing_learns)


def _reading(reader: StoreReader, database: Path) -> SessionReading:
    used = in_use(database)
    return SessionReading(reader, lambda session: used and session.closed_how is ClosedHow.OPEN)


async def _nothing_learns() -> None:
    """Without a daemon no table is being made: the next one begins with what is kept then."""


_ACTIONS: Mapping[str, Callable[[argparse.Namespace], Coroutine[Any, Any, int]]] = {
    "list": _list,
    "show": _show,
    "export": _export,
    "name": _name,
    "include": _include,
    "exclude": _exclude,
    "delete": _delete,
    "rebuild": _rebuild,
}


def _number(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_SESSION:
        raise ValueError
    return number


def _print_table(sessions: Sequence[Mapping[str, Any]]) -> None:
    print("".join(title.ljust(width) for title, width, _ in _COLUMNS).rstrip())
    for session in sessions:
        print("".join(show(session).ljust(width) for _, width, show in _COLUMNS).rstrip())
    if any(session["clock"] == "unsynced" for session in sessions):
        print("?: this machine did not know the date then")


def _started(session: Mapping[str, Any]) -> str:
    started = session["started"] or "unknown"
    return f"{started}?" if session["clock"] == "unsynced" else str(started)


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _judged(session: Mapping[str, Any], what: str) -> str:
    """Samples that were pushed are judged when they are included, not before."""
    return str(session[what]) if session["samples"] else "-"


_COLUMNS: tuple[tuple[str, int, Callable[[Mapping[str, Any]], str]], ...] = (
    ("ID", 5, lambda session: str(session["id"])),
    ("STARTED (UTC)", 23, _started),
    ("DURATION", 9, lambda session: _span(session["duration_s"])),
    ("SAMPLES", 9, lambda session: _judged(session, "samples")),
    ("ACCEPTED", 9, lambda session: _judged(session, "accepted")),
    ("TABLE", 6, lambda session: str(session["maf_table_revision"] or "-")),
    ("STATE", 9, lambda session: str(session["state"])),
    ("COUNTS", 7, lambda session: "yes" if session["counts"] else "no"),
    ("NAME", 0, lambda session: printable(session["name"] or session["driver"])),
)


def _print_json(document: Mapping[str, Any]) -> None:
    print(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1))

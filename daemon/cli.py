"""The ``lowmaf`` command: parses the line, imports only the command that is meant, reports errors."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Container, Sequence
from pathlib import Path
from typing import NoReturn

from daemon.errors import UsageError, WorkError
from daemon.output.printable import printable

COMMANDS = {
    "demo": "the whole system on a simulated car, with nothing to configure",
    "setup": "the first configuration, by asking what is plugged in",
    "run": "the daemon: source, cells, database and dashboard, until told to stop",
    "replay": "recorded logs through the same core as live",
    "check": "validate a configuration without opening a device",
    "doctor": "what is wrong with this installation, and what to do about it",
    "ports": "serial ports and CAN interfaces, with a hint which driver fits",
    "probe": "connect once, show what the source delivers, and leave",
    "sessions": "drives and logs that are kept: list, show, export, leave out, delete, make anew",
    "backup": "a copy of the database in one file, also while the daemon runs",
    "pair": "let a phone change things: a code for it, also as a QR code",
    "token": "let a script change things: make, list and revoke its token",
    "simulate": "the simulated ECU alone, for trying drivers and adapters",
    "completion": "what a shell needs to complete the words of this command line",
    "manual": "the manual page of all commands",
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; argparse's usage block is left to ``--help``."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, printable(f"{self.prog}: {message} (see {self.prog} --help)") + "\n")


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - 15 ms that only --version needs

    return version("lowmaf")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status: 0 done, 1 the work failed, 2 wrong usage."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # our sums are small: more threads only cost memory
    _open_missing_streams()
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _give_up_stdout()
        return 1
    except OSError as error:
        _give_up_stdout()
        print(f"lowmaf: standard output: {error.strerror or error}", file=sys.stderr)
        return 1


def _open_missing_streams() -> None:
    """A shell may start a program with streams closed; Python then has None in their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - lives on
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _give_up_stdout() -> None:
    """What could not be written must not be tried once more when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(command: str, error: Exception) -> None:
    """One error on stderr; control characters of outside texts are shown, not obeyed."""
    print(printable(f"lowmaf {command}: {error}", keep="\n"), file=sys.stderr)


def parser_with(commands: Container[str | None]) -> argparse.ArgumentParser:
    """The parser of the whole command line, with the arguments of these commands: each imports its own."""
    parser = _Parser(prog="lowmaf", description="Live MAF scaling from closed-loop fuel trims.")
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name in commands:
            importlib.import_module(f"daemon.commands.{name}").add_arguments(subparser)
    return parser


def _run(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    meant = next((word for word in arguments if not word.startswith("-")), None)
    parser = parser_with({meant})
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.prog += f" {options.command}" if options.command else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if options.version:
        print(f"lowmaf {_version()}")
        return 0
    if options.command is None:
        parser.error(f"a command is needed: {', '.join(COMMANDS)}")
    try:
        command = importlib.import_module(f"daemon.commands.{options.command}")
        return int(command.run(options))
    except UsageError as error:
        _complain(options.command, error)
        return 2
    except WorkError as error:
        _complain(options.command, error)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

"""The manual page, in troff, made from the parser: what ``--help`` says, of all commands."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

_EXIT = (
    ("0", "done"),
    ("1", "the work failed, or something is wrong"),
    ("2", "wrong usage or configuration"),
)
_FILES = (
    ("/etc/lowmaf/lowmaf.toml", "configuration of the service"),
    ("/var/lib/lowmaf", "its database, with what was driven and learned"),
)
_ENVIRONMENT = (
    ("LOWMAF_SECTION_KEY", "overrides a key of the configuration: LOWMAF_WEB_PORT is [web] port"),
)


def man_page(parser: argparse.ArgumentParser, version: str) -> str:
    """``lowmaf(1)``. ``parser`` has the arguments of every command."""
    return "\n".join(_lines(parser, version)) + "\n"


def _lines(parser: argparse.ArgumentParser, version: str) -> Iterator[str]:
    name = parser.prog
    summary = (parser.description or "").rstrip(".")
    yield f'.TH {name.upper()} 1 "" "{name} {version}" "User Commands"'
    yield from (".SH NAME", f"{name} \\- {_escaped(summary)}")
    yield from (".SH SYNOPSIS", f".B {name}", ".I COMMAND", "[\\fIoptions\\fR]")
    yield from (
        ".SH DESCRIPTION",
        _escaped("Reads the fuel trims of a car, live or from logs, and keeps a correction"),
    )
    yield _escaped("for every cell of its MAF table. Every command tells its options with --help.")
    yield ".SH OPTIONS"
    yield from _options(parser)
    yield ".SH COMMANDS"
    for command, subparser in _commands(parser):
        yield from _command(f"{name} {command}", subparser)
    yield from _list("EXIT STATUS", _EXIT)
    yield from _list("FILES", _FILES)
    yield from _list("ENVIRONMENT", _ENVIRONMENT)


def _command(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from (f'.SS "{_escaped(name)}"', _escaped(parser.description or ""))
    yield from _options(parser)
    if parser.epilog:
        yield from (".PP", ".nf", *(_escaped(line) for line in parser.epilog.splitlines()), ".fi")
    for word, subparser in _commands(parser):
        yield from _command(f"{name} {word}", subparser)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in _own_actions(parser):
        yield from (".TP", _head(action), _escaped(_help(action)))


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _own_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Options and arguments; ``--help``, which every command has, is told once above."""
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
            yield action


def _head(action: argparse.Action) -> str:
    """``--port PORT`` in the page's fonts."""
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    value = " ".join(value) if isinstance(value, tuple) else value
    if not action.option_strings:
        return f"\\fI{_escaped(value)}\\fR"
    flags = ", ".join(f"\\fB{_escaped(flag)}\\fR" for flag in action.option_strings)
    return flags if action.nargs == 0 else f"{flags} \\fI{_escaped(value)}\\fR"


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")


def _list(heading: str, entries: tuple[tuple[str, str], ...]) -> Iterator[str]:
    yield f".SH {heading}"
    for word, meaning in entries:
        yield from (".TP", f"\\fB{_escaped(word)}\\fR", _escaped(meaning))


def _escaped(text: str) -> str:
    """Text that troff takes as it stands: no line of it is a request, hyphens are those of options."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)

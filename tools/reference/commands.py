"""Commands and their options, from the parser that reads them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from daemon.cli import COMMANDS, parser_with
from tools.reference.markdown import block, code, page, table


def commands_page() -> str:
    """Every command with its options."""
    parser = parser_with(COMMANDS)
    return page(
        "Commands",
        """`lowmaf COMMAND --help` says the same. Exit status: 0 done, 1 the work failed, 2 wrong usage or
        configuration (nothing was started). Results go to standard output, everything else to standard
        error.""",
        table(
            ("command", "what it does"),
            [(f"[`{name}`](#lowmaf-{name})", words) for name, words in COMMANDS.items()],
        ),
        *(_command(f"lowmaf {name}", command) for name, command in _subcommands(parser)),
    )


def _command(name: str, parser: argparse.ArgumentParser, depth: int = 2) -> Iterator[str]:
    yield f"{'#' * depth} {name}"
    yield ""
    words = parser.description or ""
    yield f"{words[:1].upper()}{words[1:]}."
    options = [action for action in parser._actions if _is_own(action)]
    if options:
        yield ""
        yield from table(("option", "allowed", "meaning"), [_row(action) for action in options])
    if parser.epilog:
        yield ""
        yield from block(parser.epilog)
    for word, subparser in _subcommands(parser):
        yield ""
        yield from _command(f"{name} {word}", subparser, depth + 1)


def _subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _is_own(action: argparse.Action) -> bool:
    return not isinstance(action, argparse._SubParsersAction | argparse._HelpAction)


def _row(action: argparse.Action) -> tuple[str, str, str]:
    allowed = ", ".join(code(str(choice)) for choice in action.choices or ())
    meaning = (action.help or "").replace("%%", "%")
    if not action.option_strings:
        return code(str(action.metavar or action.dest.upper())), allowed, meaning
    value = "" if action.nargs == 0 or action.choices else f" {action.metavar or action.dest.upper()}"
    return code(f"{', '.join(action.option_strings)}{value}"), allowed, meaning

"""``lowmaf completion``: what a shell needs to complete this command line, made from the parser itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab

from daemon import cli

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf completion``."""
    parser.epilog = (
        "examples:\n"
        "  lowmaf completion bash > ~/.local/share/bash-completion/completions/lowmaf\n"
        "  lowmaf completion zsh > ~/.zfunc/_lowmaf   (a folder of $fpath)\n"
        "  lowmaf completion fish > ~/.config/fish/completions/lowmaf.fish"
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell that is to know the command")


def run(options: argparse.Namespace) -> int:
    """Prints the shell's script."""
    parser = cli.parser_with(cli.COMMANDS)
    for action in _actions(parser):
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, options.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every option and argument, those of commands included."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _actions(subparser)

"""``lowmaf manual``: the manual page of all commands."""

from __future__ import annotations

import argparse
from importlib.metadata import version

from daemon import cli
from daemon.man_page import man_page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf manual``."""
    parser.epilog = (
        "examples:\n"
        "  lowmaf manual | man -l -\n"
        "  lowmaf manual > ~/.local/share/man/man1/lowmaf.1   (then: man lowmaf)"
    )


def run(_: argparse.Namespace) -> int:
    """Prints the page."""
    print(man_page(cli.parser_with(cli.COMMANDS), version("lowmaf")), end="")
    return 0

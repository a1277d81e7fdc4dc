"""``lowmaf check``: says what is wrong with a configuration, or what it would run. Opens no device."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from daemon.config.check import check_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf check``."""
    parser.epilog = "example: lowmaf check --config config.example.toml"
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration, TOML")


def run(options: argparse.Namespace) -> int:
    """Prints what would run.

    Raises:
        UsageError: what is wrong, one line per error.
    """
    found = check_config(options.config, os.environ)
    print(f"{options.config} is fine. It would run:")
    for what, words in found.summary:
        print(f"  {what:10} {words}")
    return 0

"""``--record DIR``: raw recordings of the link without a line in the configuration."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from daemon.config.sections import Config


def add_record(parser: argparse.ArgumentParser) -> None:
    """The option."""
    parser.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="keep a raw recording of the link there, as [source] record",
    )


def with_record(config: Config, options: argparse.Namespace) -> Config:
    """The configuration with what the option says, where it was given."""
    if options.record is None:
        return config
    return replace(config, source=replace(config.source, record=options.record.resolve()))

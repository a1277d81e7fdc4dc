"""``lowmaf run``: the daemon, until told to stop. What systemd starts."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from daemon.config.config import load_config
from daemon.log_output import set_up_logging
from daemon.planning import plan_from
from daemon.record_option import add_record, with_record
from daemon.reload import Reloader
from daemon.runtime import run as run_daemon


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf run``."""
    parser.epilog = "example: lowmaf run --config config.example.toml"
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration, TOML")
    add_record(parser)


def run(options: argparse.Namespace) -> int:
    """Runs the daemon; returns when it was told to stop."""
    config = with_record(load_config(options.config, os.environ), options)
    set_up_logging(config.log.level)
    plan = plan_from(config)
    run_daemon(replace(plan, reload=Reloader(config, os.environ)))
    return 0

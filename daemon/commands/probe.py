"""``lowmaf probe``: connects once, shows what the source delivers, and leaves."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
from pathlib import Path

from daemon.config import load_config
from daemon.errors import UsageError, WorkError
from daemon.first_samples import first_samples
from daemon.planning import links_of
from daemon.record_option import add_record, with_record
from drivers.base import DriverError
from drivers.clock import WallClock
from drivers.registry import create
from lowmaf.samples import CHANNELS, FuelLoop

_FIND_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf probe``."""
    parser.epilog = "example: lowmaf probe --config my.toml"
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration, TOML")
    parser.add_argument(
        "--seconds", type=float, default=3.0, metavar="N", help="how long samples are taken (3)"
    )
    add_record(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the link, the rate, and the newest value of every channel.

    Raises:
        UsageError: the configuration is wrong.
        WorkError: the source cannot be reached, or was lost.
    """
    if not 0.0 < options.seconds <= 3600.0:
        raise UsageError(f"--seconds {options.seconds:g} is impossible: allowed are above 0 to 3600")
    config = with_record(load_config(options.config, os.environ), options)
    driver = create(config.source.driver, config.source.options, WallClock(), links_of(config))
    try:
        batch = asyncio.run(first_samples(driver, options.seconds, _FIND_S))
    except DriverError as error:
        raise WorkError(str(error)) from None
    print(driver.describe())
    span_s = float(batch.t_s[-1] - batch.t_s[0])
    rate = f", {(len(batch) - 1) / span_s:.1f} samples per second" if span_s > 0.0 else ""
    print(f"{len(batch)} samples{rate}; the newest:")
    for name, channel in CHANNELS.items():
        if name in batch.delivered:
            print(f"  {channel.words:28} {_shown(name, float(batch[name][-1]), channel.unit)}")
        else:
            print(f"  {channel.words:28} not delivered")
    if config.source.record is not None:
        print(f"recorded in {config.source.record}")
    return 0


def _shown(name: str, value: float, unit: str) -> str:
    if not math.isfinite(value):
        return "not measured"
    if name == "fuel_loop":
        return FuelLoop(int(value)).name.lower().replace("_", " ")
    number = f"{value:.3g}" if abs(value) < 100.0 else f"{value:.0f}"
    return number if unit == "1" else f"{number} {unit}"

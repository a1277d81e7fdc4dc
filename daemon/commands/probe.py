"""``lowmaf probe``: connects once, shows what the source delivers, and leaves."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
from contextlib import aclosing
from pathlib import Path

from daemon.config.config import load_config
from daemon.errors import UsageError, WorkError
from daemon.live.first_samples import first_samples
from daemon.planning import links_of, second_source_of
from daemon.record_option import add_record, with_record
from drivers.base import Driver, DriverError
from drivers.clock import WallClock
from drivers.registry import create
from drivers.second_lambda import LambdaTimeline, WithSecondLambda
from drivers.wideband import Wideband
from lowmaf.samples import CHANNELS, FuelLoop, SampleBatch

_FIND_S = 60.0
_HEAR_S = 12.0
"""Longer than any second source is patient with its own link."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf probe``."""
    parser.epilog = "example: lowmaf probe --config my.toml"
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration, TOML")
    parser.add_argument(
        "--seconds", type=float, default=3.0, metavar="N", help="how long samples are taken (3)"
    )
    add_record(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the link, the rate, the newest value of every channel, and what the second source reads.

    Raises:
        UsageError: the configuration is wrong.
        WorkError: a source cannot be reached, or was lost; what the other gave is printed first.
    """
    if not 0.0 < options.seconds <= 3600.0:
        raise UsageError(f"--seconds {options.seconds:g} is impossible: allowed are above 0 to 3600")
    config = with_record(load_config(options.config, os.environ), options)
    clock = WallClock()
    driver: Driver = create(config.source.driver, config.source.options, clock, links_of(config))
    second = second_source_of(config, clock)
    beside = None if second is None else _Beside(*second)
    if second is not None:
        driver = WithSecondLambda(driver, second[1], clock)
    try:
        _show(driver, asyncio.run(_taken(driver, options.seconds, beside)))
    except DriverError as error:
        raise WorkError(str(error)) from None
    finally:
        if beside is not None and not beside.lost:
            print(beside.words)
    if config.source.record is not None:
        print(f"recorded in {config.source.record}")
    if beside is not None and beside.lost:
        raise WorkError(beside.lost)
    return 0


class _Beside:
    """The second source while the first is looked at: its newest reading, and why it was lost, if it was."""

    def __init__(self, controller: Wideband, timeline: LambdaTimeline) -> None:
        self.lost = ""
        self.words = f"{controller.describe()}: no reading yet"
        self.heard = asyncio.Event()
        self._controller = controller
        self._timeline = timeline

    async def follow(self) -> None:
        """Takes readings until it is lost or cancelled."""
        words = self._controller.describe()
        try:
            async with aclosing(self._controller.readings()) as readings:
                async for at_s, reading in readings:
                    self._timeline.take(at_s, reading.lambda_)
                    value = f", lambda {reading.lambda_:.3f}" if math.isfinite(reading.lambda_) else ""
                    self.words = f"{words}: {reading.state}{value}"
                    self.heard.set()
        except DriverError as error:
            self.lost = str(error)
            self.heard.set()


async def _taken(driver: Driver, seconds: float, beside: _Beside | None) -> SampleBatch:
    """The first samples of the source; the second one is followed meanwhile, and heard in any case.

    Raises:
        DriverError: the source cannot be reached or was lost.
        WorkError: it brings nothing.
    """
    if beside is None:
        return await first_samples(driver, seconds, _FIND_S)
    following = asyncio.create_task(beside.follow(), name="second source")
    try:
        return await first_samples(driver, seconds, _FIND_S)
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HEAR_S):
                await beside.heard.wait()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def _show(driver: Driver, batch: SampleBatch) -> None:
    """Prints what the samples are."""
    print(driver.describe())
    span_s = float(batch.t_s[-1] - batch.t_s[0])
    rate = f", {(len(batch) - 1) / span_s:.1f} samples per second" if span_s > 0.0 else ""
    print(f"{len(batch)} samples{rate}; the newest:")
    for name, channel in CHANNELS.items():
        if name in batch.delivered:
            print(f"  {channel.words:28} {_shown(name, float(batch[name][-1]), channel.unit)}")
        else:
            print(f"  {channel.words:28} not delivered")


def _shown(name: str, value: float, unit: str) -> str:
    if not math.isfinite(value):
        return "not measured"
    if name == "fuel_loop":
        return FuelLoop(int(value)).name.lower().replace("_", " ")
    number = f"{value:.3g}" if abs(value) < 100.0 else f"{value:.0f}"
    return number if unit == "1" else f"{number} {unit}"

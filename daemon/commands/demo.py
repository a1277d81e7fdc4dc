"""``lowmaf demo``: the whole system on a simulated car, with nothing to configure."""

from __future__ import annotations

import argparse
import asyncio
import math
import tempfile
from pathlib import Path

from daemon.errors import UsageError
from daemon.live.hub import Hub
from daemon.runtime import Plan
from daemon.runtime import run as run_daemon
from drivers.base import DriverOptionError
from drivers.clock import WallClock
from drivers.simulator.source import Simulator
from lowmaf.filters import Filters
from lowmaf.settings import CurveSettings

REPORT_INTERVAL_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf demo``."""
    parser.epilog = "example: lowmaf demo --speed 20 --seconds 180   (an hour of driving in three minutes)"
    parser.add_argument("--port", type=int, default=8000, help="port of the dashboard, 0 for any (8000)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated time per real time (1)")
    parser.add_argument("--seconds", type=float, metavar="N", help="stop after N seconds of real time")
    parser.add_argument("--seed", type=int, default=1, help="draws the route and the disturbances (1)")
    parser.add_argument("--database", type=Path, metavar="FILE", help="keep what is learned in this file")


def run(options: argparse.Namespace) -> int:
    """Runs the demonstration until Ctrl-C, SIGTERM or ``--seconds``; says how near the estimate came."""
    if not 0 <= options.port <= 65535:
        raise UsageError(f"--port {options.port} is impossible: allowed are 0 to 65535")
    if options.seconds is not None and not 0.0 < options.seconds < math.inf:
        raise UsageError(f"--seconds {options.seconds:g} is impossible: it must be above 0")
    try:
        car = Simulator({"speed": options.speed, "seed": options.seed}, WallClock())
    except DriverOptionError as error:
        raise UsageError(str(error)) from None
    if options.database is not None:
        _drive(car, options, options.database)
    else:
        with tempfile.TemporaryDirectory(prefix="lowmaf-demo-") as folder:
            _drive(car, options, Path(folder) / "demo.sqlite3")
    return 0


def _drive(car: Simulator, options: argparse.Namespace, database: Path) -> None:
    last_words = ["Stopped before the car had started."]

    async def report(hub: Hub) -> None:
        hub.truth_source = lambda: (car.truth.correction_pct, car.truth.closed_loop_s)
        try:
            while True:
                await asyncio.sleep(REPORT_INTERVAL_S)
                print(_progress(hub), flush=True)
        finally:
            last_words[0] = f"Stopped. {_progress(hub)}"

    def listening(url: str) -> None:
        print(f"A simulated car is driving. Open {url} in a browser; Ctrl-C stops.", flush=True)

    run_daemon(
        Plan(
            table=car.maf_table,
            make_driver=lambda: car,
            estimator="curve",
            filters=Filters(),
            curve=CurveSettings(),
            database=database,
            keep_samples=True,
            commit_interval_s=2.0,
            min_free_bytes=0.0,
            host=options.host,
            port=options.port,
            host_names=(),
            seconds=options.seconds,
            listening=listening,
            tell_owner=print,
            companion=report,
        )
    )
    print(last_words[0], flush=True)


def _progress(hub: Hub) -> str:
    """How far the car drove and how near the estimate is to the error that it was given."""
    status = hub.status()
    counts = hub.pipeline.counts()
    driven = "" if (live := hub.live()) is None else f"{live.t_s / 60.0:.1f} min driven, "
    words = f"{driven}{counts.accepted} of {counts.seen} samples counted"
    truth = status.truth
    if truth is None or truth.rmse_pct is None:
        return f"{words}; no cell has 10 s of closed loop yet."
    return (
        f"{words}; the estimate is within {truth.rmse_pct:.2f} % rms of the car's true MAF error "
        f"over {truth.cells} cells."
    )

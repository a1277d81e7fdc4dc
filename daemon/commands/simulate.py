"""``lowmaf simulate``: the simulated ECU alone, for trying drivers and adapters."""

from __future__ import annotations

import argparse
import math
import signal
import threading
from pathlib import Path

from daemon.errors import UsageError, WorkError
from drivers.base import DeviceUnavailableError
from drivers.clock import ScaledClock, WallClock
from drivers.logs.errors import LogUnreadableError
from drivers.logs.opening import open_log
from drivers.options import nearest
from drivers.simulator.car import Car
from drivers.simulator.ecu_answers import ShownCar
from drivers.simulator.link_faults import NO_FAULTS, LinkFaultError, parse_faults
from drivers.simulator.recorded_car import RecordedCar
from drivers.simulator.settings import CarSettings, DriveKind
from drivers.simulator.transports import Transport, serve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf simulate``."""
    parser.epilog = "example: lowmaf simulate --transport kline --fault drop=0.05,mute=60s"
    parser.add_argument(
        "--transport", required=True, choices=[*map(str, Transport)], help="link on which the ECU answers"
    )
    parser.add_argument("--speed", type=float, default=1.0, help="simulated time per real time (1)")
    parser.add_argument("--seed", type=int, default=1, help="draws the route and the disturbances (1)")
    parser.add_argument(
        "--drive",
        default="mixed",
        metavar=f"{'|'.join(DriveKind)}|LOG",
        help="where it is driven (mixed), or a recorded log, whose values it shows again and again",
    )
    parser.add_argument(
        "--fault",
        metavar="KIND=VALUE,…",
        help="a bad link: drop, corrupt, garbage (shares of answers), delay_ms, split (bytes), mute, unplug "
        "(after so many seconds; unplug ends the command), negative (an address that is refused)",
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="stop after N seconds of real time")


def run(options: argparse.Namespace) -> int:
    """Serves until Ctrl-C, SIGTERM or ``--seconds``; prints where, and what to configure to read it.

    Raises:
        UsageError: a speed, a time or a fault that cannot be.
        WorkError: this machine has no such link, or the log gives no samples.
    """
    if not 0.1 <= options.speed <= 100.0:
        raise UsageError(f"--speed {options.speed:g} is impossible: allowed are 0.1 to 100")
    if options.seconds is not None and not 0.0 < options.seconds < math.inf:
        raise UsageError(f"--seconds {options.seconds:g} is impossible: it must be above 0")
    try:
        faults = parse_faults(options.fault) if options.fault else NO_FAULTS
    except LinkFaultError as error:
        raise UsageError(f"--fault: {error}") from None
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    car = _car(options.drive, options.seed)
    try:
        served = serve(Transport(options.transport), car, ScaledClock(options.speed, WallClock()), faults)
    except DeviceUnavailableError as error:
        raise WorkError(str(error)) from None
    try:
        print(
            f"A simulated ECU answers on {served.where}. To read it, write in the configuration:\n\n[source]"
        )
        for key, value in served.source.items():
            print(f'{key} = "{value}"')
        print("\nCtrl-C stops.", flush=True)
        stopping.wait(min(filter(None, (options.seconds, faults.unplug)), default=None))
    finally:
        served.stop()
    return 0


def _car(drive: str, seed: int) -> ShownCar:
    """The simulated car, or one that drives as a log says."""
    if drive in set(DriveKind):
        return Car(CarSettings(seed=seed, drive=DriveKind(drive)))
    log = Path(drive)
    if not log.is_file():
        raise UsageError(
            f"--drive {drive!r} is no drive and no file{nearest(drive, map(str, DriveKind))}; "
            f"allowed are {', '.join(DriveKind)} and the path of a log"
        )
    try:
        return RecordedCar(lambda: open_log(log, drive))
    except LogUnreadableError as error:
        raise WorkError(str(error)) from None

"""What OBD-II gives and costs: ``python tests/bench/bench_obd.py``, about 20 seconds.

``obd-can`` polls an ECU on an in-process bus 50 times a second; ``elm327`` reads a simulated adapter
that takes 20 ms per answer and 30 ms more where it is not told how many lines to wait for, with
several PIDs per request and, as many clones do, with one. CPU time is the whole process: driver,
adapter and ECU.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from driver_rate import rate_of
from figures import report

from drivers.can_link import open_bus
from drivers.clock import ScaledClock, WallClock
from drivers.elm327 import Elm327
from drivers.obd_can import ObdCan
from drivers.simulator.car import Car
from drivers.simulator.ecu import SimulatedEcu
from drivers.simulator.ecu_answers import EcuAnswers
from drivers.simulator.elm_adapter import ElmAdapter, ElmHabits
from drivers.simulator.pty_port import PtyPort
from drivers.simulator.settings import CarSettings

SECONDS = 5.0


def measure(name: str, driver: ObdCan | Elm327) -> None:
    rate = asyncio.run(rate_of(driver, SECONDS))
    report(f"{name}: samples", rate.per_s, "1/s")
    report(f"{name}: CPU", 1e6 * rate.cpu_s / rate.samples, "µs/sample")


def over_can() -> None:
    channel = f"bench-{uuid.uuid4().hex}"
    standing = ScaledClock(1e-6, WallClock())
    ecu = SimulatedEcu(open_bus("virtual", channel, 0), Car(CarSettings()), standing)
    ecu.start()
    options = {"interface": "virtual", "channel": channel, "rate_hz": 50.0}
    measure("obd-can, two requests per sample", ObdCan(options, WallClock()))
    ecu.stop()


def through_elm(name: str, habits: ElmHabits) -> None:
    port = PtyPort()
    standing = ScaledClock(1e-6, WallClock())
    adapter = ElmAdapter(port, EcuAnswers(Car(CarSettings()), standing), habits)
    adapter.start()
    measure(f"elm327, {name}", Elm327({"port": port.path}, WallClock()))
    adapter.stop()


if __name__ == "__main__":
    over_can()
    through_elm("by the book", ElmHabits())
    through_elm("knows no counts", ElmHabits(knows_counts=False))
    through_elm("one PID at a time", ElmHabits(knows_many_pids=False, knows_counts=False))

"""What polling costs: ``python tests/bench/bench_ssm_can.py``, about 20 seconds.

All on one in-process bus (python-can ``virtual``), driver and simulated ECU in threads of one
process. CPU time is counted, not wall time, so that a busy machine changes little.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import uuid
from pathlib import Path

import can
from driver_rate import rate_of
from figures import report

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drivers.can_link import CanLink, open_bus
from drivers.can_port import BusPort
from drivers.clock import ScaledClock, WallClock
from drivers.simulator.car import Car
from drivers.simulator.ecu import SimulatedEcu
from drivers.simulator.settings import CarSettings
from drivers.simulator.source import Simulator
from drivers.ssm_reader import SsmReader

SAMPLES = 3000


def polling() -> None:
    """Request, answer and decoding, back to back, with a car that stands still in time."""
    channel = f"bench-{uuid.uuid4().hex}"
    frozen = ScaledClock(1e-9, WallClock())
    ecu = SimulatedEcu(open_bus("virtual", channel, 0), Car(CarSettings()), frozen)
    ecu.start()
    bus = open_bus("virtual", channel, 0)
    reader = SsmReader(CanLink(BusPort(bus, WallClock()), 0x7E0, 0x7E8))
    plan = reader.plan(reader.identify())
    wall_s, driver_s, process_s = time.monotonic(), time.thread_time(), time.process_time()
    for _ in range(SAMPLES):
        reader.sample(plan)
    wall_s, driver_s = time.monotonic() - wall_s, time.thread_time() - driver_s
    process_s = time.process_time() - process_s
    bus.shutdown()
    ecu.stop()
    addresses = len(plan.request.addresses)
    report(f"back to back, {addresses} addresses per sample", SAMPLES / wall_s, "samples/s")
    for who, cpu_s, target in (
        ("driver with python-can", driver_s, 50.0),
        ("driver, bus and ECU", process_s, None),
    ):
        report(f"{who}: samples/s for 1 % of a core", 0.01 * SAMPLES / cpu_s, "1/s", at_least=target)


def bus_alone() -> None:
    """The same frames between two ends of python-can's bus, with nothing of ours around them."""
    channel = f"bench-{uuid.uuid4().hex}"
    near, far = open_bus("virtual", channel, 0), open_bus("virtual", channel, 0)
    frame = can.Message(arbitration_id=0x7E0, is_extended_id=False, data=bytes(8))

    def answer() -> None:
        for _ in range(SAMPLES):
            for asked in (1, 5, 1):
                for _ in range(asked):
                    far.recv(1.0)
                far.send(frame)

    other = threading.Thread(target=answer)
    other.start()
    process_s = time.process_time()
    for _ in range(SAMPLES):
        near.recv(0.0)
        for asked in (1, 5, 1):
            for _ in range(asked):
                near.send(frame)
            near.recv(1.0)
    other.join()
    process_s = time.process_time() - process_s
    near.shutdown()
    far.shutdown()
    report("of that python-can's bus alone", 1e6 * process_s / SAMPLES, "µs/sample")


def car() -> None:
    """The car alone, without a bus."""
    simulated = Car(CarSettings())
    cpu_s = time.process_time()
    simulated.advance_to(600.0)
    cpu_s = time.process_time() - cpu_s
    report("simulated car", 1e6 * cpu_s / 60_000, "µs per 10 ms step")


def whole(speed: float) -> None:
    """The ``simulator`` driver as the daemon uses it."""
    rate = asyncio.run(rate_of(Simulator({"speed": speed}, WallClock()), 6.0))
    report(f"simulator at speed {speed:g}: samples per simulated second", rate.per_s / speed, "1/s")
    report(f"simulator at speed {speed:g}: CPU", rate.core_pct, "% of a core")


if __name__ == "__main__":
    polling()
    bus_alone()
    car()
    for factor in (1.0, 20.0):
        whole(factor)

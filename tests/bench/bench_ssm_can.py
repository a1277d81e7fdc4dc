"""What polling costs: ``python tests/bench/bench_ssm_can.py``, about 20 seconds.

All on one in-process bus (python-can ``virtual``), driver and simulated ECU in threads of one process. CPU
time is counted, not wall time, and in turn with the driver a bare loop on python-can asks for the same
frames: on a busy machine both take longer.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import can
from bare_adapter import frames_of
from bare_drivers import bare_can_sample
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
ROUNDS = 10
PEER = "bare loop on python-can"


def polling() -> None:
    """Request, answer and decoding, back to back, with a car that stands still in time."""
    channel = f"bench-{uuid.uuid4().hex}"
    frozen = ScaledClock(1e-9, WallClock())
    ecu = SimulatedEcu(open_bus("virtual", channel, 0), Car(CarSettings()), frozen)
    ecu.start()
    bus = open_bus("virtual", channel, 0)
    reader = SsmReader(CanLink(BusPort(bus, WallClock()), 0x7E0, 0x7E8))
    plan = reader.plan(reader.identify())
    frames = frames_of(plan.request_bytes)
    process_s, wall_s = time.process_time(), time.monotonic()
    driver_s = bare_s = 0.0
    for _ in range(ROUNDS):
        driver_s += spent_s(lambda: reader.sample(plan))
        bare_s += spent_s(lambda: bare_can_sample(bus, frames))
    process_s, wall_s = time.process_time() - process_s, time.monotonic() - wall_s
    bus.shutdown()
    ecu.stop()
    addresses = len(plan.request.addresses)
    both = "driver and bare loop in turn, back to back"
    report(f"{both}, {addresses} addresses per sample", 2 * SAMPLES / wall_s, "samples/s")
    report(
        "driver with python-can: samples/s for 1 % of a core",
        0.01 * SAMPLES / driver_s,
        "1/s",
        peer=(PEER, 0.01 * SAMPLES / bare_s),
        at_least=50.0,
    )
    report("either with bus and ECU: samples/s for 1 % of a core", 0.02 * SAMPLES / process_s, "1/s")


def spent_s(sample: Callable[[], object]) -> float:
    """Processor time of this thread for a round of samples, s."""
    began_s = time.thread_time()
    for _ in range(SAMPLES // ROUNDS):
        sample()
    return time.thread_time() - began_s


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

"""The other end of every driver's link, simulated, for tests that hold over the registry."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from passive_links import DBC, SIGNALS, broadcasting, car_frames

from drivers.can_link import open_bus
from drivers.clock import Clock, ScaledClock, WallClock
from drivers.simulator.car import Car
from drivers.simulator.ecu import SimulatedEcu
from drivers.simulator.ecu_answers import EcuAnswers
from drivers.simulator.elm_adapter import ElmAdapter, ElmHabits
from drivers.simulator.kline_ecu import KlineEcu
from drivers.simulator.link_faults import NO_FAULTS, LinkFaults
from drivers.simulator.pty_port import PtyPort
from drivers.simulator.settings import CarSettings
from drivers.simulator.slcan_adapter import SlcanAdapterBus

Options = Mapping[str, object]
BROADCAST: Options = {"dbc": str(DBC), "signals": SIGNALS}
WARM = CarSettings(seed=2, ect_start_c=85.0)
ECT_C = 84.0
"""What the coolant sensor of :func:`idling_car` shows."""


def idling_car() -> Car:
    """A warm car that has just been started."""
    car = Car(WARM)
    car.advance_to(4.0)
    return car


def standing() -> Clock:
    """A clock so slow that the car idles for the whole of a test."""
    return ScaledClock(1e-3, WallClock())


@dataclass(frozen=True)
class Bench:
    """Options under which a driver delivers, and what takes its other end away."""

    options: Options
    unplug: Callable[[], None]


class Once:
    """Calls a function the first time only."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function: Callable[[], None] | None = function

    def __call__(self) -> None:
        function, self._function = self._function, None
        if function is not None:
            function()


@contextmanager
def can_bench(faults: LinkFaults, clock: Clock | None = None) -> Iterator[Bench]:
    """A bus with an ECU on it."""
    channel = f"bench-{uuid.uuid4().hex}"
    ecu = SimulatedEcu(open_bus("virtual", channel, 0), idling_car(), clock or standing(), faults=faults)
    ecu.start()
    stop = Once(ecu.stop)
    try:
        yield Bench(
            {"interface": "virtual", "channel": channel, "rate_hz": 100.0, "timeout_s": 0.1}, unplug=stop
        )
    finally:
        stop()


@contextmanager
def slcan_bench(faults: LinkFaults, clock: Clock | None = None) -> Iterator[Bench]:
    """A serial CAN adapter with an ECU behind it."""
    port = PtyPort()
    ecu = SimulatedEcu(SlcanAdapterBus(port, faults), idling_car(), clock or standing())
    ecu.start()
    stop = Once(ecu.stop)
    try:
        yield Bench(
            {"interface": "slcan", "channel": port.path, "bitrate": 500_000, "rate_hz": 100.0}, unplug=stop
        )
    finally:
        stop()


@contextmanager
def kline_bench(faults: LinkFaults, clock: Clock | None = None) -> Iterator[Bench]:
    """A cable with an ECU on it, twenty-four times as fast as a real one."""
    port = PtyPort()
    ecu = KlineEcu(port, EcuAnswers(idling_car(), clock or standing()), baudrate=115_200, faults=faults)
    ecu.start()
    stop = Once(ecu.stop)
    try:
        yield Bench({"port": port.path, "baudrate": 115_200}, unplug=stop)
    finally:
        stop()


@contextmanager
def elm_bench(faults: LinkFaults, clock: Clock | None = None) -> Iterator[Bench]:
    """An adapter, quicker than real ones."""
    port = PtyPort()
    habits = ElmHabits(latency_s=0.002, settle_s=0.002)
    adapter = ElmAdapter(port, EcuAnswers(idling_car(), clock or standing()), habits, faults)
    adapter.start()
    stop = Once(adapter.stop)
    try:
        yield Bench({"port": port.path, "timeout_s": 0.3}, unplug=stop)
    finally:
        stop()


@contextmanager
def simulator_bench(faults: LinkFaults) -> Iterator[Bench]:
    assert faults is NO_FAULTS
    yield Bench({"speed": 20.0, "ect_start_c": 85.0}, unplug=lambda: None)


@contextmanager
def replay_bench(faults: LinkFaults) -> Iterator[Bench]:
    """A log of a car that idles for twenty minutes."""
    assert faults is NO_FAULTS
    rows = [f"{100 * row},{row % 3 - 1},2.34,8,0.98,3.{row % 10},750,{ECT_C:.0f}" for row in range(12_000)]
    header = (
        "Time (msec),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL Fueling* (status),"
        "Mass Airflow Sensor Voltage (V),Mass Airflow (g/s),Engine Speed (rpm),Coolant Temperature (C)"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as log:
        log.write("\n".join([header, *rows, ""]))
        log.flush()
        yield Bench({"file": log.name, "speed": 20.0}, unplug=lambda: None)


@contextmanager
def broadcast_bench(faults: LinkFaults, clock: Clock | None = None) -> Iterator[Bench]:
    """A bus on which an ECU broadcasts."""
    with broadcasting(car_frames(idling_car(), clock or standing()), faults) as (channel, broadcaster):
        yield Bench(
            {"interface": "virtual", "channel": channel, **BROADCAST, "silent_s": 1.0},
            unplug=Once(broadcaster.stop),
        )


BENCHES: Mapping[str, Callable[..., AbstractContextManager[Bench]]] = {
    "ssm-kline": kline_bench,
    "ssm-can": can_bench,
    "obd-can": can_bench,
    "elm327": elm_bench,
    "can-broadcast": broadcast_bench,
    "replay": replay_bench,
    "simulator": simulator_bench,
}
"""Benches by driver, made with faults and, on a link, the clock of the car."""

ABSENT: Mapping[str, Options] = {
    "ssm-kline": {"port": "/dev/nosuchport7"},
    "ssm-can": {"interface": "socketcan", "channel": "nosuchport7"},
    "obd-can": {"interface": "socketcan", "channel": "nosuchport7"},
    "elm327": {"port": "/dev/nosuchport7"},
    "can-broadcast": {"interface": "socketcan", "channel": "nosuchport7", **BROADCAST},
}
"""Options that name a device that is not there."""

NEEDS_NO_DEVICE = frozenset({"replay", "simulator"})

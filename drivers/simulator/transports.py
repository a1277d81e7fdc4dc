"""The simulated ECU alone, on a link that other programs can open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from drivers.can_link import open_bus
from drivers.clock import Clock
from drivers.simulator.ecu import SimulatedEcu
from drivers.simulator.ecu_answers import EcuAnswers, ShownCar
from drivers.simulator.elm_adapter import ElmAdapter
from drivers.simulator.kline_ecu import KlineEcu
from drivers.simulator.link_faults import LinkFaults
from drivers.simulator.pty_port import PtyPort
from drivers.simulator.slcan_adapter import SlcanAdapterBus

MULTICAST_GROUP = "239.74.163.2"


class Transport(StrEnum):
    """Links on which the ECU can be simulated."""

    SLCAN = "slcan"
    KLINE = "kline"
    ELM327 = "elm327"
    UDP_MULTICAST = "udp-multicast"


@dataclass(frozen=True, slots=True)
class Served:
    """An ECU that answers: where, the ``[source]`` settings that read it, and how to end it."""

    where: str
    source: Mapping[str, str]
    stop: Callable[[], None]


def serve(transport: Transport, car: ShownCar, clock: Clock, faults: LinkFaults) -> Served:
    """Starts the ECU of ``car`` in a thread of its own.

    Raises:
        DeviceUnavailableError: this machine has no such bus.
    """
    if transport is Transport.UDP_MULTICAST:
        bus = open_bus("udp_multicast", MULTICAST_GROUP, 0)
        return _started(
            SimulatedEcu(bus, car, clock, refuses=faults.negative, faults=faults),
            f"multicast group {MULTICAST_GROUP}",
            {"driver": "ssm-can", "interface": "udp_multicast", "channel": MULTICAST_GROUP},
        )
    port = PtyPort()
    if transport is Transport.SLCAN:
        ecu = SimulatedEcu(SlcanAdapterBus(port, faults), car, clock, refuses=faults.negative)
        return _started(ecu, port.path, {"driver": "ssm-can", "interface": "slcan", "channel": port.path})
    answers = EcuAnswers(car, clock, refuses=faults.negative)
    if transport is Transport.KLINE:
        return _started(
            KlineEcu(port, answers, faults=faults), port.path, {"driver": "ssm-kline", "port": port.path}
        )
    return _started(
        ElmAdapter(port, answers, faults=faults), port.path, {"driver": "elm327", "port": port.path}
    )


def _started(server: SimulatedEcu | KlineEcu | ElmAdapter, where: str, source: Mapping[str, str]) -> Served:
    server.start()
    return Served(where, source, server.stop)

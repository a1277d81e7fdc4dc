"""The other ends of links that tests of single drivers share, and samples taken of a driver."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager

import can

from drivers.base import Driver
from drivers.can_link import open_bus
from drivers.clock import ScaledClock, WallClock
from drivers.isotp import IsoTp
from drivers.simulator.car import Car
from drivers.simulator.ecu import SimulatedEcu
from drivers.simulator.pty_port import PtyPort
from drivers.simulator.settings import CarSettings
from lowmaf.samples import SampleBatch

WARM = CarSettings(seed=2, ect_start_c=85.0)


async def take(source: Driver, samples: int) -> SampleBatch:
    """At least so many samples, within twenty seconds."""
    taken: list[SampleBatch] = []
    async with asyncio.timeout(20.0), aclosing(source.batches()) as batches:  # type: ignore[type-var]
        async for batch in batches:
            taken.append(batch)
            if sum(map(len, taken)) >= samples:
                break
    return SampleBatch.concatenate(taken)


@contextmanager
def on_port(answers: Callable[[bytes], Iterable[bytes]]) -> Iterator[str]:
    """A serial port whose far end answers the bytes that come with bytes; yields the port's path."""
    port = PtyPort()
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            for answer in answers(port.read(0.02)):
                port.write(answer)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield port.path
    finally:
        stop.set()
        thread.join()
        port.close()


def new_channel() -> str:
    return f"test-{uuid.uuid4().hex}"


@contextmanager
def simulated_ecu(channel: str, **options: bool) -> Iterator[SimulatedEcu]:
    ecu = SimulatedEcu(open_bus("virtual", channel, 0), Car(WARM), ScaledClock(10.0, WallClock()), **options)
    ecu.start()
    try:
        yield ecu
    finally:
        ecu.stop()


@contextmanager
def fake_ecu(channel: str, answer: Callable[[bytes], list[bytes]]) -> Iterator[list[bytes]]:
    """An ECU that answers each request with the payloads or, 8 bytes starting FF, the bare frames given.

    Yields the requests it saw.
    """
    bus = open_bus("virtual", channel, 0)
    seen: list[bytes] = []
    stop = threading.Event()

    def send(data: bytes) -> None:
        bus.send(can.Message(arbitration_id=0x7E8, data=data, is_extended_id=False))

    def run() -> None:
        transport = IsoTp()
        while not stop.is_set():
            message = bus.recv(0.02)
            if message is None or message.arbitration_id != 0x7E0:
                continue
            request, frames = transport.receive(bytes(message.data), time.monotonic())
            for frame in frames:
                send(frame)
            if request is None:
                continue
            seen.append(request)
            for payload in answer(request):
                if payload[0] == 0xFF:
                    send(payload[1:])
                    continue
                transport.reset()
                for frame in transport.send(payload, time.monotonic()):
                    send(frame)

    thread = threading.Thread(target=run, name="fake ECU")
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
        bus.shutdown()

"""What receiving over a serial CAN adapter costs: ``python tests/bench/bench_slcan.py``, about 15 seconds.

A second process writes frames into a pty, 4500 a second; ours and python-can's receiver take them in
turn, and the CPU time of the receiving thread is compared.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import can
from figures import report

from drivers.can_link import open_bus
from drivers.simulator.pty_port import PtyPort
from drivers.slcan_frames import SlcanFrame

FRAMES = 20_000
RATE_HZ = 4500.0


def writer(told: Connection) -> None:
    """Writes the frames, each with its number, each time it is told to."""
    port = PtyPort()
    told.send(port.path)
    while told.recv():
        port.read(0.2)
        started_s = time.monotonic()
        for number in range(FRAMES):
            port.write(SlcanFrame(0x7E8, number.to_bytes(8, "big")).to_bytes())
            ahead_s = started_s + number / RATE_HZ - time.monotonic()
            if ahead_s > 0.001:
                time.sleep(ahead_s)


def theirs(path: str) -> can.BusABC:
    return can.Bus(interface="slcan", channel=path, sleep_after_open=0.0, ignore_config=True)


def next_of(bus: can.BusABC) -> can.Message | None:
    """The next frame; python-can's receiver raises where the port could not hold what it did not take."""
    while True:
        try:
            return bus.recv(1.0)
        except (ValueError, IndexError):
            continue


@dataclass(frozen=True, slots=True)
class Received:
    """Frames per second, how many were lost, and CPU time of each, s."""

    per_s: float
    lost: int
    cpu_s: float


def measure(open_it: Callable[[], can.BusABC], told: Connection) -> Received:
    bus = open_it()
    told.send(True)
    received = lost = 0
    expected = 0
    started_s = cpu_s = 0.0
    while (message := next_of(bus)) is not None:
        if not received:
            started_s, cpu_s = time.monotonic(), time.thread_time()
        received += 1
        number = int.from_bytes(message.data, "big")
        lost += number - expected
        expected = number + 1
        last_s, spent_s = time.monotonic() - started_s, time.thread_time() - cpu_s
    bus.shutdown()
    lost += FRAMES - expected
    return Received(received / last_s, lost, spent_s / received)


if __name__ == "__main__":
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=writer, args=(there,))
    process.start()
    path = here.recv()
    try:
        ours = measure(lambda: open_bus("slcan", path, 500_000), here)
        other = measure(lambda: theirs(path), here)
    finally:
        here.send(False)
        process.join()
    report("frames received", ours.per_s, "1/s", peer=("python-can", other.per_s), at_least=4000.0)
    report(f"frames lost of {FRAMES}", ours.lost, peer=("python-can", other.lost), at_most=0)
    peer = ("python-can", 1e6 * other.cpu_s)
    report("CPU", 1e6 * ours.cpu_s, "µs/frame", peer=peer, ratio_at_most=0.2)

"""What receiving over a serial CAN adapter costs: ``python tests/bench/bench_slcan.py``, about 15 seconds.

A second process writes frames into a pty, 4500 a second; ours and python-can's receiver take them in
turn, and the CPU time of the receiving thread is compared.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import can

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


def measure(name: str, open_it: Callable[[], can.BusABC], told: Connection) -> float:
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
    print(
        f"{name}: {received / last_s:.0f} frames/s, {lost} of {FRAMES} lost, "
        f"{1e6 * spent_s / received:.1f} us per frame, {100.0 * spent_s / last_s:.1f} % of a core"
    )
    return spent_s / received


if __name__ == "__main__":
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=writer, args=(there,))
    process.start()
    path = here.recv()
    try:
        ours_s = measure("ours", lambda: open_bus("slcan", path, 500_000), here)
        theirs_s = measure("python-can", lambda: theirs(path), here)
    finally:
        here.send(False)
        process.join()
    print(f"ours takes 1/{theirs_s / ours_s:.1f} of python-can's CPU (target 1/5), at 4000 frames/s or more")

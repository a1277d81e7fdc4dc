"""What the K-line gives: ``python tests/bench/bench_kline.py``, about 25 seconds.

The simulated ECU runs in a process of its own on a pty on which bytes take the time of 4800 baud;
nine addresses per sample. CPU time is the driver's process alone.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from driver_rate import rate_of
from figures import report

from drivers.clock import WallClock
from drivers.simulator.car import Car
from drivers.simulator.ecu_answers import EcuAnswers
from drivers.simulator.kline_ecu import KlineEcu
from drivers.simulator.pty_port import PtyPort
from drivers.simulator.settings import CarSettings
from drivers.ssm_kline import SsmKline

CHANNELS = "ect_c, stft_pct, ltft_pct, rpm, maf_gs, maf_v"  # with the loop state nine addresses
WIRE_LIMIT_HZ = {"polled": 480.0 / (34 + 15), "continuous": 480.0 / 15}
SECONDS = 10.0


def ecu(told: Connection) -> None:
    port = PtyPort()
    simulated = KlineEcu(port, EcuAnswers(Car(CarSettings(ect_start_c=85.0)), WallClock()))
    simulated.start()
    told.send(port.path)
    told.recv()
    simulated.stop()


def measure(port: str, mode: str) -> None:
    driver = SsmKline({"port": port, "mode": mode, "channels": CHANNELS}, WallClock())
    rate, limit = asyncio.run(rate_of(driver, SECONDS)), WIRE_LIMIT_HZ[mode]
    report(f"{mode}: samples", rate.per_s, "1/s", peer=("what the wire allows", limit), ratio_at_least=0.95)
    report(f"{mode}: CPU", rate.core_pct, "% of a core", at_most=3.0)
    report(f"{mode}: bad frames", driver.counts.bad_frames, at_most=0)


if __name__ == "__main__":
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=ecu, args=(there,))
    process.start()
    path = here.recv()
    try:
        for mode in WIRE_LIMIT_HZ:
            measure(path, mode)
    finally:
        here.send(None)
        process.join()

"""What the K-line gives: ``python tests/bench/bench_kline.py``, about a minute.

The simulated ECU runs in a process of its own on a pty on which bytes take the time of 4800 baud;
nine addresses per sample. CPU time is the driver's process alone. In turn with the driver a bare loop asks
for the same and counts bytes: it has what the wire gave in these minutes, whatever else the machine did.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bare_drivers import bare_kline
from driver_rate import Rate, rate_of
from figures import report

from drivers.clock import WallClock
from drivers.kline_frames import ECU, OVERHEAD, TESTER, KlineFrame
from drivers.simulator.car import Car
from drivers.simulator.ecu_answers import EcuAnswers
from drivers.simulator.kline_ecu import KlineEcu
from drivers.simulator.pty_port import PtyPort
from drivers.simulator.settings import CarSettings
from drivers.ssm_frames import PARAMETERS, ReadRequest
from drivers.ssm_kline import SsmKline

CHANNELS = "ect_c, stft_pct, ltft_pct, rpm, maf_gs, maf_v"  # with the loop state nine addresses
ADDRESSES = 9
ANSWER_BYTES = 1 + ADDRESSES + OVERHEAD
MODES = ("polled", "continuous")
WIRE_LIMIT_HZ = {"polled": 480.0 / (34 + ANSWER_BYTES), "continuous": 480.0 / ANSWER_BYTES}
PEER = "bare loop"
ROUNDS = 3
SECONDS = 4.0


def ecu(told: Connection) -> None:
    port = PtyPort()
    simulated = KlineEcu(port, EcuAnswers(Car(CarSettings(ect_start_c=85.0)), WallClock()))
    simulated.start()
    told.send(port.path)
    told.recv()
    simulated.stop()


async def bare(port: str, *, continuous: bool) -> Rate:
    addresses = [address for parameter in PARAMETERS for address in parameter.addresses][:ADDRESSES]
    request = KlineFrame(ECU, TESTER, ReadRequest(tuple(addresses), continuous).to_bytes()).to_bytes()
    return await bare_kline(port, request, ANSWER_BYTES, SECONDS, continuous=continuous)


@contextlib.contextmanager
def simulated() -> Iterator[str]:
    """The port of a new ECU, on which nobody has spoken yet."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=ecu, args=(there,))
    process.start()
    try:
        yield here.recv()
    finally:
        here.send(None)
        process.join()


def measure(mode: str) -> None:
    ours: list[Rate] = []
    theirs: list[Rate] = []
    bad_frames = 0
    for _ in range(ROUNDS):
        with simulated() as port:
            driver = SsmKline({"port": port, "mode": mode, "channels": CHANNELS}, WallClock())
            ours.append(asyncio.run(rate_of(driver, SECONDS)))
            bad_frames += driver.counts.bad_frames
        with simulated() as port:
            theirs.append(asyncio.run(bare(port, continuous=mode == "continuous")))
    rate_hz, bare_hz = (median(one.per_s for one in those) for those in (ours, theirs))
    limit = WIRE_LIMIT_HZ[mode]
    report(f"{mode}: samples", rate_hz, "1/s", peer=(PEER, bare_hz), ratio_at_least=0.95)
    report(f"{mode}: samples", rate_hz, "1/s", peer=("what the wire allows", limit))
    core_pct, bare_pct = (median(one.core_pct for one in those) for those in (ours, theirs))
    report(f"{mode}: CPU", core_pct, "% of a core", peer=(PEER, bare_pct), at_most=3.0)
    report(f"{mode}: bad frames", bad_frames, at_most=0)


if __name__ == "__main__":
    for mode in MODES:
        measure(mode)

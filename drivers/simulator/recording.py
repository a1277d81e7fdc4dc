"""Recorded drives of the simulated car, for whoever wants samples without a bus."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from drivers.simulator.car import Car
from drivers.simulator.noise import seeded
from drivers.simulator.settings import CarSettings
from lowmaf.maf_table import MafTable
from lowmaf.samples import SampleBatch

ECU_RESOLUTION = {
    "maf_v": 0.02,
    "maf_gs": 0.01,
    "stft_pct": 100.0 / 128.0,
    "ltft_pct": 100.0 / 128.0,
    "fuel_loop": 1.0,
    "rpm": 0.25,
    "throttle_pct": 100.0 / 255.0,
    "load_g_rev": 0.001,
    "speed_kmh": 1.0,
    "iat_c": 1.0,
    "ect_c": 1.0,
}
"""Channels of a recorded drive and the step in which an SSM ECU reports each."""

FINE_RESOLUTION = {"maf_v": 5.0 / 65536.0, "stft_pct": 1e-4, "ltft_pct": 1e-4}
"""Steps of 16-bit volts and of trims read as 4-byte floats."""

LAMBDA_RESOLUTION = {"lambda_": 1.0 / 1024.0, "lambda_target": 1.0 / 1024.0}

_DROP_OUT_SAMPLES = 4.0
_TRIMS = ("stft_pct", "ltft_pct")


class Coding(StrEnum):
    """How the ECU turns volts and trims into what is read from it."""

    BYTES = "bytes"
    """One byte each, rounded."""
    TRUNCATED = "truncated"
    """One byte each, trims cut off to the step below: 0.4 % low on average."""
    FINE = "fine"
    """16-bit volts and 4-byte trims."""


@dataclass(frozen=True, slots=True)
class Polling:
    """How samples are taken from the ECU.

    ``rate_hz`` is cycles per second. ``staggered`` reads the channels one after the other, spread
    over the whole cycle, as a slow serial line does; the sample carries the time of the last one.
    ``drop_share`` of the samples are lost, four in a row on average.
    """

    rate_hz: float = 20.0
    coding: Coding = Coding.BYTES
    staggered: bool = False
    drop_share: float = 0.0
    with_lambda: bool = False  # adds measured and commanded lambda

    @property
    def resolution(self) -> dict[str, float]:
        """Channels in the order they are read, with the step of each."""
        fine = FINE_RESOLUTION if self.coding is Coding.FINE else {}
        return {**ECU_RESOLUTION, **fine, **(LAMBDA_RESOLUTION if self.with_lambda else {})}


def poll(car: Car, seconds: float, polling: Polling) -> SampleBatch:
    """Drives on for ``seconds`` and returns what polling the ECU gives.

    Time stamps continue from ``car.t_s``. Which samples are lost is drawn from the car's seed.
    """
    resolution = polling.resolution
    start_s, cycle_s = car.t_s, 1.0 / polling.rate_hz
    count = int(seconds * polling.rate_hz + 1e-6)
    t_s = np.empty(count)
    columns = {name: np.empty(count) for name in resolution}
    between_s = cycle_s / len(columns) if polling.staggered else 0.0
    for row in range(count):
        due_s = start_s + (row + 1) * cycle_s
        for late, (name, column) in enumerate(columns.items(), 1 - len(columns)):
            car.advance_to(due_s + late * between_s)
            column[row] = getattr(car, name)
        t_s[row] = car.t_s
    for name, step in resolution.items():
        cut_off = polling.coding is Coding.TRUNCATED and name in _TRIMS
        steps = columns[name] / step
        columns[name] = (np.floor(steps) if cut_off else np.round(steps)) * step
    batch = SampleBatch(t_s, columns)
    return batch.at(_arrived(count, polling.drop_share, seeded(car.settings.seed)))


def record(car: Car, seconds: float, rate_hz: float = 20.0, *, with_lambda: bool = False) -> SampleBatch:
    """Drives on for ``seconds``, polled evenly and in bytes; see :func:`poll`."""
    return poll(car, seconds, Polling(rate_hz, with_lambda=with_lambda))


def record_drive(
    settings: CarSettings,
    seconds: float,
    rate_hz: float = 20.0,
    *,
    with_lambda: bool = False,
    table: MafTable | None = None,
) -> SampleBatch:
    """A drive of a new car from time 0, with ``table`` in its ECU where given; see :func:`record`."""
    return record(Car(settings, table), seconds, rate_hz, with_lambda=with_lambda)


def _arrived(
    count: int, drop_share: float, draw: random.Random
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which samples arrive: a chain of two states, arriving and lost."""
    arrived = np.ones(count, dtype=np.bool_)
    if drop_share <= 0.0:
        return arrived
    begin = drop_share / (1.0 - drop_share) / _DROP_OUT_SAMPLES
    lost = False
    for row in range(count):
        lost = draw.random() < (1.0 - 1.0 / _DROP_OUT_SAMPLES if lost else begin)
        arrived[row] = not lost
    return arrived

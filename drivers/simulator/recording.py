"""Recorded drives of the simulated car, for whoever wants samples without a bus."""

from __future__ import annotations

import numpy as np

from drivers.simulator.car import Car
from drivers.simulator.settings import CarSettings
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

LAMBDA_RESOLUTION = {"lambda_": 1.0 / 1024.0, "lambda_target": 1.0 / 1024.0}


def record(car: Car, seconds: float, rate_hz: float = 20.0, *, with_lambda: bool = False) -> SampleBatch:
    """Drives on for ``seconds`` and returns what polling the ECU at ``rate_hz`` gives.

    Time stamps continue from ``car.t_s``. ``with_lambda`` adds measured and commanded lambda.
    """
    resolution = {**ECU_RESOLUTION, **(LAMBDA_RESOLUTION if with_lambda else {})}
    start_s = car.t_s
    count = int(seconds * rate_hz + 1e-6)
    t_s = np.empty(count)
    columns = {name: np.empty(count) for name in resolution}
    for row in range(count):
        car.advance_to(start_s + (row + 1) / rate_hz)
        t_s[row] = car.t_s
        for name, column in columns.items():
            column[row] = getattr(car, name)
    for name, step in resolution.items():
        columns[name] = np.round(columns[name] / step) * step
    return SampleBatch(t_s, columns)


def record_drive(
    settings: CarSettings, seconds: float, rate_hz: float = 20.0, *, with_lambda: bool = False
) -> SampleBatch:
    """A drive of a new car, from time 0; see :func:`record`."""
    return record(Car(settings), seconds, rate_hz, with_lambda=with_lambda)

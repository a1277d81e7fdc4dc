"""Cars, drives and ways of polling that estimators are tried on.

Every car is drawn by ``CarSettings.random``: delays, lags and noise lie within about ±60 % of the
defaults, the loop's gains within 2.5 times, the table's error has any shape, and no estimator is told. A
scenario changes what it is named after.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from drivers.simulator.recording import Coding, Polling
from drivers.simulator.settings import CarSettings, DriveKind, LoopKind, TableError

DRIVE_S = 2400.0
FIRST_SEED = 1000  # constants of lowmaf were chosen on lower seeds


@dataclass(frozen=True, slots=True)
class Scenario:
    """``changes`` gives the settings that differ from those of the random car that it is handed.

    ``repeated`` scenarios are driven several times: merged, and with the table applied.
    ``fails`` are declared failure modes: shown, but no part of any mean.
    """

    name: str
    drive: DriveKind = DriveKind.MIXED
    polling: Polling = field(default_factory=lambda: Polling(10.0))
    changes: Callable[[CarSettings], Mapping[str, Any]] = lambda _: {}
    repeated: bool = False
    fails: bool = False

    def car(self, number: int, drive: int = 0) -> CarSettings:
        """Settings of this scenario's car of this number, on its drive of this number.

        Every scenario has cars of its own: eight cars that come back in each would pool to eight.
        """
        seed = FIRST_SEED + 10_000 * (zlib.crc32(self.name.encode()) % 1000) + number
        random = CarSettings.random(seed, self.drive)
        return replace(random, seed=seed + 1000 * drive, **self.changes(random))


SCENARIOS = (
    Scenario("base, 10 Hz", repeated=True),
    Scenario("CAN, 50 Hz, 16 bit", polling=Polling(50.0, Coding.FINE)),
    Scenario("K-line, 5 Hz, staggered", polling=Polling(5.0, staggered=True)),
    Scenario("20 % drop-outs", polling=Polling(10.0, drop_share=0.2)),
    Scenario(
        "city, error at idle",
        DriveKind.CITY,
        changes=lambda _: {"table_error": TableError.IDLE_END},
        repeated=True,
    ),
    Scenario("highway", DriveKind.HIGHWAY),
    Scenario("spirited", DriveKind.SPIRITED),
    Scenario("purge ±3 %", changes=lambda _: {"purge_pct": 3.0, "purge_lean_share": 0.4}),
    Scenario("slow loop", changes=lambda car: {"kp": 0.35 * car.kp, "ki": 0.35 * car.ki}),
    Scenario("housing +12 %", changes=lambda _: {"table_error": TableError.HOUSING, "error_scale": 1.0}),
    Scenario("relay loop", changes=lambda _: {"loop": LoopKind.RELAY}),
    Scenario("trims add, held open", changes=lambda _: {"trims_add": True, "stft_freezes": True}),
    Scenario("intake air 0.08 %/K", changes=lambda _: {"iat_pct_per_k": 0.08}),
    Scenario("wall film x 3", changes=lambda car: {"film_share": 3.0 * car.film_share}),
    Scenario(
        "all bad together",
        polling=Polling(5.0, staggered=True, drop_share=0.1),
        changes=lambda car: {
            "purge_pct": 2.0,
            "purge_lean_share": 0.4,
            "iat_pct_per_k": 0.05,
            "film_share": 2.0 * car.film_share,
            "ki": 0.6 * car.ki,
        },
    ),
    Scenario("air leak 0.3 g/s", changes=lambda _: {"leak_gs": 0.3}, fails=True),
    Scenario(
        "trims at their limit",
        changes=lambda _: {
            "table_error": TableError.HOUSING,
            "error_scale": 2.5,
            "ltft_limit_pct": 4.0,
        },
        fails=True,
    ),
    Scenario("truncated bytes", polling=Polling(10.0, Coding.TRUNCATED), fails=True),
)

"""``simulator``: the simulated car and its ECU on a private CAN bus, polled by the real driver."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

from drivers.can_link import open_bus
from drivers.clock import Clock, ScaledClock
from drivers.options import option, parse_options
from drivers.simulator.car import Car, Truth
from drivers.simulator.ecu import SimulatedEcu
from drivers.simulator.settings import CarSettings, DriveKind, TableError
from drivers.ssm_can import SsmCan
from lowmaf.maf_table import MafTable
from lowmaf.samples import SampleBatch

_RATE_HZ = 20.0
_LOWEST_RATE_HZ = 6.0  # of simulated time: below 5 Hz is too coarse for the estimator
_WALL_RATE_HZ = 100.0  # requests per second of wall time that are enough


def _choices(kind: type[StrEnum]) -> list[str]:
    return [member.value for member in kind]


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """What the configuration may say for ``driver = "simulator"``."""

    speed: float = option(1.0, "simulated time per wall time", low=0.1, high=100.0)
    seed: int = option(1, "draws the route and the disturbances", low=0, high=2**31)
    drive: str = option("mixed", "where the car is driven", choices=_choices(DriveKind))
    table_error: str = option("intake", "shape of the MAF table's error", choices=_choices(TableError))
    ect_start_c: float = option(60.0, "coolant at the start", unit="°C", low=-30.0, high=90.0)
    reads_ram: bool = option(True, "false: as a stock ROM on CAN, loop state from OBD only")


class Simulator:
    """A car that drives for as long as its samples are taken; see ``drivers.base.Driver``.

    ``truth`` and ``maf_table`` are those of the current car; each :meth:`batches` starts it anew.
    """

    name = "simulator"

    def __init__(self, options: Mapping[str, object], clock: Clock) -> None:
        self.options = parse_options(SimulatorOptions, self.name, options)
        self._settings = CarSettings(
            seed=self.options.seed,
            drive=DriveKind(self.options.drive),
            table_error=TableError(self.options.table_error),
            ect_start_c=self.options.ect_start_c,
        )
        self._wall = clock
        self._car = Car(self._settings)
        self._driver: SsmCan | None = None

    @property
    def maf_table(self) -> MafTable:
        """The table in the simulated ECU."""
        return self._car.maf_table

    @property
    def truth(self) -> Truth:
        """The error that the table was given, and closed-loop seconds driven per cell so far."""
        return self._car.truth()

    @property
    def rate_hz(self) -> float:
        """Samples per second of simulated time."""
        return min(_RATE_HZ, max(_LOWEST_RATE_HZ, _WALL_RATE_HZ / self.options.speed))

    @property
    def ecu_id(self) -> str | None:
        return None if self._driver is None else self._driver.ecu_id

    def describe(self) -> str:
        words = f"simulated car, {self.options.drive} drive, {self.options.speed:g} × real time"
        reading = self._driver.reading if self._driver is not None else None
        return words if reading is None else f"{words}; SSM on CAN, {reading.ecu}, {reading.words}"

    async def batches(self) -> AsyncGenerator[SampleBatch, None]:
        channel = f"car-{uuid.uuid4().hex[:8]}"
        clock = ScaledClock(self.options.speed, self._wall)
        self._car = Car(self._settings)
        ecu = SimulatedEcu(
            open_bus("virtual", channel, 0), self._car, clock, reads_ram=self.options.reads_ram
        )
        options = {"interface": "virtual", "channel": channel, "rate_hz": self.rate_hz}
        self._driver = SsmCan(options, clock)
        ecu.start()
        try:
            async with aclosing(self._driver.batches()) as batches:
                async for batch in batches:
                    yield batch
        finally:
            ecu.stop()

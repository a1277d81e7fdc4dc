"""The simulated car: vehicle, engine, sensor, mixture and fuelling stepped together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivers.simulator.engine import Engine
from drivers.simulator.fuel_loop import FuelControl
from drivers.simulator.maf_sensor import MafSensor
from drivers.simulator.mixture import Mixture
from drivers.simulator.noise import seeded
from drivers.simulator.settings import STEP_S, TICK_S, TICK_STEPS, CarSettings
from drivers.simulator.vehicle import Vehicle
from lowmaf.maf_table import MafTable
from lowmaf.samples import CHANNELS, Floats, FuelLoop


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What an estimator should find.

    ``correction_pct`` and ``closed_loop_s`` have shape (k,), one value per breakpoint of the
    ECU's table: 100 x (true flow / table flow - 1), NaN where the sensor never reads, and seconds
    driven in closed loop nearest to the breakpoint so far with an engine as warm as the ECU wants for
    learning (the mixture of a colder one says little of the sensor).
    """

    correction_pct: Floats
    closed_loop_s: Floats


class Car:
    """A car driving along its route; time starts at 0 and moves only by :meth:`advance_to`.

    Attributes are what sensors and ECU show now, unquantised; see ``lowmaf.samples.CHANNELS`` for
    the units. The same settings give the same drive, whatever the steps it is advanced by.
    """

    __slots__ = ("_control", "_dwell_s", "_engine", "_leak_gs", "_mixture", "_sensor", "_steps",
                 "_vehicle", "settings")  # fmt: skip

    shown = frozenset(CHANNELS)

    def __init__(self, settings: CarSettings, table: MafTable | None = None) -> None:
        """``table`` is flashed into the ECU in place of the settings' own; any axis will do.

        Raises:
            MafTableError: the table has no flow.
        """
        self.settings = settings
        draw = seeded(settings.seed)
        self._sensor = MafSensor(settings, table, seeded(draw.getrandbits(64)))
        self._engine = Engine(settings, seeded(draw.getrandbits(64)))
        self._vehicle = Vehicle(settings, seeded(draw.getrandbits(64)))
        self._mixture = Mixture(settings, seeded(draw.getrandbits(64)), seeded(draw.getrandbits(64)))
        self._control = FuelControl(settings, self._sensor)
        self._leak_gs = settings.leak_gs
        self._dwell_s = [0.0] * self._sensor.table.cells
        self._steps = 0

    @property
    def t_s(self) -> float:
        """Simulated time since the start, s."""
        return self._steps * STEP_S

    @property
    def maf_table(self) -> MafTable:
        """The table in the ECU, with its error."""
        return self._sensor.table

    def truth(self) -> Truth:
        """The error that the table was given, and where closed loop was driven so far."""
        return Truth(self._sensor.correction_pct(), np.array(self._dwell_s))

    def value(self, channel: str) -> float:
        """What is shown now of a channel."""
        value: float = getattr(self, channel)
        return value

    def advance_to(self, t_s: float) -> None:
        """Steps the car to the last whole step at or before ``t_s``; never back."""
        engine, vehicle, control = self._engine, self._vehicle, self._control
        engine_step, vehicle_step, control_step = engine.step, vehicle.step, control.step
        sensor_step, mixture_step = self._sensor.step, self._mixture.step
        mixture, leak = self._mixture, self._leak_gs
        rpm, lambda_ = vehicle.rpm, mixture.lambda_
        for step in range(self._steps, int(t_s / STEP_S + 1e-6)):
            if step % TICK_STEPS == 0:
                self._tick()
            engine_step(rpm, not control.cut)
            rpm = vehicle_step(engine.torque_nm, engine.idle_rpm)
            table_gs = sensor_step(engine.throttle_gs - leak)
            lambda_ = mixture_step(engine.cylinder_gs, control_step(table_gs, rpm, lambda_))
            self._steps = step + 1

    def _tick(self) -> None:
        engine, vehicle, control, sensor = self._engine, self._vehicle, self._control, self._sensor
        vehicle.tick(engine)
        engine.tick(vehicle.rpm, vehicle.speed_ms)
        control.tick(sensor.table_gs, vehicle.rpm, engine.pedal, engine.ect_c)
        self._mixture.tick(
            engine.cylinder_gs, engine.iat_c, engine.ect_c, closed=control.closed, cut=control.cut
        )
        if control.closed and engine.ect_c >= self.settings.learning_ect_c:
            self._dwell_s[sensor.cell] += TICK_S

    @property
    def maf_v(self) -> float:
        return self._sensor.maf_v

    @property
    def maf_gs(self) -> float:
        return self._sensor.table_gs

    @property
    def stft_pct(self) -> float:
        return self._control.stft_pct

    @property
    def ltft_pct(self) -> float:
        return self._control.ltft_pct

    @property
    def fuel_loop(self) -> FuelLoop:
        return self._control.loop

    @property
    def rpm(self) -> float:
        return self._vehicle.rpm

    @property
    def gear(self) -> int:
        """Gear engaged or being engaged, 0 for the first."""
        return self._vehicle.gear

    @property
    def throttle_pct(self) -> float:
        return self._engine.throttle_pct

    @property
    def load_g_rev(self) -> float:
        return 60.0 * self._sensor.table_gs / self._vehicle.rpm

    @property
    def speed_kmh(self) -> float:
        return 3.6 * self._vehicle.speed_ms

    @property
    def map_kpa(self) -> float:
        return self._engine.manifold_kpa

    @property
    def iat_c(self) -> float:
        return self._engine.iat_c

    @property
    def ect_c(self) -> float:
        return self._engine.ect_c

    @property
    def lambda_(self) -> float:
        return self._mixture.lambda_

    @property
    def lambda_target(self) -> float:
        return self._control.lambda_target

"""The simulated car's mass, gears and driver."""

from __future__ import annotations

import math
import random

from drivers.simulator.drive import STANDING_MS, Route
from drivers.simulator.engine import Engine
from drivers.simulator.noise import Wander
from drivers.simulator.settings import STEP_S, TICK_S, CarSettings

_GEARS = (3.45, 1.95, 1.37, 0.97, 0.74)
_FINAL_DRIVE = 3.9
_WHEEL_M = 0.31
_RPM_PER_MS = tuple(60.0 * gear * _FINAL_DRIVE / (2.0 * math.pi * _WHEEL_M) for gear in _GEARS)
_N_PER_NM = tuple(0.92 * gear * _FINAL_DRIVE / _WHEEL_M for gear in _GEARS)
_SHIFT_S = 0.5
_G = 9.81
_BRAKING_MS2 = -1.3
_LIFT_NM = 8.0  # torque below which a driver takes the foot off instead of easing it
_RPM_GAIN = 0.12  # per step: clutch and flywheel bring the engine to its new speed in 80 ms
_REDLINE_RPM = 5900.0
_CLUTCH_RPM = 1250.0  # held by a slipping clutch until the car has caught up


class Vehicle:
    """Longitudinal motion with a driver who follows the route; ``rpm`` is the engine's speed."""

    __slots__ = ("_brake_n", "_drag", "_engaged", "_floor_rpm", "_foot", "_force_per_nm", "_hold_s",
                 "_mass_kg", "_rolling_n", "_route", "_rpm_per_ms", "_shift_s", "gear", "rpm",
                 "speed_ms")  # fmt: skip

    def __init__(self, settings: CarSettings, draw: random.Random) -> None:
        self._route = Route(settings.drive, draw)
        self._foot = Wander(draw, sd=0.07, corr_s=1.5, step_s=TICK_S)
        self._mass_kg = settings.mass_kg
        self._drag = 0.5 * 1.2 * settings.drag_area_m2
        self._rolling_n = 0.012 * settings.mass_kg * _G
        self._brake_n = 0.0
        self._engaged = False
        self._floor_rpm = 0.0
        self._hold_s = self._shift_s = 0.0
        self.gear = 0
        self._rpm_per_ms, self._force_per_nm = _RPM_PER_MS[0], 0.0
        self.rpm = 900.0
        self.speed_ms = 0.0

    def step(self, torque_nm: float, idle_rpm: float) -> float:
        """One step of motion under the flywheel's torque; returns ``rpm``."""
        speed = self.speed_ms
        force = torque_nm * self._force_per_nm - self._drag * speed * speed - self._brake_n
        if speed > 0.05 or force > self._rolling_n:
            force -= self._rolling_n
        speed += force / self._mass_kg * STEP_S
        self.speed_ms = speed = max(speed, 0.0)
        wanted = speed * self._rpm_per_ms if self._engaged else idle_rpm
        wanted = max(wanted, idle_rpm, self._floor_rpm)
        rpm = self.rpm = self.rpm + _RPM_GAIN * (wanted - self.rpm)
        return rpm

    def tick(self, engine: Engine) -> None:
        """Once per tick: the driver looks at the road and moves the pedals and the gear lever."""
        route = self._route
        route.tick(self.speed_ms)
        leg = route.leg
        wanted_ms2 = 0.40 * (route.target_ms - self.speed_ms)
        if leg.speed_ms == 0.0:
            wanted_ms2 -= 0.5  # the last metres to a stop
        wanted_ms2 = min(max(wanted_ms2, _BRAKING_MS2), leg.accel_ms2)
        hill_n = self._mass_kg * _G * route.grade
        road_n = self._rolling_n + hill_n + self._drag * self.speed_ms**2
        self._change_gear(wanted_ms2, leg.hurry, engine)
        self._brake_n = hill_n
        if leg.speed_ms == 0.0 and self.speed_ms < STANDING_MS:
            self._stand(engine)
            return
        if self._shift_s > 0.0:
            engine.pedal = 0.0
            return
        force_n = self._mass_kg * wanted_ms2 + road_n
        torque_nm = force_n / _N_PER_NM[self.gear]
        foot = self._foot.step()
        if torque_nm <= _LIFT_NM:
            self._coast(torque_nm, engine)
            return
        if not self._engaged:
            self._engage(self.gear)
        slipping = self.gear == 0 and self.speed_ms * self._rpm_per_ms < _CLUTCH_RPM
        self._floor_rpm = _CLUTCH_RPM if slipping else 0.0
        engine.pedal = engine.opening_for(torque_nm * (1.0 + foot), self.rpm)

    def _coast(self, torque_nm: float, engine: Engine) -> None:
        """Foot off the pedal; the brake does what the engine's drag, or its creep at idle, leaves to do."""
        engine.pedal = 0.0
        engine_nm = engine.torque_nm if self._engaged else 0.0
        self._brake_n += max(0.0, (engine_nm - torque_nm) * _N_PER_NM[self.gear])
        if self.speed_ms * self._rpm_per_ms < 1.05 * engine.idle_rpm:
            self._release()

    def _stand(self, engine: Engine) -> None:
        engine.pedal = 0.0
        self._brake_n = 3000.0
        self.gear = 0
        self._release()

    def _release(self) -> None:
        self._engaged = False
        self._force_per_nm = self._floor_rpm = 0.0

    def _engage(self, gear: int) -> None:
        self.gear = gear
        self._engaged = True
        self._rpm_per_ms, self._force_per_nm = _RPM_PER_MS[gear], _N_PER_NM[gear]

    def _change_gear(self, wanted_ms2: float, hurry: float, engine: Engine) -> None:
        if self._shift_s > 0.0:
            self._shift_s -= TICK_S
            if self._shift_s <= 0.0:
                self._engage(self.gear)
            return
        self._hold_s -= TICK_S
        speed, gear = self.speed_ms, self.gear
        rpm = speed * _RPM_PER_MS[gear]
        if (self._hold_s > 0.0 and rpm < _REDLINE_RPM) or speed < 1.0:
            return
        change_rpm = min(2300.0 + 500.0 * max(wanted_ms2, 0.0) + 2200.0 * hurry, _REDLINE_RPM)
        if gear < len(_GEARS) - 1 and speed * _RPM_PER_MS[gear + 1] > 1350.0 and rpm > change_rpm:
            self._shift(gear + 1)
        elif gear > 0 and (rpm < 1250.0 or self._is_too_weak(wanted_ms2, engine)):
            self._shift(gear - 1)

    def _is_too_weak(self, wanted_ms2: float, engine: Engine) -> bool:
        road_n = self._rolling_n + self._drag * self.speed_ms**2
        available_n = engine.full_torque_nm * _N_PER_NM[self.gear]
        lower_rpm = self.speed_ms * _RPM_PER_MS[self.gear - 1]
        return self._mass_kg * wanted_ms2 + road_n > 0.85 * available_n and lower_rpm < 4800.0

    def _shift(self, gear: int) -> None:
        self.gear = gear
        self._release()
        self._shift_s = _SHIFT_S
        self._hold_s = 2.0

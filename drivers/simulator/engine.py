"""Throttle, manifold, boost and torque of the simulated engine; coolant and intake air."""

from __future__ import annotations

import math
import random

from drivers.simulator.noise import Wander
from drivers.simulator.settings import STEP_S, TICK_S, CarSettings

_AIR_KPA = 101.3
_GAS_CONSTANT = 0.287  # of air, kPa·l/(g·K)
_CHOKED = 0.528  # pressure ratio at and below which a nozzle's flow is sonic
_WIDTH2 = (1.0 - _CHOKED) ** 2  # the flow function is close to an ellipse between there and 1
_NM_PER_G_REV = 200.0  # indicated torque per air charge
_THROTTLE_GAIN = 1.0 - math.exp(-STEP_S / 0.08)
_FULL_AREA_GS_PER_KPA = 5.5  # choked flow of the open throttle per kPa upstream
_AREA_EXPONENT = 1.7  # area over opening of a butterfly valve


def pressure_ratio(area_ratio: float) -> float:
    """Manifold pressure / pressure before the throttle in steady state.

    ``area_ratio`` is the choked flow through the throttle over the flow that the engine draws at
    a ratio of 1. The nozzle's flow function is taken as the quarter of an ellipse (the usual
    approximation of the isentropic one), which makes the balance a quadratic equation.
    """
    if area_ratio <= _CHOKED:
        return area_ratio
    q = area_ratio * area_ratio / _WIDTH2
    aq = _CHOKED * q
    return (aq + math.sqrt(aq * aq - (1.0 + q) * (_CHOKED * aq - area_ratio * area_ratio))) / (1.0 + q)


def area_ratio_for(ratio: float) -> float:
    """The inverse of :func:`pressure_ratio`; ``ratio`` is held below 0.985."""
    if ratio <= _CHOKED:
        return max(ratio, 0.0)
    ratio = min(ratio, 0.985)
    return ratio / math.sqrt(1.0 - (ratio - _CHOKED) ** 2 / _WIDTH2)


def pumping_g_kpa(displacement_l: float) -> float:
    """Air drawn, g/s, per kPa in the manifold and 1/min: half a fill per turn, 87 % full, at 300 K."""
    return 0.87 * displacement_l / 120.0 / (_GAS_CONSTANT * 300.0)


def manifold_g_kpa(manifold_l: float) -> float:
    """Air kept in the manifold, g per kPa, at 310 K."""
    return manifold_l / (_GAS_CONSTANT * 310.0)


class Engine:
    """Air flow and torque of the engine, stepped at 100 Hz, with temperatures per tick.

    ``cylinder_gs`` is the air that the cylinders draw, ``throttle_gs`` what passes the throttle
    (they differ while the manifold fills), both in g/s; ``torque_nm`` is at the flywheel.
    """

    __slots__ = ("_accessories", "_accessory_s", "_ambient_c", "_area", "_boost_kpa", "_draw", "_hunting",
                 "_idle_area", "_idle_gs", "_pump", "_store", "cylinder_gs", "ect_c", "friction_nm", "iat_c",
                 "idle_rpm", "manifold_kpa", "pedal", "throttle_gs", "torque_nm", "upstream_kpa")  # fmt: skip

    def __init__(self, settings: CarSettings, draw: random.Random) -> None:
        self._draw = draw
        self._pump = pumping_g_kpa(settings.displacement_l)
        self._store = manifold_g_kpa(settings.manifold_l)
        self._idle_gs = settings.idle_flow_gs
        self._boost_kpa = settings.boost_kpa
        self._ambient_c = settings.ambient_c
        self._hunting = Wander(draw, sd=0.025, corr_s=2.0, step_s=TICK_S)
        self._accessories = 1.0
        self._accessory_s = 20.0
        self._area = self._idle_area = 0.0
        self.pedal = 0.0
        self.ect_c = settings.ect_start_c
        self.iat_c = settings.ambient_c + 4.0
        self.idle_rpm = 720.0
        self.friction_nm = 35.0
        self.upstream_kpa = _AIR_KPA
        self.manifold_kpa = 35.0
        self.cylinder_gs = self.throttle_gs = settings.idle_flow_gs
        self.torque_nm = 0.0

    @property
    def throttle_pct(self) -> float:
        """Opening as the position sensor shows it, %."""
        return 100.0 * math.pow(self._area / _FULL_AREA_GS_PER_KPA, 1.0 / _AREA_EXPONENT)

    def opening_for(self, torque_nm: float, rpm: float) -> float:
        """Pedal, as choked flow per kPa, that gives this torque in steady state."""
        charge = (torque_nm + self.friction_nm) / _NM_PER_G_REV
        ratio = charge * rpm / 60.0 / (self._pump * rpm * self.upstream_kpa)
        if ratio > 0.93:  # the driver floors it
            return _FULL_AREA_GS_PER_KPA
        opening = area_ratio_for(ratio) * self._pump * rpm - self._idle_area
        return min(max(opening, 0.0), _FULL_AREA_GS_PER_KPA)

    @property
    def full_torque_nm(self) -> float:
        """Torque with the throttle open and no boost yet."""
        return _NM_PER_G_REV * 60.0 * self._pump * _AIR_KPA * 0.95 - self.friction_nm

    def step(self, rpm: float, fuelled: bool) -> None:
        """One step at this engine speed."""
        self._area += _THROTTLE_GAIN * (self.pedal - self._area)
        pump = self._pump * rpm
        manifold = self.manifold_kpa
        wanted = self.upstream_kpa * pressure_ratio((self._area + self._idle_area) / pump)
        rate = pump / self._store * STEP_S
        change = (wanted - manifold) * min(rate, 1.0)
        self.manifold_kpa = manifold = manifold + change
        cylinder = self.cylinder_gs = pump * manifold
        self.throttle_gs = cylinder + self._store * change / STEP_S
        indicated = _NM_PER_G_REV * 60.0 * cylinder / rpm if fuelled else 0.0
        self.torque_nm = indicated - self.friction_nm

    def tick(self, rpm: float, speed_ms: float) -> None:
        """Once per tick: idle, boost, friction, temperatures."""
        self._accessory_s -= TICK_S
        if self._accessory_s <= 0.0:  # air conditioning, fans and lights come and go
            self._accessory_s = self._draw.uniform(8.0, 60.0)
            self._accessories = self._draw.choice((1.0, 1.0, 1.08, 1.25))
        cold = max(0.0, 80.0 - self.ect_c) / 60.0
        hunting = self._hunting.step()
        idle_rpm = 720.0 + 480.0 * min(cold, 1.0) + 120.0 * (self._accessories - 1.0)
        self.idle_rpm = idle_rpm * (1.0 + 0.3 * hunting)
        idle_gs = self._idle_gs * self._accessories * (1.0 + 0.9 * cold) * (1.0 + hunting)
        self._idle_area = idle_gs / self.upstream_kpa
        self.friction_nm = 28.0 + 0.0045 * rpm + 0.10 * (self.upstream_kpa - self.manifold_kpa) + 8.0 * cold
        flow_share = self.cylinder_gs / (self._pump * 6000.0 * _AIR_KPA)
        spool = max(0.0, min(1.0, (flow_share - 0.25) / 0.25))
        boost = self._boost_kpa * spool * self._area / _FULL_AREA_GS_PER_KPA
        self.upstream_kpa += (_AIR_KPA + boost - self.upstream_kpa) * (TICK_S / 0.6)
        self._warm_up(speed_ms)

    def _warm_up(self, speed_ms: float) -> None:
        heat_kw = 0.9 * self.cylinder_gs + 1.5
        open_share = max(0.0, min(1.0, (self.ect_c - 84.0) / 8.0))  # thermostat
        cooling_kw = (self.ect_c - self._ambient_c) * (0.02 + 1.6 * open_share)
        self.ect_c += (heat_kw - cooling_kw) / 40.0 * TICK_S  # 40 kJ/K of metal and water
        soak_k = 4.0 + 16.0 / (1.0 + speed_ms / 5.0) * max(0.0, min(1.0, (self.ect_c - 40.0) / 40.0))
        self.iat_c += (self._ambient_c + soak_k - self.iat_c) * (TICK_S / 90.0)

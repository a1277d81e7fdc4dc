"""From air and fuel to what the exhaust sensor sees: wall film, disturbances, delay and lag."""

from __future__ import annotations

import math
import random

from drivers.simulator.noise import Wander
from drivers.simulator.settings import STEP_S, TICK_S, CarSettings

_LEANEST, _RICHEST = 1.6, 0.68  # the sensor's range, lambda
_RING = 128  # steps of exhaust kept; more than the longest delay


class Mixture:
    """Lambda in the cylinder and, delayed and lagged, at the exhaust sensor (``lambda_``)."""

    __slots__ = ("_cold_rich", "_delay_base_s", "_delay_g", "_delay_max_s", "_delay_min_s", "_delay_steps",
                 "_draw", "_drift", "_extra", "_film", "_film_gain", "_film_share", "_iat_per_k", "_level",
                 "_lost", "_lost_keep", "_lost_pct", "_lost_start", "_noise", "_now", "_purge",
                 "_purge_lean_share", "_purge_pct", "_purge_s", "_purge_sign", "_purging", "_random", "_ring",
                 "_sensor_gain", "_sensor_noise", "_shown", "lambda_")  # fmt: skip

    def __init__(self, settings: CarSettings, draw: random.Random, extra: random.Random) -> None:
        """``draw`` gives noise, drift and the times of purging, ``extra`` the size of single events."""
        self._draw, self._extra = draw, extra
        self._random = draw.random
        self._noise = Wander(draw, settings.noise_pct / 100.0, settings.noise_s, TICK_S)
        self._drift = Wander(draw, settings.drift_pct / 100.0, settings.drift_s, TICK_S)
        self._film = settings.idle_flow_gs * settings.film_share
        self._film_share = settings.film_share
        self._film_gain = 1.0 - math.exp(-STEP_S / settings.film_s)
        self._delay_base_s, self._delay_g = settings.delay_base_s, settings.delay_g
        self._delay_min_s, self._delay_max_s = settings.delay_min_s, settings.delay_max_s
        self._sensor_gain = 1.0 - math.exp(-STEP_S / settings.lambda_lag_s)
        self._sensor_noise = settings.lambda_noise_pct / 100.0 * math.sqrt(12.0)
        self._iat_per_k = settings.iat_pct_per_k / 100.0
        self._purge_pct = settings.purge_pct
        self._cold_rich = settings.cold_rich_pct / 100.0
        self._purge_lean_share = settings.purge_lean_share
        self._purge_sign = 1.0
        self._lost_pct = settings.post_cut_lean_pct
        self._lost_keep = math.exp(-TICK_S / settings.post_cut_lean_s)
        self._lost = 0.0  # share of the fuel that goes astray now,
        self._lost_start = 0.0  # and that will when the cut ends
        self._purge = 0.0
        self._purging = False
        self._purge_s = 60.0
        self._level = self._shown = 1.0
        self._ring = [1.0] * _RING
        self._now = 0
        self._delay_steps = 30
        self.lambda_ = 1.0

    def step(self, air_gs: float, fuelled_gs: float) -> float:
        """One step: air drawn, and air that the injected fuel is right for, g/s (0 = fuel cut).

        Returns lambda as the sensor shows it, which is the mixture of some steps ago.
        """
        through_film = self._film
        self._film = through_film + self._film_gain * (fuelled_gs * self._film_share - through_film)
        fuel = (fuelled_gs * (1.0 - self._film_share) + through_film) * self._level
        burnt = max(air_gs / fuel, _RICHEST) if fuel * _LEANEST > air_gs else _LEANEST
        ring, now = self._ring, self._now
        ring[now & 127] = burnt
        self._now = now + 1
        seen = ring[(now - self._delay_steps) & 127]
        shown = self._shown = self._shown + self._sensor_gain * (seen - self._shown)
        noisy = self.lambda_ = shown * (1.0 + self._sensor_noise * (self._random() - 0.5))
        return noisy

    def tick(self, air_gs: float, iat_c: float, ect_c: float, *, closed: bool, cut: bool) -> None:
        """Once per tick: delay at this flow, and the disturbances' new level."""
        delay_s = self._delay_base_s + self._delay_g / max(air_gs, 1.5)
        self._delay_steps = int(min(max(delay_s, self._delay_min_s), self._delay_max_s) / STEP_S + 0.5)
        self._purge_s -= TICK_S
        if self._purge_s <= 0.0:
            self._purging = not self._purging
            self._purge_s = self._draw.uniform(25.0, 90.0)
            self._purge_sign = -1.0 if self._extra.random() < self._purge_lean_share else 1.0
        full = self._purge_sign * self._purge_pct / 100.0
        purge = full * (4.0 / max(air_gs, 4.0)) if self._purging and closed and ect_c > 60.0 else 0.0
        self._purge += (purge - self._purge) * (TICK_S / 2.0)
        if cut:
            if self._lost_start == 0.0:
                self._lost_start = self._lost_pct / 100.0 * self._extra.uniform(0.5, 1.5)
            self._lost = self._lost_start
        else:
            self._lost_start = 0.0
            self._lost *= self._lost_keep
        hot_air = 1.0 - self._iat_per_k * (iat_c - 25.0)
        disturbed = 1.0 + self._noise.step() + self._drift.step() + self._purge
        cold = self._cold_rich * min(max((80.0 - ect_c) / 40.0, 0.0), 1.5)
        self._level = disturbed * hot_air * (1.0 - self._lost) * (1.0 + cold)

"""What a simulated car is made of: every constant with its unit, and cars drawn at random."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from drivers.simulator.noise import seeded

STEP_S = 0.01
"""Simulated time of one step of the car, s."""

TICK_STEPS = 10
"""Steps per tick: what changes slowly (driver, route, temperatures, learning) is done once per tick."""

TICK_S = STEP_S * TICK_STEPS

LTFT_EDGES_GS = (5.6, 10.0, 40.0)
"""Air flow, g/s, at which the long-term trim changes from one range to the next."""


class DriveKind(StrEnum):
    """Where and how the car is driven."""

    CITY = "city"
    HIGHWAY = "highway"
    MIXED = "mixed"
    SPIRITED = "spirited"


class LoopKind(StrEnum):
    """How the ECU's closed loop answers its oxygen sensor."""

    LINEAR = "linear"
    """Wide-band sensor: proportional and integral part of the lambda error."""
    RELAY = "relay"
    """Narrow-band sensor: lean or rich only, so the trim jumps and ramps to and fro for ever."""


class TableError(StrEnum):
    """Shape of the MAF table's error over sensor voltage."""

    INTAKE = "intake"
    """An aftermarket intake: a slope of a few per cent and two bumps, about 5 % rms."""
    HOUSING = "housing"
    """A wider MAF housing: every flow 12 % too low."""
    SCALED_DOWN = "scaled_down"
    """A table for a wider housing on a stock one: every flow 13 % too high."""
    SLOPE = "slope"
    BUMP = "bump"
    IDLE_END = "idle_end"
    """15 % at idle, fading towards cruise."""
    SINE = "sine"
    HIGH_FLOW_DROP = "high_flow_drop"
    RANDOM = "random"
    """A smooth random curve of about 5 % rms, drawn from ``error_seed``."""
    ZERO = "zero"


@dataclass(frozen=True, slots=True, kw_only=True)
class CarSettings:
    """One simulated car on one drive. The same settings give the same drive, bit for bit.

    ``seed`` draws the route, the driver and the disturbances; everything that belongs to the
    car itself is a field of its own, so that ``replace(settings, seed=...)`` is the same car on
    another drive. Percentages of noise and drift are standard deviations.
    """

    seed: int = 1
    drive: DriveKind = DriveKind.MIXED

    table_error: TableError = TableError.INTAKE
    error_scale: float = 1.0  # factor on the error's shape
    error_seed: int = 1  # draws the shape of TableError.RANDOM
    maf_lag_s: float = 0.04  # time constant of the sensor
    maf_noise_pct: float = 1.5  # turbulence in the sensor's bore, before its lag

    mass_kg: float = 1480.0
    drag_area_m2: float = 0.75  # drag coefficient times frontal area
    displacement_l: float = 2.5
    manifold_l: float = 4.0  # volume between throttle and intake valves
    boost_kpa: float = 70.0  # highest boost; 0 is a naturally aspirated engine
    idle_flow_gs: float = 3.0  # warm, nothing switched on

    delay_base_s: float = 0.07  # transport delay of the exhaust = base + delay_g / flow,
    delay_g: float = 1.1  # g; clipped to the limits below
    delay_min_s: float = 0.09
    delay_max_s: float = 0.55
    lambda_lag_s: float = 0.12  # time constant of the exhaust sensor
    lambda_noise_pct: float = 0.3
    film_share: float = 0.06  # share of the fuel that goes through the wall film uncompensated
    film_s: float = 0.8  # time constant of the wall film
    manifold_model: float = 1.15  # ECU's idea of the manifold's filling rate / the true rate

    kp: float = 0.20  # short-term trim per lambda error
    ki: float = 0.65  # 1/s, above 12 g/s; falls to 45 % of it at idle
    loop: LoopKind = LoopKind.LINEAR
    relay_jump_pct: float = 1.2  # short-term trim of a relay loop jumps this far to either side,
    relay_ramp_pct_s: float = 2.0  # and ramps this fast above 12 g/s; 45 % of it at idle
    trims_add: bool = False  # the ECU fuels by 1 + short + long instead of (1 + short)(1 + long)
    stft_freezes: bool = False  # the short-term trim is held in open loop instead of dropped to 0
    stft_limit_pct: float = 25.0
    ltft_limit_pct: float = 20.0
    ltft_rate: float = 0.003  # 1/s, share of the short-term trim that moves to the long-term one: slow, as
    # in five recorded drives, where short-term trims of 2 to 4 % stand for minutes
    ltft_known: float = 0.7  # share of the table's error that earlier drives had learned
    closed_loop_ect_c: float = 40.0
    learning_ect_c: float = 70.0

    noise_pct: float = 1.6  # mixture noise, correlated over noise_s
    noise_s: float = 4.0
    drift_pct: float = 1.0  # drift of the mixture's level, correlated over drift_s
    drift_s: float = 600.0
    purge_pct: float = 0.5  # fuel from the charcoal canister while it is purged
    purge_lean_share: float = 0.0  # share of the purges that bring air instead: the canister is empty
    post_cut_lean_pct: float = 4.0  # fuel that goes astray after a fuel cut (dried walls), fading over
    post_cut_lean_s: float = 2.0  # this time constant
    cold_rich_pct: float = 4.0  # fuel too much at 40 °C of coolant, none too much from 80 °C on
    leak_gs: float = 0.0  # air that enters behind the sensor
    iat_pct_per_k: float = 0.0  # error of the metered flow per kelvin of intake air above 25 °C

    ambient_c: float = 18.0
    ect_start_c: float = 18.0

    def __post_init__(self) -> None:
        for name in ("maf_lag_s", "manifold_l", "displacement_l", "mass_kg", "lambda_lag_s", "film_s",
                     "noise_s", "drift_s", "idle_flow_gs", "post_cut_lean_s"):  # fmt: skip
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} must be above 0, not {value!r}")
        if not 0.0 < self.delay_min_s <= self.delay_max_s <= 1.0:
            raise ValueError(
                f"delays must satisfy 0 < delay_min_s <= delay_max_s <= 1 s, "
                f"not {self.delay_min_s!r} and {self.delay_max_s!r}"
            )

    @classmethod
    def random(cls, seed: int, drive: DriveKind = DriveKind.MIXED) -> CarSettings:
        """A car whose plant is drawn within about ±60 % of the defaults, its loop's gains within 2.5 times.

        The table's error is one of all shapes but ``ZERO``. Gains and delays are drawn apart, then
        the integral gain is lowered where the loop would ring.
        """
        draw = seeded(seed)

        def around(middle: float, ratio: float = 1.6) -> float:
            return middle * math.exp(draw.uniform(-math.log(ratio), math.log(ratio)))

        base = cls()
        delay_base_s = around(base.delay_base_s)
        delay_g = around(base.delay_g, 1.4)
        lambda_lag_s = around(base.lambda_lag_s, 1.4)
        cruise_delay_s = delay_base_s + delay_g / 12.0 + lambda_lag_s
        return cls(
            seed=seed,
            drive=drive,
            table_error=draw.choice([shape for shape in TableError if shape is not TableError.ZERO]),
            error_scale=draw.choice((-1.0, 1.0)) * draw.uniform(0.7, 1.1),
            error_seed=seed,
            maf_lag_s=around(base.maf_lag_s),
            maf_noise_pct=around(base.maf_noise_pct),
            mass_kg=around(base.mass_kg, 1.15),
            drag_area_m2=around(base.drag_area_m2, 1.15),
            manifold_l=around(base.manifold_l, 1.4),
            idle_flow_gs=around(base.idle_flow_gs, 1.25),
            delay_base_s=delay_base_s,
            delay_g=delay_g,
            lambda_lag_s=lambda_lag_s,
            film_share=around(base.film_share),
            film_s=around(base.film_s),
            manifold_model=around(base.manifold_model, 1.3),
            kp=min(around(base.kp, 2.5), 0.4),
            ki=min(around(base.ki, 2.5), 0.33 / cruise_delay_s),
            ltft_rate=around(base.ltft_rate),
            ltft_known=draw.uniform(0.0, 1.0),
            noise_pct=around(base.noise_pct, 1.25),
            noise_s=around(base.noise_s, 1.4),
            drift_pct=around(base.drift_pct, 1.4),
            ambient_c=draw.uniform(-5.0, 32.0),
            ect_start_c=draw.uniform(20.0, 80.0),
            post_cut_lean_pct=draw.uniform(1.5, 6.0),
            post_cut_lean_s=around(base.post_cut_lean_s, 1.4),
            cold_rich_pct=draw.uniform(1.0, 8.0),
        )

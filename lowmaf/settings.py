"""Constants of the ``curve`` estimator, each with its unit, default and meaning."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any


class EstimatorSettingError(ValueError):
    """An estimator setting outside what is possible; says which and what is allowed."""


def _constant(default: float, unit: str, meaning: str, allowed: tuple[float, float]) -> Any:
    low, high = allowed
    return field(default=default, metadata={"unit": unit, "meaning": meaning, "low": low, "high": high})


@dataclass(frozen=True, slots=True)
class CurveSettings:
    """How trims become observations and observations become a curve.

    The defaults were chosen on simulated drives whose controllers differed by +-60 % and were not
    told to the estimator; ``make bench ARGS=accuracy`` measures what comes of them.
    """

    loop_kp: float = _constant(
        0.25,
        "1",
        "proportional gain of the fuel loop that is inverted to get the mixture error back",
        (0.01, 5),
    )
    loop_ki_per_s: float = _constant(0.7, "1/s", "integral gain of that fuel loop", (0.01, 20))
    loop_slowest: float = _constant(
        3.0,
        "1",
        "at most this many times slower may the car's own loop be found; 1 takes the gains as they are",
        (1, 10),
    )
    delay_base_s: float = _constant(0.07, "s", "exhaust delay at very high flow", (0, 2))
    delay_flow_g: float = _constant(1.1, "g", "delay grows by this divided by the flow in g/s", (0, 20))
    delay_min_s: float = _constant(0.09, "s", "shortest exhaust delay", (0, 2))
    delay_max_s: float = _constant(0.55, "s", "longest exhaust delay", (0, 2))
    sensor_lag_s: float = _constant(0.12, "s", "lag of the oxygen sensor, added to the delay", (0, 2))
    lambda_settle_s: float = _constant(
        1.0, "s", "time after the loop closed before measured lambda counts", (0, 60)
    )
    activity_limit_per_s: float = _constant(
        0.4, "1/s", "relative change of flow per second above which a sample weighs less", (0.01, 100)
    )
    activity_weight: float = _constant(
        0.15, "1", "weight just above that limit; falls with its square", (0, 1)
    )
    settled_trim_pct: float = _constant(
        4.0, "%", "change of total trim around the sample at which its weight is halved", (0.1, 100)
    )
    smooth_sd_pct: float = _constant(6.0, "%", "expected size of corrections (prior)", (0.1, 100))
    smooth_length_v: float = _constant(
        0.5, "V", "distance over which corrections are alike (prior)", (0.05, 5)
    )
    own_sd_pct: float = _constant(
        0.2, "%", "part of a correction that neighbours do not share (prior)", (0.001, 10)
    )
    transient_sd: float = _constant(
        0.1,
        "1",
        "expected size of the wall-film coefficient, % per % of recent flow change (prior)",
        (0.001, 10),
    )
    level_memory_s: float = _constant(600.0, "s", "how long a level drift of the trims lasts", (30, 1e5))
    model_sd_pct: float = _constant(
        0.3, "%", "error of the method itself, added to every standard error", (0, 10)
    )
    iat_reference_c: float = _constant(
        25.0, "°C", "intake air for which the corrections are meant to hold", (-50, 100)
    )
    iat_sd_pct_per_k: float = _constant(
        0.04,
        "%/K",
        "how far trims may depend on intake air: widens every standard error by the distance driven at",
        (0, 1),
    )
    correlation_s: float = _constant(
        4.6, "s", "time after which a trim is fresh evidence (measured on a real drive)", (0.01, 600)
    )
    measured_stderr_pct: float = _constant(
        2.0, "%", "a measured cell has a standard error below", (0.01, 100)
    )
    measured_hits: float = _constant(
        0.0, "1", "a measured cell has at least this many effective hits, beside its own evidence", (0, 1e6)
    )
    max_step_pct: float = _constant(10.0, "%", "a cell moves at most this much per flash", (0.1, 100))
    window_h: float = field(
        default=math.inf,
        metadata={
            "unit": "h",
            "meaning": "only the newest hours of driving count",
            "low": 0.1,
            "high": 1e5,
            "off": math.inf,
        },
    )
    window_drives: float = field(
        default=math.inf,
        metadata={
            "unit": "drives",
            "meaning": "only the newest drives count",
            "low": 1.0,
            "high": 1e5,
            "off": math.inf,
        },
    )
    trims_multiply: bool = field(
        default=True,
        metadata={"meaning": "true: total trim is (1+short)(1+long)-1; false: it is short+long"},
    )

    def __post_init__(self) -> None:
        for spec in fields(self):
            value, meta = getattr(self, spec.name), spec.metadata
            if "low" not in meta or value == meta.get("off"):
                continue
            if not meta["low"] <= value <= meta["high"]:
                raise EstimatorSettingError(
                    f"{spec.name} = {value:g} is impossible: allowed are {meta['low']:g} to "
                    f"{meta['high']:g} {meta['unit']}"
                )
        if math.isfinite(self.window_drives) and self.window_drives != int(self.window_drives):
            raise EstimatorSettingError(
                f"window_drives = {self.window_drives:g} is impossible: drives are counted in whole numbers"
            )
        if self.delay_min_s > self.delay_max_s:
            raise EstimatorSettingError(
                f"delay_min_s = {self.delay_min_s:g} s is above delay_max_s = {self.delay_max_s:g} s"
            )

    @property
    def lookahead_s(self) -> float:
        """A sample is judged once samples this much later are known."""
        return self.delay_max_s + self.sensor_lag_s + SETTLED_AFTER_S + 0.1


SETTLED_BEFORE_S = 0.5
SETTLED_AFTER_S = 1.0
"""A trim is settled if it changes little from before to after the sample's mixture is seen."""

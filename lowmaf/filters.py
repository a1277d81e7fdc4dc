"""Which samples may count: limits with their units, and the rules that need no look-ahead."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowmaf.samples import CHANNELS, FuelLoop, SampleBatch
from lowmaf.verdicts import Verdict

Verdicts = NDArray[np.uint8]
Mask = NDArray[np.bool_]

CORE_CHANNELS = ("maf_v", "stft_pct", "ltft_pct", "fuel_loop")
"""Without these there is no correction, whatever the filters say."""


class FilterError(ValueError):
    """A filter that does not exist or a limit that is impossible; says what is allowed."""


def _limit(default: float, unit: str, meaning: str, allowed: tuple[float, float], off: float) -> Any:
    low, high = allowed
    return field(
        default=default,
        metadata={"unit": unit, "meaning": meaning, "low": low, "high": high, "off": off},
    )


@dataclass(frozen=True, slots=True)
class Filters:
    """Limits that a sample must keep to be counted. ``inf`` or ``-inf`` switches a filter off.

    A filter whose channel the source never delivers is off too; the pipeline warns of it.
    """

    min_ect_c: float = _limit(
        70.0, "°C", "coolant at least this warm: trims of a cold engine say little", (-50.0, 150.0), -math.inf
    )
    max_iat_c: float = _limit(math.inf, "°C", "intake air at most this hot", (-50.0, 215.0), math.inf)
    min_rpm: float = _limit(-math.inf, "1/min", "engine speed at least", (0.0, 16000.0), -math.inf)
    max_rpm: float = _limit(math.inf, "1/min", "engine speed at most", (0.0, 16000.0), math.inf)
    min_load_g_rev: float = _limit(-math.inf, "g/rev", "engine load at least", (0.0, 20.0), -math.inf)
    max_maf_slope_v_s: float = _limit(
        math.inf,
        "V/s",
        "MAF voltage changes at most this fast, over half a second; the curve estimator needs no such "
        "limit because it weighs samples by how steady the flow is",
        (0.0, 100.0),
        math.inf,
    )
    max_target_offset_pct: float = _limit(
        math.inf,
        "%",
        "commanded lambda at most this far from stoichiometric, where it is logged",
        (0.0, 100.0),
        math.inf,
    )
    trim_limit_pct: float = _limit(
        24.9,
        "%",
        "a trim this far from zero is at its limit: the true error may be larger",
        (0.0, 100.0),
        math.inf,
    )
    settle_s: float = _limit(1.5, "s", "time after the loop closed before its trims count", (0.0, 60.0), 0.0)
    allow_loop_fault: bool = field(
        default=False,
        metadata={
            "meaning": "true: closed loop with a stored fault (OBD fuel system status 16, one oxygen sensor "
            "out of use) counts as closed loop; false: it is rejected, because the trims may follow the fault"
        },
    )

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            meta = spec.metadata
            if "low" not in meta or value == meta["off"]:
                continue
            if not meta["low"] <= value <= meta["high"]:
                raise FilterError(
                    f"{spec.name} = {value:g} {meta['unit']} is impossible: allowed are "
                    f"{meta['low']:g} to {meta['high']:g}, or {meta['off']:g} for off"
                )

        if self.min_rpm > self.max_rpm:
            raise FilterError(
                f"min_rpm = {self.min_rpm:g} is above max_rpm = {self.max_rpm:g}: no sample could count"
            )

    @classmethod
    def none(cls) -> Filters:
        """Every limit off: only the closed-loop and finite-value rules are left."""
        return cls(**{spec.name: spec.metadata.get("off", spec.default) for spec in fields(cls)})

    @classmethod
    def from_pairs(cls, pairs: Iterable[str]) -> Filters:
        """Filters from ``KEY=VALUE`` texts, the others at their defaults; see :meth:`changed`."""
        return cls().changed(pairs)

    def changed(self, pairs: Iterable[str]) -> Filters:
        """These filters with those that ``KEY=VALUE`` texts name changed.

        Raises:
            FilterError: no ``=``, an unknown key (with the nearest known one), a key given twice, or a
                value that is not a number, not true or false, or not allowed.
        """
        known = {spec.name: spec for spec in fields(self)}
        chosen: dict[str, Any] = {}
        texts: dict[str, str] = {}
        for pair in pairs:
            key, equals, text = pair.partition("=")
            if not equals:
                raise FilterError(f"{pair!r} is not KEY=VALUE; keys are {', '.join(known)}")
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
                raise FilterError(f"no filter {key!r}; nearest is {near[0]!r}, all are {', '.join(known)}")
            if key in texts:
                raise FilterError(f"{key} is given twice: {key}={texts[key]} and {key}={text}")
            texts[key] = text
            chosen[key] = _value_of(text, key, known[key].metadata)
        return replace(self, **chosen)

    def channels_needed(self) -> dict[str, str]:
        """Channel → filter, for the filters that are on."""
        return {
            channel: name
            for name, channel in _CHANNEL_OF_FILTER.items()
            if math.isfinite(getattr(self, name))
        }


def _value_of(text: str, key: str, meta: Mapping[str, Any]) -> float | bool:
    """The value that a text gives a filter: a limit, or whether a rule holds."""
    if "low" not in meta:
        if text not in _TRUTH:
            raise FilterError(f"{key} = {text!r} is neither true nor false")
        return _TRUTH[text]
    try:
        return float(meta["off"] if text == "off" else text)
    except ValueError:
        raise FilterError(f"{key} = {text!r} is not a number ({meta['unit']}) and not 'off'") from None


_TRUTH = {"true": True, "on": True, "false": False, "off": False}

_CHANNEL_OF_FILTER = {
    "min_ect_c": "ect_c",
    "max_iat_c": "iat_c",
    "min_rpm": "rpm",
    "max_rpm": "rpm",
    "min_load_g_rev": "load_g_rev",
    "max_target_offset_pct": "lambda_target",
}


def judge_alone(batch: SampleBatch, filters: Filters, axis_v: tuple[float, float] | None) -> Verdicts:
    """Verdicts by the rules that look at one sample alone, shape (n,).

    ``axis_v`` are the first and last volts that a sample may have, None where all may.
    The rules that need neighbours (settling, slope, look-ahead) follow in the judge.
    """
    verdicts = np.zeros(len(batch), dtype=np.uint8)
    for reason, where in _reasons(batch, filters, axis_v):
        verdicts[where & (verdicts == 0)] = reason
    return verdicts


def _reasons(
    batch: SampleBatch, filters: Filters, axis_v: tuple[float, float] | None
) -> Iterator[tuple[int, Mask]]:
    """Each reason with the samples it speaks against, in the order of precedence."""
    needed = [name for name in filters.channels_needed() if name in batch.channels]
    used = {name: batch[name] for name in (*CORE_CHANNELS, *needed)}
    yield int(Verdict.CHANNEL_MISSING), np.any([np.isnan(values) for values in used.values()], axis=0)
    outside = [
        (values < CHANNELS[name].low) | (values > CHANNELS[name].high) for name, values in used.items()
    ]
    yield int(Verdict.IMPLAUSIBLE), np.any(outside, axis=0)
    loop = used["fuel_loop"]
    with_fault = loop == float(FuelLoop.CLOSED_FAULT)
    yield int(Verdict.OPEN_LOOP), (loop != float(FuelLoop.CLOSED)) & ~with_fault
    if not filters.allow_loop_fault:
        yield int(Verdict.LOOP_FAULT), with_fault
    if axis_v is not None:
        volts = used["maf_v"]
        yield int(Verdict.OFF_AXIS), (volts < axis_v[0]) | (volts > axis_v[1])
    if "ect_c" in used:
        yield int(Verdict.COLD_ENGINE), used["ect_c"] < filters.min_ect_c
    if "iat_c" in used:
        yield int(Verdict.HOT_INTAKE), used["iat_c"] > filters.max_iat_c
    if "rpm" in used:
        yield int(Verdict.RPM_RANGE), (used["rpm"] < filters.min_rpm) | (used["rpm"] > filters.max_rpm)
    if "load_g_rev" in used:
        yield int(Verdict.LOW_LOAD), used["load_g_rev"] < filters.min_load_g_rev
    if math.isfinite(limit := filters.trim_limit_pct):
        at_limit = (np.abs(used["stft_pct"]) >= limit) | (np.abs(used["ltft_pct"]) >= limit)
        yield int(Verdict.TRIM_AT_LIMIT), at_limit
    if "lambda_target" in used:
        offset_pct = 100.0 * np.abs(used["lambda_target"] - 1.0)
        yield int(Verdict.TARGET_NOT_STOICHIOMETRIC), offset_pct > filters.max_target_offset_pct

"""Every rule, its limit, its precedence, and what a wrong key or value says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lowmaf.filters import FilterError, Filters, judge_alone
from lowmaf.samples import SampleBatch
from lowmaf.verdicts import Verdict

GOOD = {
    "maf_v": 1.5,
    "stft_pct": 1.0,
    "ltft_pct": 2.0,
    "fuel_loop": 2.0,
    "ect_c": 85.0,
    "iat_c": 30.0,
    "rpm": 2000.0,
    "load_g_rev": 0.6,
    "lambda_target": 1.0,
}
STRICT = Filters(max_iat_c=60.0, min_rpm=600.0, max_rpm=6000.0, min_load_g_rev=0.2, max_target_offset_pct=5.0)


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, Verdict.ACCEPTED),
        ({"maf_v": math.nan}, Verdict.CHANNEL_MISSING),
        ({"ect_c": math.nan}, Verdict.CHANNEL_MISSING),
        ({"maf_v": 6.0}, Verdict.IMPLAUSIBLE),
        ({"stft_pct": math.inf}, Verdict.IMPLAUSIBLE),
        ({"fuel_loop": 4.0}, Verdict.OPEN_LOOP),
        ({"fuel_loop": 8.0}, Verdict.OPEN_LOOP),
        ({"fuel_loop": 16.0}, Verdict.LOOP_FAULT),
        ({"maf_v": 0.5}, Verdict.OFF_AXIS),
        ({"maf_v": 5.2}, Verdict.OFF_AXIS),
        ({"ect_c": 69.9}, Verdict.COLD_ENGINE),
        ({"ect_c": 70.0}, Verdict.ACCEPTED),
        ({"iat_c": 61.0}, Verdict.HOT_INTAKE),
        ({"rpm": 599.0}, Verdict.RPM_RANGE),
        ({"rpm": 6001.0}, Verdict.RPM_RANGE),
        ({"load_g_rev": 0.1}, Verdict.LOW_LOAD),
        ({"stft_pct": -25.0}, Verdict.TRIM_AT_LIMIT),
        ({"ltft_pct": 24.9}, Verdict.TRIM_AT_LIMIT),
        ({"lambda_target": 0.9}, Verdict.TARGET_NOT_STOICHIOMETRIC),
        ({"ect_c": 20.0, "fuel_loop": 4.0, "iat_c": 90.0}, Verdict.OPEN_LOOP),
        ({"iat_c": 90.0, "stft_pct": math.nan}, Verdict.CHANNEL_MISSING),
    ],
)
def test_the_first_reason_counts(changed: dict[str, float], verdict: Verdict) -> None:
    values = GOOD | changed
    batch = SampleBatch(np.array([1.0]), {name: np.array([value]) for name, value in values.items()})
    assert Verdict(int(judge_alone(batch, STRICT, (0.9, 5.0))[0])) is verdict


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"fuel_loop": 16.0}, Verdict.ACCEPTED),
        ({"fuel_loop": 8.0}, Verdict.OPEN_LOOP),
        ({"fuel_loop": 4.0}, Verdict.OPEN_LOOP),
        ({"fuel_loop": 16.0, "ect_c": 20.0}, Verdict.COLD_ENGINE),
        ({"fuel_loop": 16.0, "maf_v": math.nan}, Verdict.CHANNEL_MISSING),
    ],
)
def test_a_loop_closed_with_a_fault_counts_only_where_that_is_allowed(
    changed: dict[str, float], verdict: Verdict
) -> None:
    values = GOOD | changed
    batch = SampleBatch(np.array([1.0]), {name: np.array([value]) for name, value in values.items()})
    allowed = Filters.from_pairs(["allow_loop_fault=true"])
    assert Verdict(int(judge_alone(batch, allowed, (0.9, 5.0))[0])) is verdict
    for refused in (Filters(), Filters.none(), Filters.from_pairs(["allow_loop_fault=off"])):
        assert not refused.allow_loop_fault


def test_none_leaves_only_closed_loop_and_finite_values() -> None:
    values = GOOD | {"ect_c": -20.0, "iat_c": 99.0, "rpm": 0.0, "stft_pct": 60.0}
    batch = SampleBatch(np.array([1.0]), {name: np.array([value]) for name, value in values.items()})
    assert judge_alone(batch, Filters.none(), None).tolist() == [Verdict.ACCEPTED]
    assert Filters.none().channels_needed() == {}


def test_pairs_set_limits_and_off_switches_off() -> None:
    filters = Filters.from_pairs(["min_ect_c=60.5", "trim_limit_pct=off"])
    assert filters.min_ect_c == 60.5
    assert math.isinf(filters.trim_limit_pct)
    assert filters.settle_s == Filters().settle_s


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("min_ect_c", "not KEY=VALUE"),
        ("min_etc_c=60", "nearest is 'min_ect_c'"),
        ("min_ect_c=warm", "'warm' is not a number"),
        ("min_ect_c=900", "allowed are -50 to 150"),
        ("min_ect_c=nan", "impossible"),
        ("allow_loop_fault=16", "neither true nor false"),
    ],
)
def test_wrong_pairs_say_what_is_allowed(pair: str, says: str) -> None:
    with pytest.raises(FilterError, match=says):
        Filters.from_pairs([pair])


def test_a_limit_given_twice_is_refused_with_both() -> None:
    with pytest.raises(FilterError, match="min_ect_c is given twice: min_ect_c=60 and min_ect_c=80"):
        Filters.from_pairs(["min_ect_c=60", "settle_s=2", "min_ect_c=80"])


def test_every_verdict_has_words() -> None:
    assert all(verdict.words and verdict.label == verdict.name.lower() for verdict in Verdict)

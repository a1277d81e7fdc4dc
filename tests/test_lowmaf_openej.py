"""The OpenEJ method against a slow reference that follows its rules to the letter, row by row."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowmaf.maf_table import SUBARU_WRX_AXIS_V
from lowmaf.openej import LAST_STEADY_V_PER_S, OpenEjColumns, nearest_breakpoint, openej_table
from web.openej import FIELDS, OpenEjBodyError, analyse, columns_from_json

AXIS = SUBARU_WRX_AXIS_V


def is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def nearest_by_bisection(volts: float) -> int:
    left, right = 0, len(AXIS) - 1
    while right - left > 1:
        middle = (left + right) // 2
        if AXIS[middle] == volts:
            return middle
        if AXIS[middle] > volts:
            right = middle
        else:
            left = middle
    return left if abs(AXIS[left] - volts) < abs(AXIS[right] - volts) else right


def reference(rows: list[dict]) -> list[tuple[float, int]]:
    """(correction, frequency) of the 48 cells, each row looked at on its own."""
    trims: list[list[float]] = [[] for _ in AXIS]
    previous = None
    for row in rows:
        if not all(is_number(row.get(name)) for name in FIELDS):
            continue
        steady = True
        if previous is not None:
            step = row["time"] - previous["time"]
            rise = 1000.0 * (row["mass_airflow_voltage"] - previous["mass_airflow_voltage"])
            steady = step > 0 and float(f"{rise / step:.2f}") < 0.3
        previous = row
        if steady and row["cl_ol_status"] == 8:
            trim = row["af_correction_short"] + row["af_correction_learning"]
            trims[nearest_by_bisection(row["mass_airflow_voltage"])].append(trim)
    return [(round(math.fsum(cell) / len(cell), 2) if cell else 0.0, len(cell)) for cell in trims]


def row(time, volts, short=0.0, learning=0.0, status=8, iat: object = 20) -> dict:
    return {
        "time": time, "af_correction_short": short, "af_correction_learning": learning,
        "intake_air_temp": iat, "mass_airflow_voltage": volts, "cl_ol_status": status,
    }  # fmt: skip


def answer(rows: list[dict]) -> list[dict]:
    return json.loads(analyse(json.dumps(rows).encode()))


def cells(rows: list[dict]) -> list[tuple[float, int]]:
    return [(cell["Correction"], cell["Frequency"]) for cell in answer(rows)]


volts = st.one_of(
    st.integers(30, 255).map(lambda code: code / 50),
    st.sampled_from(AXIS),
    st.sampled_from([(a + b) / 2 for a, b in itertools.pairwise(AXIS)]),
    st.floats(0.0, 5.5, allow_nan=False),
)
trim = st.one_of(
    st.integers(0, 255).map(lambda code: (code - 128) * 100 / 128),
    st.floats(-25, 25).map(lambda x: round(x, 2)),
)
step_ms = st.one_of(st.integers(-50, 200), st.sampled_from([0, 10, 40, 100]))
damage = st.sampled_from([None, "1.2", True, [], {}])


@st.composite
def request_rows(draw) -> list[dict]:
    time, rows = 0, []
    for _ in range(draw(st.integers(0, 40))):
        time = max(0, time + draw(step_ms))
        status = draw(st.sampled_from([8, 8, 8, 10, 7, 8.0]))
        made = row(time, draw(volts), draw(trim), draw(trim), status)
        if draw(st.integers(0, 9)) == 0:
            made[draw(st.sampled_from(FIELDS))] = draw(damage)
        elif draw(st.integers(0, 15)) == 0:
            del made[draw(st.sampled_from(FIELDS))]
        rows.append(made)
    return rows


@settings(deadline=None, derandomize=True, max_examples=300)
@given(request_rows())
def test_every_row_is_judged_as_the_rules_say(rows: list[dict]) -> None:
    assert cells(rows) == reference(rows)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_log_gives_the_counts_and_means_of_the_rules(seed: int) -> None:
    random = np.random.default_rng(seed)
    steps = random.normal(0, 0.01, 5000).cumsum() * 0.5
    rows = [
        row(int(i * 33), round(2.0 + math.sin(i / 300) + float(steps[i]) * 0.1, 2),
            float(random.integers(-10, 10)) * 100 / 128, float(random.integers(-4, 4)) * 100 / 128,
            8 if random.random() < 0.7 else 10)
        for i in range(5000)
    ]  # fmt: skip
    assert cells(rows) == reference(rows)
    assert sum(hits for _, hits in cells(rows)) > 2000


@settings(deadline=None, derandomize=True)
@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_one_comparison_says_what_text_formatting_says(rise: float) -> None:
    assert (float(f"{rise:.2f}") < 0.3) == (rise <= LAST_STEADY_V_PER_S)


def test_the_threshold_lies_between_two_neighbouring_doubles() -> None:
    assert Fraction(LAST_STEADY_V_PER_S) < Fraction(295, 1000)
    assert f"{LAST_STEADY_V_PER_S:.2f}" == "0.29"
    assert f"{math.nextafter(LAST_STEADY_V_PER_S, 1.0):.2f}" == "0.30"


@settings(deadline=None, derandomize=True)
@given(st.lists(volts, min_size=1, max_size=50))
def test_nearest_breakpoint_is_that_of_the_bisection(met: list[float]) -> None:
    axis = np.array(AXIS)
    assert nearest_breakpoint(axis, np.array(met)).tolist() == [nearest_by_bisection(v) for v in met]


def test_the_mean_is_true_where_the_original_freezes() -> None:
    rows = [row(100 * i, 1.17, 2.0 if i < 400 else -2.0) for i in range(4400)]
    assert cells(rows)[AXIS.index(1.17)] == (-1.64, 4400)
    rows = [row(100 * i, 1.17, 0.0 if i < 100 else 5.0) for i in range(10_100)]
    assert cells(rows)[AXIS.index(1.17)] == (4.95, 10_100)


def test_a_mean_on_a_rounding_tie_is_rounded_from_its_exact_sum() -> None:
    values = [0.1] * 7 + [1e9, -1e9] + [0.005] * 3
    rows = [row(100 * i, 1.17, value) for i, value in enumerate(values)]
    assert cells(rows) == reference(rows)
    tied = [row(100 * i, 1.17, value) for i, value in enumerate([0.25, 0.0])]
    assert cells(tied)[AXIS.index(1.17)] == (0.12, 2)


def test_an_empty_list_gives_48_rows_of_zero() -> None:
    assert answer([]) == [{"MafVoltage": v, "Correction": 0.0, "Frequency": 0} for v in AXIS]


def test_a_fall_of_voltage_is_kept_and_a_rise_is_not() -> None:
    assert cells([row(0, 4.0), row(50, 1.17)])[AXIS.index(1.17)] == (0.0, 1)
    assert cells([row(0, 1.17), row(50, 4.06)])[AXIS.index(4.06)] == (0.0, 0)


@pytest.mark.parametrize("time", [100, 50, 0])
def test_time_that_stands_still_or_runs_back_is_a_transient(time: int) -> None:
    for there in (1.17, 1.0, 1.3):
        assert sum(hits for _, hits in cells([row(100, 1.17), row(time, there)])) == 1


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("met", [None, "8", True, [8], {}])
def test_a_row_without_a_number_is_skipped_and_is_no_neighbour(name: str, met: object) -> None:
    damaged = row(100, 3.0)
    damaged[name] = met
    whole = [row(0, 1.17, 1.0), row(200, 1.17, 2.0)]
    assert cells([whole[0], damaged, whole[1]]) == cells(whole)


def test_intake_air_temperature_matters_only_where_the_log_has_it() -> None:
    rows = [row(0, 1.17, 1.0), row(100, 1.17, 2.0, iat=None), row(200, 1.17, 3.0, iat=20.5)]
    assert cells(rows)[AXIS.index(1.17)] == (2.0, 2)
    nowhere = [row(0, 1.17, 1.0, iat=None), row(100, 1.17, 2.0, iat=None)]
    assert cells(nowhere)[AXIS.index(1.17)] == (1.5, 2)
    absent = [{k: v for k, v in r.items() if k != "intake_air_temp"} for r in rows]
    assert cells(absent)[AXIS.index(1.17)] == (2.0, 3)


def test_a_number_beyond_doubles_costs_its_row() -> None:
    body = json.dumps([row(0, 1.17, 1.0), row(100, 1.17, 123.0)]).encode()
    for beyond in (b"1e999", b"1" + b"0" * 400, b"NaN", b"-Infinity"):
        answered = json.loads(analyse(body.replace(b"123.0", beyond)))
        assert sum(cell["Frequency"] for cell in answered) == 1


def test_no_negative_zero_is_answered() -> None:
    assert math.copysign(1.0, answer([row(0, 1.17, -0.001)])[6]["Correction"]) == 1.0


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b"3", b'"x"', b"[1]", b"[[]]", b"[null]", b"[{}", b"[{}] x", b"\xff\xfe",
     b"[" * 100_000, b'{"time": 1}', b"time,volts\n1,2\n", b"[{}, 1]", b"true"],
)  # fmt: skip
def test_what_is_no_array_of_objects_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(OpenEjBodyError, match="JSON array of objects") as refused:
        analyse(body)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=60), st.integers(0, 400))
def test_damaged_bodies_never_crash(noise: bytes, at: int) -> None:
    body = json.dumps([row(0, 1.17), row(100, 1.2)]).encode()
    at %= len(body)
    for damaged in (noise, body[:at], body[:at] + noise + body[at:]):
        try:
            columns = columns_from_json(damaged)
        except OpenEjBodyError:
            continue
        assert openej_table(columns).frequency.sum() <= columns.time_ms.size


def test_huge_trims_stay_finite_or_empty() -> None:
    huge = np.full(4, 1.5e308)
    columns = OpenEjColumns(np.arange(4.0), huge, np.zeros(4), np.full(4, 1.17), np.full(4, 8.0))
    assert openej_table(columns).correction_pct[AXIS.index(1.17)] == pytest.approx(1.5e308)

"""Clock texts, and the laws of a time line: from 0, on across wraps, the same in any chunking."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.logs.time_column import STITCH_GAP_S, StampGroup, TimeLine, clock_stamp, spread

DAY = 86400.0


@pytest.mark.parametrize(
    ("text", "seconds", "period"),
    [
        ("53:35.7", 53 * 60 + 35.7, 3600.0),
        ("00:00.0", 0.0, 3600.0),
        ("1:05:11 PM", 13 * 3600 + 5 * 60 + 11, DAY),
        ("12:00:00 AM", 0.0, DAY),
        ("12:00:01 pm", 12 * 3600 + 1, DAY),
        ("23:59:59.999", 86399.999, DAY),
        ("00:45:33", 45 * 60 + 33, DAY),
        (" 7:08:09,5 ", 7 * 3600 + 8 * 60 + 9.5, DAY),
    ],
)
def test_clock_texts(text: str, seconds: float, period: float) -> None:
    assert clock_stamp(text) == (pytest.approx(seconds), period)


@pytest.mark.parametrize(
    ("earlier", "later", "step"),
    [
        ("2023-08-04 23:59:59.219092", "2023-08-05 00:00:01.219092", 2.0),
        ("2023-08-04T10:00:00", "2023-08-04T10:00:00.25Z", 0.25),
        ("02-Aug-2026 11:34:40.210", "02-Aug-2026 11:34:41.210", 1.0),
        ("31.12.2025 23:59:59", "01.01.2026 00:00:00", 1.0),
        ("12/31/2025 11:59:59 PM", "1/1/2026 12:00:00 AM", 1.0),
        ("2026-10-25T02:59:59+02:00", "2026-10-25T02:00:00.5+0100", 1.5),
        ("2026-08-02 23:59:59.75 -05:30", "2026-08-03 00:00:00 -05:30", 0.25),
        ("Sat Oct 25 02:59:59 GMT+02:00 2026", "Sat Oct 25 02:00:00 GMT+01:00 2026", 1.0),
        ("Sun Jan 31 23:59:59.5 UTC 2027", "Mon Feb  1 00:00:00 2027", 0.5),
    ],
)
def test_dates_never_wrap(earlier: str, later: str, step: float) -> None:
    (before, period), (after, _) = clock_stamp(earlier), clock_stamp(later)
    assert period == math.inf
    assert after - before == pytest.approx(step, abs=1e-4)


@pytest.mark.parametrize(
    "text", ["", "on", "12", "12.5", "1:2:3:4", "25:61:00", "13:00:00 PM", "0:00:00 AM",
    "2023-13-40 10:00:00", "a:b",
             "2023-08-04", "12:345", "-1:00"],
)  # fmt: skip
def test_what_is_no_time_is_none(text: str) -> None:
    assert all(math.isnan(part) for part in clock_stamp(text))


def placed(stamps: list[float], period: float = math.inf) -> list[float]:
    return TimeLine().place(np.array(stamps), np.full(len(stamps), period)).tolist()


def test_time_starts_at_zero_wherever_the_log_does() -> None:
    assert placed([5.8, 5.84, 5.9]) == pytest.approx([0.0, 0.04, 0.1])
    assert TimeLine().place(np.empty(0), np.empty(0)).size == 0


def test_a_clock_that_wraps_goes_on() -> None:
    assert placed([3599.5, 3599.9, 0.1, 0.6], 3600.0) == pytest.approx([0.0, 0.4, 0.6, 1.1])


def test_a_clock_that_changes_its_form_goes_on() -> None:
    line = TimeLine()
    stamps = np.array([3599.9, 0.4, 13 * 3600 + 1.0, 13 * 3600 + 2.0])
    t_s = line.place(stamps, np.array([3600.0, 3600.0, DAY, DAY]))
    assert t_s.tolist() == pytest.approx([0.0, 0.5, 1.1, 2.1])
    assert line.stitches == 0


def test_time_that_goes_back_is_another_drive_after_a_gap() -> None:
    line = TimeLine()
    t_s = line.place(np.array([10.0, 11.0, 3.0, 4.0]), np.full(4, np.inf))
    assert t_s.tolist() == [0.0, 1.0, 1.0 + STITCH_GAP_S, 2.0 + STITCH_GAP_S]
    assert line.stitches == 1
    assert placed([100.0, 101.0, 50.0, 51.0], 3600.0) == [0.0, 1.0, 1.0 + STITCH_GAP_S, 2.0 + STITCH_GAP_S]


def test_a_small_step_back_is_left_as_it_is() -> None:
    assert placed([0.0, 1.0, 0.5, 1.5]) == [0.0, 1.0, 0.5, 1.5]


stamp_rows = st.lists(
    st.tuples(st.floats(0, 4000).map(lambda x: round(x, 2)), st.sampled_from([math.inf, 3600.0, DAY])),
    min_size=1,
)


@settings(deadline=None, derandomize=True)
@given(stamp_rows, st.lists(st.integers(0, 60), max_size=5))
def test_a_time_line_is_the_same_in_any_chunking(rows: list[tuple[float, float]], cuts: list[int]) -> None:
    stamps, periods = (np.array(column) for column in zip(*rows, strict=True))
    whole = TimeLine().place(stamps, periods)
    line = TimeLine()
    edges = [0, *sorted(cut % (len(rows) + 1) for cut in cuts), len(rows)]
    parts = [line.place(stamps[a:b], periods[a:b]) for a, b in itertools.pairwise(edges)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_many_rows_on_one_stamp_are_spread_over_it() -> None:
    t_s, last = spread(np.array([0.0, 0, 0, 0, 1, 1, 1, 1]), 2.0, None)
    assert t_s.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
    assert last == StampGroup(1.0, 4)


def test_two_rows_on_each_stamp_are_spread_from_the_second_stamp_on() -> None:
    t_s, _ = spread(np.array([0.0, 0, 1, 1, 2, 2]), None, None)
    assert t_s.tolist() == [0.0, 0.0, 1.0, 1.5, 2.0, 2.5]


def test_a_single_doubled_stamp_is_left_for_the_filters() -> None:
    stamps = np.array([0.0, 0.04, 0.08, 0.08, 0.12])
    assert spread(stamps, 0.16, None)[0].tolist() == stamps.tolist()


def test_before_a_hole_a_stamp_lasts_as_long_as_the_last() -> None:
    t_s, _ = spread(np.array([4.0, 4, 4]), 300.0, StampGroup(3.5, 3))
    assert t_s.tolist() == pytest.approx([4.0, 4.0 + 0.5 / 3, 4.0 + 1.0 / 3])
    t_s, _ = spread(np.array([4.0, 4]), 300.0, StampGroup(0.0, 3))
    assert t_s.tolist() == [4.0, 4.5]


def test_a_clock_that_stands_is_not_spread() -> None:
    stamps = np.zeros(1001)
    assert spread(stamps, 1.0, None)[0].tolist() == stamps.tolist()


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.integers(0, 12))
def test_spreading_is_the_same_in_any_chunking_by_groups(sizes: list[int], cut: int) -> None:
    stamps = np.repeat(np.arange(len(sizes), dtype=np.float64), sizes)
    whole, _ = spread(stamps, None, None)
    at = sum(sizes[: cut % len(sizes)])
    if at == 0:
        return
    first, group = spread(stamps[:at], float(stamps[at]), None)
    rest, _ = spread(stamps[at:], None, group)
    assert np.concatenate((first, rest)).tolist() == whole.tolist()
    assert (np.diff(whole) >= 0).all()

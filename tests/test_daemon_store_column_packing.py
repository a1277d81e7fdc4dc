"""Columns in few bytes: whatever doubles go in come out, and what loggers write takes little room."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.store.column_packing import packed_columns, unpacked_columns
from lowmaf.samples import Floats


@st.composite
def columns_of_a_logger(draw: st.DrawFn) -> Floats:
    """What loggers write: steps of some size, in some unit, blanks here and there; and what they never do."""
    n = draw(st.integers(1, 400))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    widest = draw(st.sampled_from([0, 1, 127, 128, 129, 32_767, 32_768, 70_000, 2**31 - 1, 2**31, 2**40]))
    column = np.empty(n)
    column[:] = random.integers(-widest, widest + 1, n)
    column /= 10.0 ** draw(st.integers(0, 8))
    column *= draw(st.sampled_from([1.0, 0.001, 6.894757, 1.0 / 14.7, -1.0, 1e290, 5e-324]))
    column += draw(st.sampled_from([0.0, 0.1, -0.0, 1e9]))
    odd = draw(
        st.sampled_from([[], [np.nan], [np.nan, -0.0], [np.inf, -np.inf], [np.nan, 5e-324], [-np.nan]])
    )
    for value in odd:
        column[random.random(n) < draw(st.sampled_from([0.01, 0.5, 1.0]))] = value
    return column


@given(columns_of_a_logger())
@example(np.array([0.0, -0.0] * 8))
@example(np.array([-0.0] * 8))
@example(np.full(9, np.nan))
@example(np.array([np.nan, -np.nan] * 9))
@example(np.array([np.nan, np.nan, 1.25, np.nan, 1.5, np.nan]))
@example(np.array([1e308, -1e308] * 10))
@example(np.array([2147483647.0, -2147483648.0] * 5))
@example(np.array([2147483648.0, 0.0] * 5))
@example(np.array([5e-324, 0.0] * 20))
@example(np.array([1.0, 1.0 + 2**-52] * 20))
@example(np.array([3.1415926]))
@example(np.empty(0))
def test_columns_of_loggers_come_back_bit_for_bit(column: Floats) -> None:
    columns = np.array([column, column[::-1]])
    assert unpacked_columns(packed_columns(columns), 2, column.size).tobytes() == columns.tobytes()


@pytest.mark.parametrize(
    "column",
    [
        np.arange(1000) % 91 / 100,
        np.arange(1000) % 91 * 0.001,
        np.arange(1000) % 91 / 100 * 6.894757,
        np.where(np.arange(1000) % 20, np.nan, np.arange(1000) // 20 * 0.25),
        np.where(np.arange(1000) % 20, np.nan, np.arange(1000) // 20 * 0.25 / 14.7),
        np.full(1000, np.nan),
    ],
    ids=[
        "decimals",
        "milliseconds",
        "levels",
        "blanks",
        "levels and blanks",
        "never measured",
    ],
)
def test_what_a_logger_writes_takes_a_byte_a_value_and_its_levels(column: Floats) -> None:
    shuffled = column[np.random.default_rng(1).permutation(column.size)]
    packed = packed_columns([shuffled])
    assert len(packed) < 2200
    assert unpacked_columns(packed, 1, 1000).tobytes() == shuffled.tobytes()


def test_what_changes_little_takes_one_byte_and_what_does_not_none() -> None:
    none = len(packed_columns([np.full(1000, 14.64)]))
    assert len(packed_columns([np.arange(1000.0) * 127.0 / 100])) - none == 999
    assert len(packed_columns([np.arange(1000.0) * 128.0 / 100])) - none == 2 * 999
    assert len(packed_columns([np.arange(1000.0) * 32768.0 / 100])) - none == 4 * 999


@pytest.mark.parametrize(("count", "n"), [(1, 50), (3, 50), (2, 49), (2, 51), (2, 0)])
def test_other_columns_than_were_packed_are_refused(count: int, n: int) -> None:
    packed = packed_columns([np.arange(50.0), np.random.default_rng(1).normal(size=50)])
    with pytest.raises(ValueError, match=r"they|more"):
        unpacked_columns(packed, count, n)
    with pytest.raises(ValueError, match="they end early"):
        unpacked_columns(packed[:-1], 2, 50)

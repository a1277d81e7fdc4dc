"""How long samples are gathered before they are handed on."""

from __future__ import annotations

import pytest

from drivers.batches import DELIVER_S, is_full


@pytest.mark.parametrize(
    ("rate_hz", "samples"), [(2.0, 1), (10.0, 1), (12.5, 1), (20.0, 2), (25.0, 2), (50.0, 5), (200.0, 20)]
)
def test_a_batch_is_handed_on_before_a_sample_waits_too_long(rate_hz: float, samples: int) -> None:
    full = [is_full(count, count / rate_hz) for count in range(1, samples + 1)]
    assert full == [False] * (samples - 1) + [True]


@pytest.mark.parametrize("late_s", [-0.004, 0.004])
def test_a_sample_that_is_a_little_late_moves_no_batch(late_s: float) -> None:
    assert [is_full(count, 0.02 * count + late_s) for count in (4, 5)] == [False, True]
    assert not is_full(1, 0.05 + late_s)
    assert is_full(2, DELIVER_S + late_s)


def test_without_a_sample_the_next_begins_anew() -> None:
    assert is_full(0, 0.01)

"""The pulse of a source: how many samples a second it brings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_daemon_live_hub import Clock

from daemon.live.liveness import STALE_S, Liveness


@given(st.lists(st.tuples(st.floats(0.0, 15.0), st.integers(1, 50)), max_size=60))
def test_the_sample_rate_is_that_of_the_last_seconds(arrivals: list[tuple[float, int]]) -> None:
    clock = Clock()
    pulse = Liveness(clock)
    pulse.set_link("running", "", "", reconnected=False)
    came: list[tuple[float, int]] = []
    for step_s, samples in arrivals:
        clock.now_s += step_s
        pulse.arrived(samples)
        came.append((clock.now_s, samples))
        recent = [(at_s, n) for at_s, n in came if clock.now_s - at_s <= STALE_S]
        span_s = recent[-1][0] - recent[0][0]
        expected = sum(n for _, n in recent[1:]) / span_s if span_s > 0.0 else None
        assert pulse.sample_rate_hz == expected


def test_the_sample_rate_of_very_many_small_batches() -> None:
    clock = Clock()
    pulse = Liveness(clock)
    pulse.set_link("running", "", "", reconnected=False)
    for _ in range(5000):
        clock.now_s += 0.001
        pulse.arrived(2)
    assert pulse.sample_rate_hz == pytest.approx(2000.0)
    clock.now_s += STALE_S + 1.0
    assert pulse.sample_rate_hz is None

"""Neighbour look-ups against slow literal versions of themselves."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lowmaf.loop_inversion import MEMORY, mixture_error
from lowmaf.windows import Lookup, WindowMeans, window_maxima


def times(seed: int, n: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).uniform(0.01, 0.4, n))


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 200))
def test_lookup_is_linear_interpolation(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    t_s, values = times(seed, n), rng.normal(size=n)
    query = rng.uniform(t_s[0] - 1, t_s[-1] + 1, 50)
    found = Lookup(t_s, query)
    np.testing.assert_allclose(found.at(values), np.interp(query, t_s, values), atol=1e-12)
    np.testing.assert_array_equal(found.inside, (query >= t_s[0]) & (query < t_s[-1]))


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 200))
def test_window_means_and_maxima(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    t_s, values = times(seed, n), rng.normal(size=n)
    means = WindowMeans(t_s, values).between(t_s - 0.5, t_s + 0.3)
    maxima = window_maxima(t_s, values, t_s - 1.5, t_s + 0.2)
    for index, now in enumerate(t_s):
        inside = values[(t_s >= now - 0.5) & (t_s <= now + 0.3)]
        assert abs(means[index] - inside.mean()) < 1e-8
        assert maxima[index] == values[(t_s >= now - 1.5) & (t_s <= now + 0.2)].max()


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 120))
def test_mixture_error_undoes_a_pi_loop(seed: int, n: int) -> None:
    """A controller is run forwards on random errors; the errors come back from its trims."""
    rng = np.random.default_rng(seed)
    t_s = times(seed, n)
    kp, ki = 0.25, 0.7
    error = rng.normal(0, 0.03, n)
    error[0] = 0.0
    stft, integral = np.zeros(n), 0.0
    for index in range(1, n):
        integral += ki * (t_s[index] - t_s[index - 1]) * error[index]
        stft[index] = kp * error[index] + integral
    restart = np.zeros(n, dtype=bool)
    restart[0] = True
    np.testing.assert_allclose(mixture_error(t_s, stft, restart, kp, ki), error, atol=1e-9)


def test_mixture_error_does_not_depend_on_what_is_older_than_its_memory() -> None:
    rng = np.random.default_rng(3)
    t_s = np.arange(2000) * 0.04
    stft = np.cumsum(rng.normal(0, 0.002, 2000))
    none = np.zeros(2000, dtype=bool)
    whole = mixture_error(t_s, stft, none, 0.25, 0.7)
    cut = mixture_error(t_s[500:], stft[500:], none[500:], 0.25, 0.7)
    np.testing.assert_array_equal(whole[500 + MEMORY :], cut[MEMORY:])

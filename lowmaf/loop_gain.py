"""How fast the car's own fuel loop is, from how it follows what it was asked for.

The mixture error behind a trim is had back with assumed loop gains (:mod:`lowmaf.loop_inversion`); a
car whose loop is slower needs a multiple s of it. The trim alone cannot tell s: it is the disturbed
mixture, smoothed, and the less is added to it the quieter it looks. What tells it is an instrument, a
quantity that moves the trims but is no disturbance itself: what a loop still has to make up for,

    want(t) = c(V(t)) - LTFT(t),        z(t) = want(t) - mean of want over the last seconds,

built from voltage, long-term trim and the open/closed state alone. Where z is positive the short-term
trim still lags behind, so the trims T fall short of the correction c by s times the error e found:

    sum w z (T + s e - c(V)) = 0        (instrumental variables, one instrument)

With c(V) written in powers of voltage, for this purpose only, every term is a sum over samples of an
excitation (one per power, one for LTFT) times a response (the powers, T, e), so it adds up like
all sums here and c may be filled in at any later time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lowmaf.samples import Floats
from lowmaf.windows import QUANTUM, Integers, WindowMeans

POWERS = 4
"""Corrections as a polynomial of this many terms in voltage: instruments need not be exact."""
EXCITATIONS = POWERS + 1
RESPONSES = POWERS + 2
PRODUCTS = EXCITATIONS * RESPONSES
DEAD_S = 0.4
"""Time from a change of flow to the first answer of the short-term trim."""
ANSWER_S = 2.4
"""A loop of the assumed gains has answered for the most part within this time after that."""
UNSURE = 2.5
"""Slowness counts as far as it is sure: the estimate less this many standard errors ..."""
USUAL_EXCESS = 1.3
"""... and in units of what the estimate gives for a loop of the assumed gains."""

_EXCITATION_QUANTUM = 2.0**-16
_RESPONSE_QUANTUM = 2.0**-14
_TO_SUMS = _EXCITATION_QUANTUM * _RESPONSE_QUANTUM / QUANTUM
_LARGEST_PCT = 100.0


@dataclass(frozen=True, slots=True)
class LoopAnswer:
    """Sums of w z (c - T) and of w z e over some driving, %² s, and the variance of their misfit."""

    short_of: float = 0.0
    error: float = 0.0
    variance: float = 0.0


def voltage_position(axis_v: Floats, maf_v: Floats) -> Floats:
    """Volts (n,) on the scale on which the axis runs from -1 to 1."""
    middle, half = 0.5 * (axis_v[-1] + axis_v[0]), 0.5 * (axis_v[-1] - axis_v[0])
    position: Floats = np.clip((maf_v - middle) / half, -1.0, 1.0)
    return position


def _powers(position: Floats) -> Floats:
    """1, x, x², x³, shape (POWERS, n)."""
    powers = np.ones((POWERS, position.size))
    for exponent in range(1, POWERS):
        np.multiply(powers[exponent - 1], position, out=powers[exponent])
    return powers


def excitation(t_s: Floats, position: Floats, ltft_pct: Floats, break_s: Floats, here: slice) -> Floats:
    """Per sample ``here``, (EXCITATIONS, n): each power of voltage and LTFT less its recent mean.

    The mean is over :data:`ANSWER_S` until :data:`DEAD_S` ago. What was before the loop closed (at
    ``break_s``) counts as zero there: the short-term trim began at zero.
    """
    want = np.vstack((_powers(position), np.clip(ltft_pct, -_LARGEST_PCT, _LARGEST_PCT)))
    stop = t_s[here] - DEAD_S
    start = np.maximum(stop - ANSWER_S, break_s[here])
    covered = np.clip((stop - start) / ANSWER_S, 0.0, 1.0)
    excited = want[:, here]
    recent = covered * WindowMeans(t_s, want[1:]).between(start, stop)
    np.subtract(excited[1:], recent, out=excited[1:], where=~np.isnan(recent))
    excited[0] -= covered
    return excited


def products(
    weight_s: Floats, excited: Floats, position: Floats, trim_pct: Floats, error_pct: Floats
) -> Integers:
    """Sum of weight x excitation x response, shape (PRODUCTS,), in steps of :data:`QUANTUM`.

    Factors are rounded to 21 bits each before they are multiplied: the sums of their products are
    exact in a float64 in any order, so one matrix product does for many samples what integers would.
    """
    limited = (
        np.clip(trim_pct, -_LARGEST_PCT, _LARGEST_PCT),
        np.clip(error_pct, -_LARGEST_PCT, _LARGEST_PCT),
    )
    response = np.vstack((_powers(position), *limited))
    left = np.rint(weight_s * (1.0 / _EXCITATION_QUANTUM) * excited)
    right = np.rint(response * (1.0 / _RESPONSE_QUANTUM))
    return (left @ right.T).ravel().astype(np.int64) * int(_TO_SUMS)


def loop_answer(sums: Floats, axis_v: Floats, weight_s: Floats, correction_pct: Floats) -> LoopAnswer:
    """What blocks with the products ``sums`` (b, PRODUCTS) say of the loop, given a correction (k,)."""
    total = sums.reshape(-1, EXCITATIONS, RESPONSES)
    root = np.sqrt(weight_s + 1e-9)
    powers = _powers(voltage_position(axis_v, axis_v))
    coefficients = np.linalg.lstsq((powers * root).T, correction_pct * root, rcond=None)[0]
    instrument = np.append(coefficients, -1.0)
    along = np.einsum("e,ber->br", instrument, total)
    short_of = along[:, :POWERS] @ coefficients - along[:, POWERS]
    error = along[:, POWERS + 1]
    if not error.sum() > 0.0:
        return LoopAnswer()
    misfit = short_of - (short_of.sum() / error.sum()) * error
    return LoopAnswer(float(short_of.sum()), float(error.sum()), float(misfit @ misfit))


def slowness(answers: Sequence[LoopAnswer], largest: float) -> float:
    """How many times slower than assumed the loop surely is, 1 to ``largest``."""
    error = sum(answer.error for answer in answers)
    if error <= 0.0:
        return 1.0
    estimate = sum(answer.short_of for answer in answers) / error
    stderr = sum(answer.variance for answer in answers) ** 0.5 / error
    return float(np.clip((estimate - UNSURE * stderr) / USUAL_EXCESS, 1.0, largest))

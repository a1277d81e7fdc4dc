"""From what the loop did to what it saw: the mixture error behind a short-term trim.

A closed fuel loop is a PI controller, S_i - S_(i-1) = kp (e_i - e_(i-1)) + ki dt e_i, so the mixture
error e can be had back from the trim alone:

    e_i = a_i e_(i-1) + b_i,   a_i = kp / (kp + ki dt_i),   b_i = (S_i - S_(i-1)) / (kp + ki dt_i)

Halving both gains leaves a as it is and doubles b, so the error for other gains of the same ratio
is a plain multiple; the solver makes use of that.
"""

from __future__ import annotations

import numpy as np

from lowmaf.filters import Mask
from lowmaf.samples import Floats

SCAN_PASSES = 8
MEMORY = 1 << SCAN_PASSES
"""Samples that an error can remember (256: ten seconds at 25 Hz, where a**256 is about 1e-11)."""


def mixture_error(t_s: Floats, stft: Floats, restart: Mask, kp: float, ki_per_s: float) -> Floats:
    """Mixture error e (n,), a fraction, positive where lean, from short-term trim ``stft`` (n,).

    ``restart`` marks samples at which a run of closed loop begins; the error starts there at zero.
    Values are right from the first restart on and, without one, from sample :data:`MEMORY` on.

    The recursion is composed by doubling (each sample looks back 1, 2, 4, … samples), which takes
    the same steps for a sample whatever else is in the array, and runs at array speed.
    """
    n = t_s.size
    decay = np.zeros(n)
    error = np.zeros(n)
    if n > 1:
        gain = kp + ki_per_s * (t_s[1:] - t_s[:-1])
        going_on = ~restart[1:]
        decay[1:] = np.where(going_on, kp / gain, 0.0)
        error[1:] = np.where(going_on, (stft[1:] - stft[:-1]) / gain, 0.0)
    for exponent in range(SCAN_PASSES):
        reach = 1 << exponent
        if reach >= n:
            break
        # The right-hand sides are complete before they are stored: all of a pass sees the pass before.
        error[reach:] = error[reach:] + decay[reach:] * error[:-reach]
        decay[reach:] = decay[reach:] * decay[:-reach]
    return error

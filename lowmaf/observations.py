"""From samples to observations: what correction each sample asks for, and how much it weighs.

An ECU that reads too little air fuels lean; its sensor sees that after the exhaust delay; its loop
then raises the trims. So the correction that a sample at MAF voltage V asks for is

    y = (1 + T(t)) (1 + e(t + D)) - 1

with T the total trim in force when the air was measured and e the mixture error seen D later, either
measured (lambda over commanded lambda, minus 1) or had back from the short-term trim.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from lowmaf.filters import Mask
from lowmaf.loop_gain import excitation
from lowmaf.loop_inversion import mixture_error
from lowmaf.samples import Floats
from lowmaf.settings import SETTLED_AFTER_S, SETTLED_BEFORE_S, CurveSettings
from lowmaf.windows import Lookup, WindowMeans, window_maxima

MAX_INTERVAL_S = 0.5
"""A sample stands for at most this much time, however long its neighbours are away."""
STILL_CLOSED_S = 0.15
"""The loop must still be closed this long after the sample's mixture was seen."""
MAX_LOOKUP_GAP_S = 0.6
"""Mixture is not read across a hole in time longer than this (or 1.6 sample intervals)."""
TRANSIENT_MEMORY_S = 2.0
LAMBDA_RANGE = (0.8, 1.25)
"""Measured lambda outside this range is a sensor at its rail or a mixture no trim answers for."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The columns that observations need, shape (n,) each; trims are fractions, not %.

    ``position`` is the voltage on the scale of :func:`lowmaf.loop_gain.voltage_position`.
    ``break_s`` is the time of the last sample at or before this one at which the loop was open, or
    of the first sample after a hole in time: the start of the closed-loop run, as far as known.
    ``lambda_`` is measured, ``lambda_target`` commanded lambda, NaN where missing.
    """

    t_s: Floats
    maf_v: Floats
    position: Floats
    flow_gs: Floats
    stft: Floats
    ltft: Floats
    break_s: Floats
    lambda_: Floats
    lambda_target: Floats


@dataclass(frozen=True, slots=True)
class Observations:
    """One value per sample, shape (n,); ``excitation`` (EXCITATIONS, n), see :mod:`lowmaf.loop_gain`.

    ``trim_pct + error_pct`` is the correction asked for; ``error_pct`` is the part that depends on
    the gains assumed for the fuel loop (zero where lambda was measured, which is then in ``trim_pct``).
    ``weight_s`` is time, reduced where the flow was changing or the trims had not settled.
    """

    interval_s: Floats
    weight_s: Floats
    trim_pct: Floats
    error_pct: Floats
    transient: Floats
    position: Floats
    excitation: Floats
    left_closed_loop: Mask
    in_gap: Mask
    lambda_used: Mask

    def at(self, where: Mask) -> Observations:
        """Those at which ``where`` (n,) is True."""
        return Observations(*(getattr(self, spec.name)[..., where] for spec in fields(self)))


def observe(samples: Samples, first: int, stop: int, settings: CurveSettings) -> Observations:
    """Observations of samples ``first`` to ``stop``; the others are their past and future.

    The result for a sample depends on the :data:`lowmaf.loop_inversion.MEMORY` samples and 3 s
    before it and :attr:`CurveSettings.lookahead_s` after it, and on nothing else.
    """
    t_s = samples.t_s
    here = slice(first, stop)
    now = t_s[here]
    total = _total_trim(samples.stft, samples.ltft, settings)
    delay = exhaust_delay_s(samples.flow_gs[here], settings)
    seen = Lookup(t_s, now + delay)
    still = Lookup(t_s, now + delay + STILL_CLOSED_S)
    before, after = _neighbour_distances(t_s)
    spacing = 0.5 * (before[here] + after[here])
    interval = 0.5 * (np.minimum(before[here], MAX_INTERVAL_S) + np.minimum(after[here], MAX_INTERVAL_S))

    lambda_seen = seen.at(samples.lambda_)
    measured = lambda_seen / samples.lambda_target[here]
    lambda_used = np.isfinite(measured) & (lambda_seen > LAMBDA_RANGE[0]) & (lambda_seen < LAMBDA_RANGE[1])
    restart = np.concatenate(([True], samples.break_s[1:] >= t_s[:-1])) if t_s.size else np.zeros(0, bool)
    loop_error = mixture_error(t_s, samples.stft, restart, settings.loop_kp, settings.loop_ki_per_s)
    inverted = seen.at(loop_error)

    own = total[here]
    asked = np.where(lambda_used, (1.0 + own) * np.where(lambda_used, measured, 1.0) - 1.0, own)
    error = np.where(lambda_used, 0.0, (1.0 + own) * inverted)
    steady = _steadiness(samples, here, settings)
    settled = _settledness(t_s, total, now + delay, settings)
    broken = samples.break_s[still.before] > now
    return Observations(
        interval_s=interval,
        weight_s=interval * steady * settled,
        trim_pct=100.0 * asked,
        error_pct=100.0 * error,
        transient=_recent_flow_change(samples, here),
        position=samples.position[here],
        excitation=excitation(t_s, samples.position, 100.0 * samples.ltft, samples.break_s, here),
        left_closed_loop=broken & ~lambda_used,
        in_gap=~(seen.inside & still.inside) | (seen.gap_s >= np.maximum(MAX_LOOKUP_GAP_S, 1.6 * spacing)),
        lambda_used=lambda_used,
    )


def exhaust_delay_s(flow_gs: Floats, settings: CurveSettings) -> Floats:
    """Time from air passing the MAF sensor to the loop's answer, s: transport falls with flow."""
    transport = settings.delay_base_s + settings.delay_flow_g / np.maximum(flow_gs, 1.5)
    return np.clip(transport, settings.delay_min_s, settings.delay_max_s) + settings.sensor_lag_s


def _total_trim(stft: Floats, ltft: Floats, settings: CurveSettings) -> Floats:
    if settings.trims_multiply:
        return (1.0 + stft) * (1.0 + ltft) - 1.0
    return stft + ltft


def _neighbour_distances(t_s: Floats) -> tuple[Floats, Floats]:
    """Time to the sample before and after, s; 0 at the ends, which have no neighbour."""
    steps = np.diff(t_s)
    return np.concatenate(([0.0], steps)), np.concatenate((steps, [0.0]))


def _steadiness(samples: Samples, here: slice, settings: CurveSettings) -> Floats:
    """Weight 1 in steady flow, falling with the square of the recent relative flow change."""
    t_s = samples.t_s
    log_flow = WindowMeans(t_s, np.log(np.maximum(samples.flow_gs, 0.1)))
    slope = np.abs(log_flow.between(t_s, t_s + 0.5) - log_flow.between(t_s - 0.5, t_s)) / 0.5
    now = t_s[here]
    activity = window_maxima(t_s, slope, now - 1.5, now + 0.2)
    limit = settings.activity_limit_per_s
    return np.where(
        activity < limit, 1.0, settings.activity_weight * (limit / np.maximum(activity, limit)) ** 2
    )


def _settledness(t_s: Floats, total: Floats, seen_s: Floats, settings: CurveSettings) -> Floats:
    """Weight 1 where total trim stands still around the time the mixture is seen."""
    later = Lookup(t_s, seen_s + SETTLED_AFTER_S).at(total)
    earlier = Lookup(t_s, seen_s - SETTLED_BEFORE_S).at(total)
    return 1.0 / (1.0 + (100.0 * (later - earlier) / settings.settled_trim_pct) ** 2)


def _recent_flow_change(samples: Samples, here: slice) -> Floats:
    """How far the flow is above its recent mean, %: what wall film and manifold filling follow."""
    log_flow = np.log(np.maximum(samples.flow_gs, 0.1))
    now = samples.t_s[here]
    recent = WindowMeans(samples.t_s, log_flow).between(now - TRANSIENT_MEMORY_S, now)
    return np.clip(100.0 * (log_flow[here] - recent), -100.0, 100.0)

"""What the samples are like, apart from what they ask for: counts that add up in any chunking."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from lowmaf.filters import Mask
from lowmaf.samples import Floats
from lowmaf.windows import QUANTUM, quantised

TRIM_STEP_PCT = 100.0 / 128.0
"""Step in which a one-byte trim is reported (SSM parameters P3 and P4, OBD PIDs 06 and 07)."""
LTFT_JUMP_PCT = 3.0
"""A long-term trim that moves this far between two samples changed its range; learning is slower."""
IN_STEP = 0.02
"""A trim this near to a whole number of steps is one; logs print two decimals."""
LEAST_FLOW_GS = 0.5
HOLE_S = 2.0


@dataclass(frozen=True, slots=True)
class TrimExtreme:
    """The highest or lowest short-term trim in closed loop, %, and how many samples it stood there.

    A loop at work never rests at its extreme; one that has reached its limit stays there.
    """

    stft_pct: float
    samples_held: int = 0


@dataclass(slots=True)
class StreamStatistics:
    """Sums over closed-loop samples. ``iat_low_c`` and ``iat_high_c`` are NaN until a value was seen."""

    samples: int = 0
    intervals: int = 0
    interval_ticks: int = 0
    trims_moved: int = 0
    trims_in_steps: int = 0
    ltft_jumps: int = 0
    swings: int = 0
    swing_steps: int = 0
    swing_square_steps: int = 0
    flows: int = 0
    flow_square_steps: int = 0
    iat_low_c: float = np.nan
    iat_high_c: float = np.nan
    highest: TrimExtreme = field(default_factory=lambda: TrimExtreme(-np.inf))
    lowest: TrimExtreme = field(default_factory=lambda: TrimExtreme(np.inf))

    def __add__(self, other: StreamStatistics) -> StreamStatistics:
        """Those of two drives together, the same in any order of adding."""
        return StreamStatistics(
            **{name: getattr(self, name) + getattr(other, name) for name in _COUNTED},
            iat_low_c=float(np.fmin(self.iat_low_c, other.iat_low_c)),
            iat_high_c=float(np.fmax(self.iat_high_c, other.iat_high_c)),
            highest=_further(self.highest, other.highest, 1.0),
            lowest=_further(self.lowest, other.lowest, -1.0),
        )

    @property
    def interval_s(self) -> float:
        """Mean time between samples, s; 0 before the second."""
        return self.interval_ticks * 1e-6 / self.intervals if self.intervals else 0.0

    @property
    def swing_evenness(self) -> float:
        """How alike the moves of the short-term trim over half a second are, 0 to 1.

        (mean |move|)² / mean move². A loop that answers a wide-band sensor mostly rests and sometimes
        moves (0.2 to 0.4 on real drives); one that knows only lean and rich ramps all the time (0.6).
        """
        if not self.swing_square_steps:
            return 0.0
        mean, square = (
            steps * QUANTUM / self.swings for steps in (self.swing_steps, self.swing_square_steps)
        )
        return mean * mean / square

    def add(self, t_s: Floats, stft: Floats, ltft: Floats, closed: Mask, new: int) -> None:
        """Samples in their order, trims as fractions; from index ``new`` on they were not seen before.

        The sample before the first new one, where there is one, must be among them. ``closed`` (n,)
        are those in closed loop; the others count for nothing.
        """
        steps = np.diff(t_s)[max(new - 1, 0) :]
        both = (closed[1:] & closed[:-1])[max(new - 1, 0) :]
        follows = both & (steps <= HOLE_S)
        self.samples += int(np.count_nonzero(closed[new:]))
        self.intervals += int(np.count_nonzero(follows))
        # Whole microseconds: a sum of integers is the same in any chunking.
        self.interval_ticks += int(np.rint(steps[follows] * 1e6).astype(np.int64).sum())
        jumped = np.abs(np.diff(ltft)[max(new - 1, 0) :]) * 100.0 > LTFT_JUMP_PCT
        self.ltft_jumps += int(np.count_nonzero(jumped & follows))
        moved = 100.0 * stft[new:][closed[new:] & (stft[new:] != 0.0)]
        steps_pct = moved / TRIM_STEP_PCT
        self.trims_moved += int(moved.size)
        self.trims_in_steps += int(np.count_nonzero(np.abs(steps_pct - np.rint(steps_pct)) < IN_STEP))

    def add_swings(self, moves_pct: Floats) -> None:
        """Moves of the short-term trim over half a second of settled closed loop, %."""
        self.swings += int(moves_pct.size)
        self.swing_steps += int(quantised(np.abs(moves_pct)).astype(np.int64).sum())
        self.swing_square_steps += int(quantised(moves_pct * moves_pct).astype(np.int64).sum())

    @property
    def flow_disagreement(self) -> float:
        """Rms distance, as a share, of the flow that the source gave from the MAF table's; 0 without both."""
        return (self.flow_square_steps * QUANTUM / self.flows) ** 0.5 if self.flows else 0.0

    def add_flows(self, given_gs: Floats, of_table_gs: Floats) -> None:
        """Flow that the source gave and that the table has at the same volts, g/s; NaN: not measured."""
        both = (given_gs > LEAST_FLOW_GS) & (of_table_gs > LEAST_FLOW_GS)
        distance = np.clip(np.log(given_gs[both] / of_table_gs[both]), -1.0, 1.0)
        self.flows += int(distance.size)
        self.flow_square_steps += int(quantised(distance * distance).astype(np.int64).sum())

    def add_held(self, stft_pct: Floats, held: Mask) -> None:
        """Short-term trims of closed loop, %, and where they had stood still for a while."""
        if stft_pct.size:
            self.highest = _extreme(self.highest, stft_pct, held, float(stft_pct.max()), 1.0)
            self.lowest = _extreme(self.lowest, stft_pct, held, float(stft_pct.min()), -1.0)

    def add_temperatures(self, iat_c: Floats) -> None:
        """Intake temperatures, °C, in any order; NaN where not measured."""
        self.iat_low_c = float(np.fmin.reduce(iat_c, initial=self.iat_low_c))
        self.iat_high_c = float(np.fmax.reduce(iat_c, initial=self.iat_high_c))


_COUNTED = tuple(spec.name for spec in fields(StreamStatistics) if spec.type == "int")


def _further(one: TrimExtreme, other: TrimExtreme, direction: float) -> TrimExtreme:
    if one.stft_pct == other.stft_pct:
        return TrimExtreme(one.stft_pct, one.samples_held + other.samples_held)
    return max(one, other, key=lambda extreme: direction * extreme.stft_pct)


def _extreme(
    before: TrimExtreme, stft_pct: Floats, held: Mask, newest: float, direction: float
) -> TrimExtreme:
    further = direction * (newest - before.stft_pct)
    if further < 0.0:
        return before
    samples = int(np.count_nonzero(held & (stft_pct == newest)))
    return TrimExtreme(newest, samples + (before.samples_held if further == 0.0 else 0))

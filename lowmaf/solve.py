"""The curve that the sums ask for, on the table's own breakpoints.

Stretches of driving, each with its drifting level taken out (:mod:`lowmaf.levels`), add up to
M c = r; smoothness of c is the prior: a Gaussian process over voltage (Matérn 3/2) that lets the
data decide where there are enough and fills in where there are few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lowmaf.cells import BlockKey, CellSums
from lowmaf.levels import Reduced, reduce_stretch
from lowmaf.loop_gain import slowness
from lowmaf.samples import Floats
from lowmaf.settings import CurveSettings
from lowmaf.windows import Integers

_Known = dict[tuple[int, int], tuple[list[Integers], Reduced]]

STRETCH_BLOCKS = 120
"""Blocks of an hour of driving, counted from the drive's time 0, are one stretch."""


def stretch_of(key: BlockKey) -> tuple[int, int]:
    """Drive and hour of the drive: what blocks of the same stretch have in common."""
    return key.drive, key.block // STRETCH_BLOCKS


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Solution per cell, shape (k,), %: correction and standard error.

    ``covariance`` (k, k), %², is that of the estimate alone, without the error of the method;
    ``weight_s`` (k,) the evidence; ``drift_pct`` the largest standard deviation of a level drift found;
    ``loop_slowness`` how many times slower than assumed the fuel loop is.
    """

    correction_pct: Floats
    stderr_pct: Floats
    covariance: Floats
    weight_s: Floats
    transient: float
    drift_pct: float
    loop_slowness: float


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """The equations of a stretch with all its ``blocks``, so many."""

    blocks: int
    reduced: Reduced


def wholes(keys: Iterable[BlockKey], equations: Sequence[Reduced]) -> dict[tuple[int, int], Whole]:
    """Stretches by name, given all their blocks in order and the equations of each."""
    counts = Counter(map(stretch_of, keys))
    return {name: Whole(count, part) for (name, count), part in zip(counts.items(), equations, strict=True)}


class CurveSolver:
    """Solves for one axis. Remembers each stretch's equations until its sums change.

    A result depends on the sums alone, never on what was solved before.
    """

    def __init__(self, axis_v: Floats, settings: CurveSettings) -> None:
        self._settings = settings
        self._cells = axis_v.size
        self._axis_v = axis_v
        distance = np.abs(axis_v[:, np.newaxis] - axis_v) * (np.sqrt(3.0) / settings.smooth_length_v)
        covariance = settings.smooth_sd_pct**2 * (1.0 + distance) * np.exp(-distance)
        covariance += settings.own_sd_pct**2 * np.eye(self._cells)
        self._prior = np.zeros((self._cells + 1, self._cells + 1))
        self._prior[:-1, :-1] = np.linalg.inv(covariance)
        self._prior[-1, -1] = settings.transient_sd**-2
        self._known: _Known = {}

    def solve(self, sums: CellSums, known: Sequence[Reduced] = (), *, remember: bool = True) -> Curve:
        """The curve for these sums; all zero with the prior's width where there are none.

        ``known`` are equations of other drives, which count beside the sums.
        ``remember`` is for sums that grow; without it nothing is kept for next time.
        """
        return self.combined([*known, *self.stretches(sums, remember=remember)])

    def stretches(
        self,
        sums: CellSums,
        *,
        remember: bool = True,
        whole: Mapping[tuple[int, int], Whole] | None = None,
    ) -> list[Reduced]:
        """The equations of each stretch of driving, by drive, then by time.

        ``whole`` are stretches (:func:`stretch_of`) whose equations were made elsewhere: where all blocks
        of one are here they are not made again.
        """
        known = self._known if remember else {}
        stretches = self._reduced(sums, known, {} if whole is None else whole)
        for gone in known.keys() - stretches.keys():
            del known[gone]
        return list(stretches.values())

    def _reduced(
        self, sums: CellSums, known: _Known, whole: Mapping[tuple[int, int], Whole]
    ) -> dict[tuple[int, int], Reduced]:
        stretches: dict[tuple[int, int], list[BlockKey]] = {}
        for key in sorted(sums.blocks):
            stretches.setdefault(stretch_of(key), []).append(key)
        reduced = {}
        for name, keys in stretches.items():
            if name in whole and whole[name].blocks == len(keys):
                reduced[name] = whole[name].reduced
                continue
            blocks = [sums.blocks[key] for key in keys]
            before = known.get(name)
            # Sums are replaced, never changed: the same objects are the same numbers.
            if before is None or not _same(before[0], blocks):
                before = (blocks, reduce_stretch(sums.stack(keys), self._axis_v, self._prior, self._settings))
                known[name] = before
            reduced[name] = before[1]
        return reduced

    def combined(self, stretches: Sequence[Reduced]) -> Curve:
        """The curve that these equations give together with the prior."""
        matrix = self._prior + sum((part.matrix for part in stretches), np.zeros_like(self._prior))
        right = sum((part.right for part in stretches), np.zeros((self._cells + 1, 2)))
        inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
        slow = slowness([part.answer for part in stretches], self._settings.loop_slowest)
        solution = inverse @ right * (1.0, slow)
        # The loop-error part was computed for one pair of gains; with gains twice or half as large
        # it halves or doubles. 0.3 of the distance between the two is what not knowing them costs.
        gain_spread = 0.3 * 1.5 * np.abs(solution[:-1, 1])
        covariance = inverse[:-1, :-1]
        variance = np.diag(covariance) + self._settings.model_sd_pct**2 + gain_spread**2
        drift = max((part.variances.drift for part in stretches), default=0.0)
        return Curve(
            solution[:-1].sum(axis=1),
            np.sqrt(variance),
            covariance,
            sum((part.weight_s for part in stretches), np.zeros(self._cells)),
            float(solution[-1].sum()),
            float(np.sqrt(drift)),
            slow,
        )


def _same(before: list[Integers], now: list[Integers]) -> bool:
    return len(before) == len(now) and all(old is new for old, new in zip(before, now, strict=True))

"""Has the air path changed? The newest minutes against what was learned before.

A vacuum leak mended, an intake changed or long-term trims reset shows as a curve that disagrees with
the old one by more than drifting levels explain.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from lowmaf.cells import BlockKey, CellSums
from lowmaf.levels import Reduced
from lowmaf.solve import CurveSolver

GROUP_BLOCKS = 10
"""Five minutes of driving are compared with what came before."""
OLD_GROUPS = 12
"""At most the last hour before: older evidence of the level says little about now."""
LEAST_WEIGHT_S = 2.0
LEAST_CELLS = 3
SIGNIFICANT = 3.0
"""Median over cells of |difference| in standard errors. A step of 5 % gives 3.0 after five minutes."""


Groups: TypeAlias = Mapping[BlockKey, Sequence[Reduced]]
"""Equations of groups, each by the first of its :data:`GROUP_BLOCKS` blocks."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Equations of the last groups of blocks, oldest first, and how many blocks came after them."""

    groups: tuple[Sequence[Reduced], ...] = ()
    new_blocks: int = 0


class ChangeWatch:
    """Compares each group of blocks with the groups before it."""

    def __init__(self, solver: CurveSolver, seen: Seen | None = None) -> None:
        """``seen`` is what another one had seen that this one goes on for."""
        seen = Seen() if seen is None else seen
        self._solver = solver
        self._groups: deque[Sequence[Reduced]] = deque(seen.groups, maxlen=OLD_GROUPS)
        self._new_blocks = seen.new_blocks

    def seen(self) -> Seen:
        """What it has seen so far, as far as it matters for what follows."""
        return Seen(tuple(self._groups), self._new_blocks)

    def before_block(self, sums: CellSums) -> BlockKey | None:
        """To be asked before each new block; looks for a change at every :data:`GROUP_BLOCKS`-th, else None.

        ``sums`` hold at least the newest :data:`GROUP_BLOCKS` blocks before it, all complete.
        """
        return self.changed(sums) if self.completes_group() else None

    def completes_group(self) -> bool:
        """One more block begins: whether those before it complete a group, to be looked at now."""
        complete = self._new_blocks == GROUP_BLOCKS
        self._new_blocks = 1 if complete else self._new_blocks + 1
        return complete

    def changed(self, sums: CellSums, groups: Groups | None = None) -> BlockKey | None:
        """To be asked after every :data:`GROUP_BLOCKS` new blocks, with all sums so far.

        Returns the first of the newest blocks if they disagree with those before, else None. After a
        change only the newest blocks are what later ones are compared with. ``groups`` need not be reduced
        again.
        """
        keys = sorted(sums.blocks)[-GROUP_BLOCKS:]
        now = None if groups is None else groups.get(keys[0])
        if now is None:
            newest = CellSums(sums.cells, {key: sums.blocks[key] for key in keys})
            now = self._solver.stretches(newest, remember=False)
        disagrees = bool(self._groups) and self._disagreement(now) > SIGNIFICANT
        if disagrees:
            self._groups.clear()
        self._groups.append(now)
        return keys[0] if disagrees else None

    def _disagreement(self, newest: Sequence[Reduced]) -> float:
        """Median |z| over the cells that both have evidence for; 0 where they are too few."""
        before = self._solver.combined([part for group in self._groups for part in group])
        now = self._solver.combined(newest)
        both = (before.weight_s >= LEAST_WEIGHT_S) & (now.weight_s >= LEAST_WEIGHT_S)
        if np.count_nonzero(both) < LEAST_CELLS:
            return 0.0
        spread = np.hypot(now.stderr_pct, before.stderr_pct)
        return float(np.median(np.abs(now.correction_pct - before.correction_pct)[both] / spread[both]))

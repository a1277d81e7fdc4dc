"""Drives that were read apart, put together as if they had been read one after another, bit for bit.

What is made of integers adds up in any order (:class:`ExactSums`). What is not, the sum of the
stretches' equations and the watch for a change, is followed in the order of the drives
(:class:`Follower`), from one machine to the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lowmaf.cells import BlockKey, CellSums
from lowmaf.change_detection import GROUP_BLOCKS, ChangeWatch, Groups, Seen
from lowmaf.equation_bytes import equations_from_bytes, equations_to_bytes
from lowmaf.levels import USUAL, Reduced
from lowmaf.loop_gain import LoopAnswer
from lowmaf.packing import pack_integers, unpack_integers
from lowmaf.snapshot import DataWarning
from lowmaf.solve import CurveSolver, Whole
from lowmaf.stream_statistics import StreamStatistics
from lowmaf.windows import Integers


@dataclass(frozen=True, slots=True, eq=False)
class ExactSums:
    """Sums of all blocks (size,), counts per verdict, and the rest that adds up in any order."""

    total: Integers
    verdict_counts: Integers
    statistics: StreamStatistics
    revision: int

    def __add__(self, other: ExactSums) -> ExactSums:
        return ExactSums(
            self.total + other.total,
            self.verdict_counts + other.verdict_counts,
            self.statistics + other.statistics,
            self.revision + other.revision,
        )


@dataclass(frozen=True, slots=True)
class Said:
    """What a stretch says besides its matrices: how fast the loop is, and the drift of the level, %²."""

    answer: LoopAnswer
    drift: float

    @classmethod
    def of(cls, stretch: Reduced) -> Said:
        """What this stretch says."""
        return cls(stretch.answer, stretch.variances.drift)


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """All drives together. ``updated_s`` is the time of the newest sample, s."""

    exact: ExactSums
    equations: Sequence[Reduced]
    warnings: Sequence[DataWarning]
    updated_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """The air path changed where ``began`` begins, as was seen before block ``before`` was added."""

    began: BlockKey
    before: BlockKey


@dataclass(frozen=True, slots=True)
class Followed:
    """Where a :class:`Follower` stands, in few bytes: another one goes on from here.

    ``equations`` is the sum of all so far; ``groups`` are those that the watch compares with, each some
    equations; ``keys`` and ``blocks`` the newest blocks; the changes are None where none was seen.
    """

    equations: bytes
    groups: tuple[bytes, ...] = ()
    new_blocks: int = 0
    keys: tuple[BlockKey, ...] = ()
    blocks: bytes = b""
    first_change: Change | None = None
    last_change: Change | None = None


class Follower:
    """Follows drives in their order, for the ``curve`` estimator; what it keeps does not grow with them."""

    def __init__(self, cells: int, solver: CurveSolver, before: Followed | None = None) -> None:
        """``before``: where another one stopped; None: nothing was driven yet."""
        at = Followed(equations_to_bytes(cells, [_nothing(cells)])) if before is None else before
        (self._sum,) = equations_from_bytes(cells, at.equations)
        groups = tuple(equations_from_bytes(cells, group) for group in at.groups)
        self._watch = ChangeWatch(solver, Seen(groups, at.new_blocks))
        newest = zip(at.keys, blocks_from_bytes(at.blocks), strict=True)
        self._newest = deque(newest, maxlen=GROUP_BLOCKS)
        self._cells = cells
        self._first_change, self._last_change = at.first_change, at.last_change

    def add(
        self,
        drive: int,
        blocks: Mapping[int, Integers],
        equations: Sequence[Reduced],
        groups: Groups | None = None,
    ) -> None:
        """The next drive: its blocks by number in the order of time, and the equations of its stretches.

        ``groups`` are those that :func:`complete_groups` made of this drive and its neighbours.
        """
        for number, sums in blocks.items():
            key = BlockKey(drive, number)
            if self._watch.completes_group():
                began = self._watch.changed(CellSums(self._cells, dict(self._newest)), groups)
                if began is not None:
                    self._last_change = Change(began, key)
                    self._first_change = self._first_change or self._last_change
            self._newest.append((key, sums))
        for part in equations:
            self._sum = replace(
                self._sum,
                matrix=self._sum.matrix + part.matrix,
                right=self._sum.right + part.right,
                weight_s=self._sum.weight_s + part.weight_s,
            )

    def stands(self) -> Followed:
        """Where it stands now."""
        cells, seen = self._cells, self._watch.seen()
        return Followed(
            equations_to_bytes(cells, [self._sum]),
            tuple(equations_to_bytes(cells, group) for group in seen.groups),
            seen.new_blocks,
            tuple(key for key, _ in self._newest),
            blocks_to_bytes([sums for _, sums in self._newest]),
            self._first_change,
            self._last_change,
        )


def complete_groups(
    solver: CurveSolver, sums: CellSums, before: int, whole: Mapping[tuple[int, int], Whole]
) -> Groups:
    """The groups of blocks that a :class:`Follower` will look at, as far as all their blocks are in ``sums``.

    ``before``: so many blocks of earlier drives come before these; ``whole`` as the solver takes them.
    """
    keys = sorted(sums.blocks)
    found = {}
    for first in range(-before % GROUP_BLOCKS, len(keys) - GROUP_BLOCKS + 1, GROUP_BLOCKS):
        group = {key: sums.blocks[key] for key in keys[first : first + GROUP_BLOCKS]}
        found[keys[first]] = solver.stretches(CellSums(sums.cells, group), remember=False, whole=whole)
    return found


def summed_equations(cells: int, followed: Followed, said: Sequence[Said]) -> list[Reduced]:
    """Equations that combine to what those of all stretches would, given what each ``said``, in order.

    The sum of all matrices stands in the first; the others add zeros to it.
    """
    (total,) = equations_from_bytes(cells, followed.equations)
    zero = _nothing(cells)
    return [
        replace(
            total if number == 0 else zero,
            answer=each.answer,
            variances=replace(USUAL, drift=each.drift),
        )
        for number, each in enumerate(said)
    ]


def blocks_to_bytes(blocks: Sequence[Integers]) -> bytes:
    """Sums of blocks, bit for bit: about 1.2 kB for half a minute of driving."""
    return pack_integers(np.stack(blocks)) if blocks else b""


def blocks_from_bytes(data: bytes) -> Sequence[Integers]:
    """What :func:`blocks_to_bytes` made."""
    return list(unpack_integers(data)) if data else []


def _nothing(cells: int) -> Reduced:
    return Reduced(
        np.zeros((cells + 1, cells + 1)), np.zeros((cells + 1, 2)), np.zeros(cells), USUAL, LoopAnswer()
    )

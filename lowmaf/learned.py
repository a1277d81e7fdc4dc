"""What was learned so far, and what of it counts: drives, epochs, windows, earlier tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lowmaf.cells import BLOCK_S, BlockKey, CellSums
from lowmaf.change_detection import ChangeWatch
from lowmaf.estimate import Estimator, Evidence
from lowmaf.levels import Reduced
from lowmaf.maf_table import MafTable
from lowmaf.rebase import rebase
from lowmaf.settings import CurveSettings
from lowmaf.solve import stretch_of
from lowmaf.windows import Integers

KEPT_BLOCKS = 480
"""The newest four hours stay block by block, for the held-out check; what is older is collapsed."""


class Learned:
    """Sums of one table's drives, and what earlier tables have taught.

    ``epoch`` counts from 1; of what was driven, blocks from ``epoch_start`` on count.
    """

    def __init__(
        self, table: MafTable, settings: CurveSettings, estimator: Estimator, *, only_sums: bool = False
    ) -> None:
        """``only_sums``: no look for changes, and all blocks are kept; others do the rest with them."""
        self._only_sums = only_sums
        self.sums = CellSums(table.cells)
        self.epoch = 1
        self.epoch_start = BlockKey(0, 0)
        self._table = table
        self._estimator = estimator
        self._window_s = settings.window_h * 3600.0
        self._window_drives = settings.window_drives
        self._carried: list[Reduced] = []
        self._collapsed: dict[int, list[Reduced]] = {}
        self._watch = ChangeWatch(estimator.solver)
        self._changed: set[BlockKey] = set()

    def add(self, key: BlockKey, sums: Integers) -> BlockKey | None:
        """Adds to a block. Returns where the air path changed, if that is seen now, else None.

        The look for a change is made before a block begins, all before it being complete.
        """
        began = None
        if key not in self.sums.blocks:
            if self._estimator.name == "curve" and not self._only_sums:
                began = self._watch.before_block(self.sums)
            self.collapse_old()
        self.sums.add(key, sums)
        self._changed.add(key)
        return began

    def take_changed(self) -> dict[BlockKey, Integers]:
        """Blocks that changed since the last call."""
        changed = {key: self.sums.blocks[key] for key in sorted(self._changed) if key in self.sums.blocks}
        self._changed = set()
        return changed

    def restore(self, drive: int, blocks: Mapping[int, Integers]) -> None:
        """Takes over the kept sums of an earlier drive; blocks from before the epoch are left out."""
        for block, sums in blocks.items():
            if (key := BlockKey(drive, block)) >= self.epoch_start:
                self.sums.add(key, sums)
        self.collapse_old()

    def take_merged(self, total: Integers, equations: Sequence[Reduced]) -> None:
        """Takes over what drives that were read elsewhere add up to: their sums and, in order, equations."""
        sums = CellSums(self._table.cells)
        sums.add(BlockKey(0, 0), total)
        sums.collapse([BlockKey(0, 0)])
        self.sums = self.sums + sums
        self._collapsed.setdefault(0, []).extend(equations)

    def take_drive(self, other: Learned, drive: int) -> None:
        """Takes over what ``other`` has of a drive, with which of its blocks have changed."""
        self.sums = self.sums + other.sums.of_drive(drive)
        if drive in other._collapsed:
            self._collapsed[drive] = other._collapsed[drive]
        self._changed |= {key for key in other._changed if key.drive == drive}

    def begin_epoch(self, start: BlockKey) -> None:
        """Starts a new epoch: of what was learned only the blocks from ``start`` on count."""
        kept = {key: sums for key, sums in self.sums.blocks.items() if key >= start}
        self.sums = CellSums(self._table.cells, kept)
        self._carried = []
        self._collapsed = {}
        self.epoch += 1
        self.epoch_start = start

    def carry_over(self, before: Learned) -> None:
        """Takes over what ``before`` learned with the MAF table that this one's table replaced.

        Raises:
            MafTableError: one of the tables has no flow.
        """
        evidence = before.evidence()
        stretches = before._estimator.stretches(evidence.sums)
        learned = [*evidence.carried, *evidence.collapsed, *stretches]
        self._carried = [rebase(reduced, before._table, self._table) for reduced in learned]

    def evidence(self) -> Evidence:
        """What counts now, in the order it was learned."""
        return Evidence(
            self.counting(self.sums),
            [part for drive in sorted(self._collapsed) for part in self._collapsed[drive]],
            self._carried,
        )

    def counting(self, sums: CellSums) -> CellSums:
        """The part of sums inside the rolling window."""
        return sums.newest(self._window_s, self._window_drives) if self._has_window() else sums

    def newest_blocks(self, sums: CellSums) -> CellSums:
        """The counting ones of the newest :data:`KEPT_BLOCKS`, whatever else is still kept block by block."""
        return self.counting(sums).newest(KEPT_BLOCKS * BLOCK_S, math.inf)

    def collapse_old(self) -> None:
        """Keeps the single blocks of the newest hours only: a block takes 7 kB, a year of driving 300 MB.

        Older ones go by stretch, so what they say of the table stays exactly as it was, also when a
        drive is left out. Blocks that were not yet taken by :meth:`take_changed` stay.
        """
        if self._estimator.name != "curve" or self._has_window() or self._only_sums:
            return
        while len(self.sums.blocks) > KEPT_BLOCKS:
            keys = sorted(self.sums.blocks)
            stretch = [key for key in keys if stretch_of(key) == stretch_of(keys[0])]
            if len(keys) - len(stretch) < KEPT_BLOCKS or not self._changed.isdisjoint(stretch):
                return
            reduced = self._estimator.stretches(self.sums.collapse(stretch), remember=False)
            self._collapsed.setdefault(keys[0].drive, []).extend(reduced)

    def _has_window(self) -> bool:
        return math.isfinite(self._window_s) or math.isfinite(self._window_drives)

"""What the samples of each drive are like, so that one that no longer counts takes its warnings along."""

from __future__ import annotations

from collections.abc import Collection
from functools import reduce
from operator import add

from lowmaf.stream_statistics import StreamStatistics


class DriveStatistics:
    """Statistics by drive. All drives count until :meth:`count_only` says which."""

    def __init__(self) -> None:
        self._of: dict[int, StreamStatistics] = {}
        self._left_out: frozenset[int] = frozenset()

    def of(self, drive: int) -> StreamStatistics:
        """Those of one drive, to be added to."""
        return self._of.setdefault(drive, StreamStatistics())

    def add(self, drive: int, statistics: StreamStatistics) -> None:
        """Takes over what was seen of a drive elsewhere."""
        self._of[drive] = self.of(drive) + statistics

    def count_only(self, drives: Collection[int]) -> None:
        """Leaves out all drives of now but these; one that was left out comes back with what it had."""
        self._left_out = frozenset(self._of).difference(drives)

    def total(self) -> StreamStatistics:
        """Those of all drives that count together."""
        counted = (found for drive, found in self._of.items() if drive not in self._left_out)
        return reduce(add, counted, StreamStatistics())

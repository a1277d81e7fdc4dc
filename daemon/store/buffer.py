"""What waits to be written: bounded, and kept when a commit fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lowmaf.samples import SampleBatch

MAX_PENDING_SAMPLES = 60_000
"""20 minutes at 50 samples per second, 7 MB: how long a full disk may last before samples are lost."""

Statement = tuple[str, tuple[Any, ...]]


@dataclass(slots=True)
class PendingWrites:
    """Statements in their order; samples in their order, the oldest dropped first; the newest state
    of each block and of each session's counts. ``dropped`` counts samples that are lost."""

    statements: list[Statement] = field(default_factory=list)
    samples: deque[tuple[int, SampleBatch]] = field(default_factory=deque)
    sample_count: int = 0
    blocks: dict[tuple[int, int], bytes] = field(default_factory=dict)
    counts: dict[int, Mapping[str, int]] = field(default_factory=dict)
    dropped: int = 0

    def add_samples(self, session: int, batch: SampleBatch) -> None:
        """Adds a batch, which is never dropped itself for being large."""
        self.samples.append((session, batch))
        self.sample_count += len(batch)
        self._drop_oldest()

    def take(self, *, with_samples: bool, with_cells: bool = True) -> PendingWrites:
        """What is to be written now; it is no longer held here."""
        taken = PendingWrites(self.statements)
        self.statements = []
        if with_cells:
            taken.blocks, taken.counts = self.blocks, self.counts
            self.blocks, self.counts = {}, {}
        if with_samples:
            taken.samples, taken.sample_count = self.samples, self.sample_count
            self.samples, self.sample_count = deque(), 0
        return taken

    def put_back(self, taken: PendingWrites) -> None:
        """Takes back what could not be written: it goes before what came since."""
        self.statements = taken.statements + self.statements
        self.blocks = taken.blocks | self.blocks
        self.counts = taken.counts | self.counts
        self.samples.extendleft(reversed(taken.samples))
        self.sample_count += taken.sample_count
        self._drop_oldest()

    def __bool__(self) -> bool:
        return bool(self.statements or self.samples or self.blocks or self.counts)

    def _drop_oldest(self) -> None:
        while self.sample_count > MAX_PENDING_SAMPLES and len(self.samples) > 1:
            _, batch = self.samples.popleft()
            self.sample_count -= len(batch)
            self.dropped += len(batch)

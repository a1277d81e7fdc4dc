"""What adds up in any order, in few bytes, for the tree of merges across workers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lowmaf.merging import ExactSums, blocks_from_bytes, blocks_to_bytes


@dataclass(frozen=True, slots=True)
class PackedSums:
    """Sums of several logs as they travel: ``total`` packed to a fifth, and ``rest`` without it."""

    total: bytes
    rest: ExactSums

    @classmethod
    def of(cls, parts: Sequence[ExactSums]) -> PackedSums:
        """What these add up to; there is at least one."""
        added = functools.reduce(lambda one, other: one + other, parts)
        return cls(blocks_to_bytes([added.total]), replace(added, total=added.total[:0]))

    def unpacked(self) -> ExactSums:
        """The sums, bit for bit."""
        (total,) = blocks_from_bytes(self.total)
        return replace(self.rest, total=total)

"""What every recorded drive can do, whatever it was recorded by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from drivers.logs.summary import LogSummary
from lowmaf.samples import SampleBatch


class RecordedDrive(Protocol):
    """What can be read once, as batches, and then summed up."""

    name: str

    @property
    def progress(self) -> tuple[int, int | None]:
        """How much was read so far, and of how much; None where that is not known."""
        ...

    @property
    def summary(self) -> LogSummary: ...

    def batches(self) -> Iterator[SampleBatch]:
        """The samples in their order. Raises LogUnreadableError where there can be no table."""
        ...

"""Any recorded drive, opened by what it is: a text log, or a recording of a CAN bus."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from drivers.logs.can_sniff import can_format
from drivers.logs.reader import LogReader
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


def open_log(
    source: Path | BinaryIO,
    name: str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    require_flag: bool = False,
    decimal_comma: bool | None = None,
    channels: Collection[str] | None = None,
) -> RecordedDrive:
    """A recorded drive; the arguments are those of :class:`LogReader`. Nothing is read yet but its start.

    What decodes CAN is loaded only where it is needed.
    """
    kind = can_format(source) if isinstance(source, Path) else None
    if kind is not None:
        module = importlib.import_module("drivers.logs.can_recording")
        return cast(RecordedDrive, module.CanRecording(source, kind, name, require_flag=require_flag))
    return LogReader(
        source,
        name,
        columns=columns,
        require_flag=require_flag,
        decimal_comma=decimal_comma,
        channels=channels,
    )

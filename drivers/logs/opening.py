"""Any recorded drive, opened by what it is: a text log, a CAN recording, or a raw recording of a link."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from drivers.logs.can_sniff import can_format
from drivers.logs.finer_volts import FinerVolts
from drivers.logs.limits import DEFAULT_LIMITS, LogLimits
from drivers.logs.peeked import peeked
from drivers.logs.reader import LogReader
from drivers.logs.recorded_drive import RecordedDrive
from drivers.logs.text_source import READ_BYTES
from drivers.recording import is_recording
from lowmaf.maf_table import MafTable

if TYPE_CHECKING:
    from drivers.dbc_signals import SignalMap


def open_log(
    source: Path | BinaryIO,
    name: str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    require_flag: bool = False,
    decimal_comma: bool | None = None,
    channels: Collection[str] | None = None,
    maf_table: MafTable | None = None,
    signals: SignalMap | None = None,
    read_bytes: int = READ_BYTES,
    limits: LogLimits = DEFAULT_LIMITS,
) -> RecordedDrive:
    """A recorded drive; the arguments are those of :class:`LogReader`. Nothing is read yet but its start.

    With a ``maf_table`` that has flow, coarse MAF volts are refined where the log has finer g/s.
    What decodes CAN is loaded only where it is needed; with ``signals`` a CAN recording is one of an ECU
    that broadcasts, without one of a tester that asks. A raw recording of ours gives the samples that
    it gave live, as they are.
    """
    if isinstance(source, Path) and source.is_file() and is_recording(source):
        module = importlib.import_module("drivers.logs.raw_recording")
        return cast(RecordedDrive, module.RawRecording(source, name, require_flag=require_flag))
    start, source = peeked(source)
    kind = can_format(start)
    drive: RecordedDrive
    if kind is not None and signals is not None:
        module = importlib.import_module("drivers.logs.broadcast_recording")
        drive = cast(RecordedDrive, module.BroadcastRecording(source, kind, signals, name, limits=limits))
    elif kind is not None:
        module = importlib.import_module("drivers.logs.can_recording")
        drive = cast(
            RecordedDrive, module.CanRecording(source, kind, name, require_flag=require_flag, limits=limits)
        )
    else:
        drive = LogReader(
            source,
            name,
            columns=columns,
            require_flag=require_flag,
            decimal_comma=decimal_comma,
            channels=channels,
            read_bytes=read_bytes,
            limits=limits,
        )
    if maf_table is None or maf_table.flow_gs is None:
        return drive
    return FinerVolts(drive, maf_table)

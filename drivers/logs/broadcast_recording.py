"""A recording of a CAN bus on which an ECU broadcasts, decoded as the live driver decodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from drivers.batches import batch_of
from drivers.broadcast_samples import BroadcastSamples, HoldRules
from drivers.dbc_signals import SignalMap
from drivers.logs.can_frames import RecordedFrames
from drivers.logs.can_sniff import CanFormat
from drivers.logs.engine_watch import EngineWatch
from drivers.logs.errors import LogUnreadableError
from drivers.logs.limits import DEFAULT_LIMITS, LogLimits
from drivers.logs.row_tally import RowTally
from drivers.logs.summary import LogSummary
from lowmaf.samples import SampleBatch

_AT_ONCE = 2000


class BroadcastRecording:
    """One recording, read once in flat memory; see :class:`drivers.logs.recorded_drive.RecordedDrive`."""

    def __init__(
        self,
        source: Path | BinaryIO,
        kind: CanFormat,
        signals: SignalMap,
        name: str | None = None,
        *,
        limits: LogLimits = DEFAULT_LIMITS,
    ) -> None:
        self.name = name or (source.name if isinstance(source, Path) else "stdin")
        self._recorded = RecordedFrames(source, kind, self.name, limits)
        self._signals = signals
        self._samples = BroadcastSamples(signals, HoldRules())
        self._tally = RowTally()
        self._frames = 0
        self._met: set[tuple[int, bool]] = set()

    @property
    def progress(self) -> tuple[int, int | None]:
        """Samples so far; how many there are is not known before the end."""
        return self._tally.rows, None

    @property
    def summary(self) -> LogSummary:
        """What was met so far; complete after the last batch."""
        unusable = {"frames that do not decode": self._samples.bad_frames}
        return LogSummary(
            name=self.name,
            format=str(self._recorded.kind),
            encoding=self._samples.words,
            rows=self._tally.rows,
            unusable={reason: count for reason, count in unusable.items() if count},
            columns=self._signals.names,
            converted=(),
            inferred=(),
            warnings=tuple(filter(None, (self._recorded.ended_early, self._never_met()))),
            gaps=self._tally.gaps,
            sample_rate_hz=self._tally.rate_hz,
            duration_s=self._tally.last_s,
        )

    def batches(self) -> Iterator[SampleBatch]:
        """The samples in the order of the recording.

        Raises:
            LogUnreadableError: no frame with the air flow, or an engine that never ran.
        """
        watch = EngineWatch()
        with closing(self._recorded):
            yield from watch.running(self._batches())
        if not self._tally.rows:
            met = f"{self._frames} frames, none of them with the air flow"
            raise LogUnreadableError(self.name, self._recorded.ended_early or f"{met}: {self._never_met()}")
        if not watch.alive:
            raise LogUnreadableError(self.name, watch.reason(dict(self._signals.names)))

    def _batches(self) -> Iterator[SampleBatch]:
        rows = self._rows()
        origin_s: float | None = None
        while part := list(islice(rows, _AT_ONCE)):
            if origin_s is None:
                origin_s = part[0][0]
            times = [at_s - origin_s for at_s, _ in part]
            batch = batch_of(times, self._samples.channels, [row for _, row in part])
            self._tally.count(batch)
            yield batch

    def _rows(self) -> Iterator[tuple[float, list[float]]]:
        with self._recorded.frames() as frames:
            for frame in frames:
                self._frames += 1
                if frame.is_error_frame or frame.is_remote_frame:
                    continue
                identifier = frame.arbitration_id, frame.is_extended_id
                self._met.add(identifier)
                row = self._samples.take(identifier, bytes(frame.data), frame.timestamp)
                if row is not None:
                    yield frame.timestamp, row

    def _never_met(self) -> str:
        """Which of the messages that are wanted the recording does not have."""
        missing = [
            f"{message.message.name} ({number:X})"
            for (number, extended), message in self._signals.messages.items()
            if (number, extended) not in self._met
        ]
        return f"messages that never come: {', '.join(missing)}" if missing else ""

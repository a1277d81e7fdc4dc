"""A recording of a CAN bus on which a tester polled an ECU, as a stream of sample batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from drivers.batches import batch_of
from drivers.logs.can_frames import RecordedFrames
from drivers.logs.can_sniff import CanFormat
from drivers.logs.diagnostic_traffic import DiagnosticTraffic
from drivers.logs.engine_watch import EngineWatch
from drivers.logs.errors import LogUnreadableError
from drivers.logs.limits import DEFAULT_LIMITS, LogLimits
from drivers.logs.row_tally import RowTally
from drivers.logs.summary import LogSummary
from drivers.logs.traffic_samples import Row, Samples, Survey, first_that_gives_samples
from lowmaf.samples import SampleBatch

_AT_ONCE = 2000


class CanRecording:
    """One recording, read twice in flat memory: what it holds, then its samples. Never changed.

    ``name`` is what it is called in messages; ``require_flag`` refuses one without the loop's state.
    """

    def __init__(
        self,
        source: Path | BinaryIO,
        kind: CanFormat,
        name: str | None = None,
        *,
        require_flag: bool = False,
        limits: LogLimits = DEFAULT_LIMITS,
    ) -> None:
        self.name = name or (source.name if isinstance(source, Path) else "stdin")
        self._recorded = RecordedFrames(source, kind, self.name, limits)
        self._require_flag = require_flag
        self._traffic = DiagnosticTraffic()
        self._samples: Samples | None = None
        self._tally = RowTally()
        self._passes_done = 0

    @property
    def progress(self) -> tuple[int, int | None]:
        """Passes over the recording that are done, of two: its readers do not say where they are."""
        return self._passes_done, 2

    @property
    def summary(self) -> LogSummary:
        """What was recognised and met; complete after the last batch.

        Raises:
            LogUnreadableError: nothing was recognised yet.
        """
        if self._samples is None:
            raise LogUnreadableError(self.name, "nothing was read yet")
        unusable = {"frames that broke a transfer": self._traffic.bad_frames}
        return LogSummary(
            name=self.name,
            format=str(self._recorded.kind),
            encoding=self._samples.words,
            rows=self._tally.rows,
            unusable={reason: count for reason, count in unusable.items() if count},
            columns=dict.fromkeys(self._samples.channels, self._samples.protocol),
            converted=(),
            inferred=(),
            warnings=tuple(filter(None, (self._recorded.ended_early,))),
            gaps=self._tally.gaps,
            sample_rate_hz=self._tally.rate_hz,
            duration_s=self._tally.last_s,
        )

    def batches(self) -> Iterator[SampleBatch]:
        """The samples in the order of the recording.

        Raises:
            LogUnreadableError: no diagnostic traffic that gives samples, or an engine that never ran.
        """
        with closing(self._recorded):
            yield from self._read()

    def _read(self) -> Iterator[SampleBatch]:
        with self._recorded.frames() as frames:
            survey, found = first_that_gives_samples(self._traffic.exchanges(frames))
        self._passes_done = 1
        if found is None:
            raise LogUnreadableError(self.name, self._what_it_lacks(survey))
        ecu, self._samples = found
        if self._require_flag and "fuel_loop" not in self._samples.channels:
            raise LogUnreadableError(
                self.name, "the tester did not ask for the state of the fuel loop, which --require-flag needs"
            )
        watch = EngineWatch()
        yield from watch.running(self._batches(ecu, self._samples))
        self._passes_done = 2
        if not watch.alive:
            raise LogUnreadableError(self.name, watch.reason(self.summary.columns))

    def _batches(self, ecu: int, samples: Samples) -> Iterator[SampleBatch]:
        self._traffic = DiagnosticTraffic()
        rows = self._rows(ecu, samples)
        origin_s: float | None = None
        while part := list(islice(rows, _AT_ONCE)):
            if origin_s is None:
                origin_s = part[0][0]
            batch = batch_of(
                [at_s - origin_s for at_s, _ in part], samples.channels, [row for _, row in part]
            )
            self._tally.count(batch)
            yield batch

    def _rows(self, ecu: int, samples: Samples) -> Iterator[Row]:
        with self._recorded.frames() as frames:
            for exchange in self._traffic.exchanges(frames):
                if exchange.ecu_id == ecu:
                    yield from samples.take(exchange)
        yield from samples.finish()

    def _what_it_lacks(self, survey: Survey) -> str:
        answered = survey.words()
        if self._traffic.frames == 0:
            return self._recorded.ended_early or "the recording holds no frames"
        if answered:
            return (
                f"an ECU answered {answered}, but not short-term trim together with air flow: "
                "record while SSM or OBD-II PIDs 06 and 10 are polled"
            )
        met = f"{self._traffic.frames} of {len(self._traffic.identifiers)} identifiers"
        return (
            f"only broadcast frames ({met}), and nobody asks an ECU: name a DBC file that describes them "
            "(--dbc), or record while a tester polls SSM or OBD-II on 7E0 and 7E8"
        )

"""A recording of a CAN bus on which a tester polled an ECU, as a stream of sample batches."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import can
from can.io.blf import BLFParseError
from can.io.generic import MessageReader

from drivers.batches import batch_of
from drivers.logs.can_sniff import CanFormat
from drivers.logs.diagnostic_traffic import DiagnosticTraffic
from drivers.logs.engine_watch import EngineWatch
from drivers.logs.errors import LogUnreadableError
from drivers.logs.sampling import GAP_S
from drivers.logs.summary import LogSummary
from drivers.logs.traffic_samples import Row, Samples, Survey, first_that_gives_samples
from lowmaf.samples import SampleBatch

_READERS = {
    CanFormat.CANDUMP: can.CanutilsLogReader,
    CanFormat.ASC: can.ASCReader,
    CanFormat.BLF: can.BLFReader,
    CanFormat.TRC: can.TRCReader,
    CanFormat.MF4: can.MF4Reader,
    CanFormat.CSV: can.CSVReader,
}
_AT_ONCE = 2000
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, EOFError, OverflowError, AssertionError,
           NotImplementedError, struct.error, zlib.error, can.CanError, BLFParseError)  # fmt: skip
"""What python-can's readers raise on bytes that are not what they expect."""


class CanRecording:
    """One recording, read twice in flat memory: what it holds, then its samples. Never changed.

    ``name`` is what it is called in messages; ``require_flag`` refuses one without the loop's state.
    """

    def __init__(
        self, source: Path, kind: CanFormat, name: str | None = None, *, require_flag: bool = False
    ) -> None:
        self.name = name or source.name
        self._source = source
        self._kind = kind
        self._require_flag = require_flag
        self._traffic = DiagnosticTraffic()
        self._samples: Samples | None = None
        self._ended_early = ""
        self._counted = 0
        self._gaps = 0
        self._driven_s = 0.0
        self._last_s: float | None = None
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
            format=str(self._kind),
            encoding=self._samples.words,
            rows=self._counted,
            unusable={reason: count for reason, count in unusable.items() if count},
            columns=dict.fromkeys(self._samples.channels, self._samples.protocol),
            converted=(),
            inferred=(),
            warnings=(self._ended_early,) if self._ended_early else (),
            gaps=self._gaps,
            sample_rate_hz=(self._counted - 1 - self._gaps) / self._driven_s if self._driven_s else None,
            duration_s=self._last_s,
        )

    def batches(self) -> Iterator[SampleBatch]:
        """The samples in the order of the recording.

        Raises:
            LogUnreadableError: no diagnostic traffic that gives samples, or an engine that never ran.
        """
        with self._frames() as frames:
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
            self._count(batch)
            yield batch

    def _rows(self, ecu: int, samples: Samples) -> Iterator[Row]:
        with self._frames() as frames:
            for exchange in self._traffic.exchanges(frames):
                if exchange.ecu_id == ecu:
                    yield from samples.take(exchange)
        yield from samples.finish()

    def _count(self, batch: SampleBatch) -> None:
        for t_s in batch.t_s.tolist():
            step_s = 0.0 if self._last_s is None else t_s - self._last_s
            if step_s > GAP_S:
                self._gaps += 1
            else:
                self._driven_s += step_s
            self._last_s = t_s
        self._counted += len(batch)

    @contextmanager
    def _frames(self) -> Iterator[Iterator[can.Message]]:
        """The frames of the recording; it ends at the first damage, which :attr:`summary` tells."""
        reader = self._opened()
        try:
            yield self._until_damage(iter(reader))
        finally:
            reader.stop()

    def _opened(self) -> MessageReader:
        try:
            reader: MessageReader = _READERS[self._kind](self._source)
        except OSError as error:
            raise LogUnreadableError(self.name, f"cannot be read: {error.strerror or error}") from error
        except NotImplementedError as error:
            raise LogUnreadableError(
                self.name,
                "MF4 recordings need the Python package asammdf, which is not installed; "
                "other formats (BLF, ASC, TRC, candump) need nothing",
            ) from error
        except _DAMAGE as error:
            words = " ".join(str(error).split()) or type(error).__name__
            raise LogUnreadableError(self.name, f"this is no {self._kind} recording: {words[:80]}") from error
        return reader

    def _until_damage(self, frames: Iterator[can.Message]) -> Iterator[can.Message]:
        while True:
            try:
                frame = next(frames)
            except StopIteration:
                return
            except _DAMAGE as error:
                words = " ".join(str(error).split()) or type(error).__name__
                self._ended_early = f"the recording is damaged ({words[:80]}): what came before was read"
                return
            yield frame

    def _what_it_lacks(self, survey: Survey) -> str:
        answered = survey.words()
        if self._traffic.frames == 0:
            return self._ended_early or "the recording holds no frames"
        if answered:
            return (
                f"an ECU answered {answered}, but not short-term trim together with air flow: "
                "record while SSM or OBD-II PIDs 06 and 10 are polled"
            )
        met = f"{self._traffic.frames} of {len(self._traffic.identifiers)} identifiers"
        met = f"{self._traffic.frames} of {len(self._traffic.identifiers)} identifiers"
        return (
            f"only broadcast frames ({met}), and nobody asks an ECU: record while a tester polls SSM or "
            "OBD-II on 7E0 and 7E8"
        )

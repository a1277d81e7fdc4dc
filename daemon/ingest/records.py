"""NDJSON to samples: one JSON object per line, with the names that logs give their columns, or ours.

Only the fields that are channels are decoded. A line that is no such record is left out, counted, and named.
"""

from __future__ import annotations

from collections.abc import Sequence

from daemon.ingest.decoding import LineDecoder
from daemon.ingest.fields import RecordFields, RecordLayouts, names_in
from daemon.ingest.gathered import GatheredRecords
from daemon.ingest.lines import WholeLines
from drivers.logs.limits import DEFAULT_LIMITS
from drivers.logs.sampling import Sampler
from lowmaf.samples import SampleBatch
from web.ingest_desk import InvalidRecord, SamplesUnusableError

DECODED_TOGETHER_BYTES = 1 << 19
"""So much of a body is decoded at once, more than a connection gives in one piece; what the fields are is
found from the first such part."""
SAMPLED_TOGETHER = 4096
"""So many records make a batch of samples: what a batch costs is shared by them."""


class RecordReader:
    """The records of one body, fed as they arrive. ``valid`` and ``invalid`` count them."""

    def __init__(self, layouts: RecordLayouts, longest_line: int = DEFAULT_LIMITS.line_bytes) -> None:
        self.bytes = 0
        self.valid = 0
        self._layouts = layouts
        self._lines = WholeLines(longest_line)
        self._decoder = LineDecoder(longest_line)
        self._arrived: list[bytes] = []
        self._arrived_bytes = 0
        self._gathered: GatheredRecords | None = None
        self._fields: RecordFields | None = None
        self._sampler: Sampler | None = None

    @property
    def invalid(self) -> int:
        """Lines that are no record."""
        return self._decoder.invalid.count

    @property
    def first_invalid(self) -> Sequence[InvalidRecord]:
        """The first of those."""
        return self._decoder.invalid.first

    @property
    def inferred(self) -> Sequence[str]:
        """What had to be concluded because the records do not say it."""
        return () if self._fields is None else self._fields.layout.inferred

    @property
    def warnings(self) -> Sequence[str]:
        """What the owner should know of how the records are read."""
        return () if self._fields is None else self._fields.layout.warnings

    def feed(self, chunk: bytes) -> SampleBatch | None:
        """Takes more of the body; the samples that are ready, if any.

        Raises:
            SamplesUnusableError: the records lack what a table needs.
        """
        self.bytes += len(chunk)
        self._arrived.append(chunk)
        self._arrived_bytes += len(chunk)
        if self._arrived_bytes < DECODED_TOGETHER_BYTES:
            return None
        self._read_arrived()
        ready = self._gathered is not None and len(self._gathered) >= SAMPLED_TOGETHER
        return self._sampled() if ready else None

    def finish(self) -> list[SampleBatch]:
        """The rest of the samples, in one batch: nothing follows. Raises what :meth:`feed` raises."""
        self._read_arrived()
        self._take(self._lines.rest())
        last = self._sampled()
        if self._sampler is None:
            raise SamplesUnusableError(
                "the body is empty: one JSON object per line is needed"
                if not self.invalid
                else f"none of {self.invalid} lines is a record: line {self.first_invalid[0].line}: "
                f"{self.first_invalid[0].error}",
                first_invalid=[{"line": bad.line, "error": bad.error} for bad in self.first_invalid],
            )
        rest = [batch for batch in (last, self._sampler.finish()) if batch is not None]
        return [SampleBatch.concatenate(rest)] if len(rest) > 1 else rest

    # ---- inside

    def _read_arrived(self) -> None:
        arrived = self._arrived[0] if len(self._arrived) == 1 else b"".join(self._arrived)
        self._arrived, self._arrived_bytes = [], 0
        lines = self._lines.feed(arrived)
        if lines is not None:
            self._take(lines)

    def _take(self, lines: bytes) -> None:
        """Reads whole lines. What their fields are is found from the first that have some."""
        if self._fields is None:
            self._fields = self._layouts.known(lines)
            if self._fields is None and (names := names_in(lines)):
                self._fields = self._layouts.found(names, lines)
            if self._fields is not None:
                self._sampler = Sampler(self._fields.layout)
                self._gathered = GatheredRecords(self._fields)
        records = self._decoder.decode(lines, self._fields)
        if self._gathered is not None:
            self._gathered.add(records)

    def _sampled(self) -> SampleBatch | None:
        """The samples of the records so far; the last stamp's wait for the next one."""
        gathered, self._gathered = self._gathered, None
        if self._fields is None or self._sampler is None or not gathered:
            return None
        self._gathered = GatheredRecords(self._fields)
        self.valid += len(gathered)
        return self._sampler.take(gathered, self._fields.layout)

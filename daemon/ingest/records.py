"""NDJSON to samples: one JSON object per line, with the names that logs give their columns, or ours.

Only the fields that are channels are decoded. A line that is no such record is left out, counted, and named.
"""

from __future__ import annotations

import contextlib
from array import array
from collections import Counter
from collections.abc import Sequence
from math import isfinite, nan
from typing import Any

import numpy as np

from daemon.ingest.fields import OBJECT, UNDECODABLE, RecordFields, RecordLayouts, names_in, seconds_of
from daemon.ingest.lines import LONGEST_LINE, OVERLONG, WholeLines
from drivers.logs.fuel_loop import code_of_text
from drivers.logs.rows import Cells, ReadWord, number_of
from drivers.logs.sampling import Sampler
from lowmaf.samples import Floats, SampleBatch
from web.ingest_desk import InvalidRecord, SamplesUnusableError

HEAD_BYTES = 1 << 18
"""What the fields are is found from so much of the body, as with recorded logs."""
SAMPLED_TOGETHER = 4096
"""So many records make a batch of samples: what a batch costs is shared by them."""

_TOGETHER_BYTES = 8000
"""Lines that are decoded at once, which is twice as fast; where one of them is invalid, one by one."""
NAMED_INVALID = 10
_LONGEST_WORDS = 200
_OVERLONG_WORDS = f"longer than {LONGEST_LINE} bytes"


class RecordReader:
    """The records of one body, fed as they arrive. ``valid`` and ``invalid`` count them."""

    def __init__(self, layouts: RecordLayouts) -> None:
        self.bytes = 0
        self.valid = 0
        self.invalid = 0
        self.first_invalid: list[InvalidRecord] = []
        self._layouts = layouts
        self._lines = WholeLines()
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._line = 0
        self._gathered: _Gathered | None = None
        self._fields: RecordFields | None = None
        self._sampler: Sampler | None = None

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
        lines = self._lines.feed(chunk)
        if lines is not None:
            self._take(lines, least_bytes=HEAD_BYTES)
        ready = self._gathered is not None and len(self._gathered) >= SAMPLED_TOGETHER
        return self._sampled() if ready else None

    def finish(self) -> list[SampleBatch]:
        """The rest of the samples: nothing follows. Raises what :meth:`feed` raises."""
        self._take(self._lines.rest(), least_bytes=0)
        last = self._sampled()
        if self._sampler is None:
            raise SamplesUnusableError(
                "the body is empty: one JSON object per line is needed"
                if not self.invalid
                else f"none of {self.invalid} lines is a record: line {self.first_invalid[0].line}: "
                f"{self.first_invalid[0].error}",
                first_invalid=[{"line": bad.line, "error": bad.error} for bad in self.first_invalid],
            )
        return [batch for batch in (last, self._sampler.finish()) if batch is not None]

    # ---- inside

    def _take(self, lines: bytes, *, least_bytes: int) -> None:
        """Reads lines as soon as the fields are known: at once if others had the same, else from a head."""
        if self._fields is None:
            self._head.append(lines)
            self._head_bytes += len(lines)
            lines = b"".join(self._head)
            names = names_in(lines)
            self._fields = self._layouts.known(names)
            if self._fields is None and self._head_bytes < least_bytes:
                return
            if self._fields is None and names:
                self._fields = self._layouts.found(names, lines)
            self._head = []
            if self._fields is not None:
                self._sampler = Sampler(self._fields.layout)
                self._gathered = _Gathered(self._fields)
        self._read(lines)

    def _read(self, block: bytes) -> None:
        """Decodes whole lines: some at once, which is twice as fast, one by one where one of them is bad."""
        fields = self._fields
        begin = 0
        while begin < len(block):
            end = block.find(b"\n", begin + _TOGETHER_BYTES) + 1 or len(block)
            lines = block[begin:end]
            begin = end
            count = lines.count(b"\n") + (not lines.endswith(b"\n"))
            several: list[Any] = []
            if fields is not None and fields.time_is_number:
                with contextlib.suppress(*UNDECODABLE):
                    several = fields.decoder.decode_lines(lines)
            if len(several) != count:
                several = self._one_by_one(fields, lines)
            if self._gathered is not None:
                self._gathered.add(several)
            self._line += count

    def _sampled(self) -> SampleBatch | None:
        """The samples of the records so far; the last stamp's wait for the next one."""
        gathered, self._gathered = self._gathered, None
        if self._fields is None or self._sampler is None or not gathered:
            return None
        self._gathered = _Gathered(self._fields)
        self.valid += len(gathered)
        return self._sampler.take(gathered, self._fields.layout)

    def _one_by_one(self, fields: RecordFields | None, lines: bytes) -> list[Any]:
        decoder = OBJECT if fields is None else fields.decoder
        records: list[Any] = []
        for number, line in enumerate(lines.split(b"\n"), start=self._line + 1):
            try:
                record: Any = decoder.decode(line)
            except UNDECODABLE as error:
                if line.strip():
                    self._refuse(number, _OVERLONG_WORDS if line == OVERLONG else _words(error))
                continue
            if fields is None:
                self._refuse(number, "it has no fields")
            elif fields.time_is_number or fields.has_time(record):
                records.append(record)
            else:
                self._refuse(number, "its time cannot be read")
        return records

    def _refuse(self, line: int, error: str) -> None:
        self.invalid += 1
        if len(self.first_invalid) < NAMED_INVALID:
            self.first_invalid.append(InvalidRecord(line, error[:_LONGEST_WORDS]))


class _Gathered:
    """Records as the sampler takes rows: a column is the field of all of them, by the field's index.

    They are kept as plain doubles: thousands of records as objects would cost more than decoding them.
    """

    def __init__(self, fields: RecordFields) -> None:
        self._fields = fields
        self._columns = [array("d") for _ in fields.indices]
        self._from_word: set[int] = set()
        self._periods: dict[int, float] = {}
        self._lost: Counter[int] = Counter()
        self.unusable: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._columns[0])

    def add(self, records: Sequence[Any]) -> None:
        """Takes more records."""
        before = len(self)
        try:
            for column, value_of in zip(self._columns, self._fields.value_of, strict=True):
                column.extend(map(value_of, records))
        except TypeError:  # a null or a word
            for column in self._columns:
                del column[before:]
            for record in records:
                self._add_with_words(record)

    def _add_with_words(self, record: Any) -> None:
        row = len(self)
        for column, index, value_of in zip(
            self._columns, self._fields.indices, self._fields.value_of, strict=True
        ):
            column.append(self._number(row, index, value_of(record)))

    def _number(self, row: int, index: int, value: float | str | None) -> float:
        if value is None:
            return nan
        if not isinstance(value, str):
            return value
        if index == self._fields.time:
            seconds, self._periods[row] = seconds_of(value)
            return seconds / self._fields.layout.time.unit.factor
        code = code_of_text(value)
        self._from_word.add(row)
        self._lost[index] += not isfinite(code)
        return code

    def column(self, index: int, _read_word: ReadWord = number_of) -> Cells:
        """A field as numbers; nulls are NaN, words of a state its code."""
        values = self._of(index)
        if not self._from_word or not self._fields.is_state(index):
            return Cells(values, None, self._lost[index])
        from_word = np.zeros(len(self), dtype=np.bool_)
        from_word[list(self._from_word)] = True
        return Cells(values, from_word, self._lost[index])

    def stamps(self, index: int, seconds_per_unit: float) -> tuple[Floats, Floats | None]:
        """The time as seconds, and the period after which each stamp wraps; None: none ever does."""
        stamps = self._of(index) * seconds_per_unit
        if not self._periods:
            return stamps, None
        periods = np.full(len(self), np.inf)
        periods[list(self._periods)] = list(self._periods.values())
        return stamps, periods

    def _of(self, index: int) -> Floats:
        return np.array(self._columns[self._fields.indices.index(index)])


def _words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return str(error)

"""A recorded log as a stream of sample batches."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from drivers.logs.columns import ColumnError
from drivers.logs.engine_watch import EngineWatch
from drivers.logs.errors import LogUnreadableError
from drivers.logs.fuel_loop import LoopCoding
from drivers.logs.layout import LayoutError, LogLayout
from drivers.logs.limits import DEFAULT_LIMITS, LogLimits
from drivers.logs.line_grid import FRONT
from drivers.logs.long_format import LongFormat
from drivers.logs.recognition import RecognisedLog, long_separator, recognise_log, refuse_names
from drivers.logs.rows import NAMED_ROWS, Rows
from drivers.logs.sampling import NO_TIME, Sampler
from drivers.logs.summary import LogSummary, counted
from drivers.logs.text_source import READ_BYTES, TextSource
from lowmaf.samples import SampleBatch

HEAD_BYTES = 256 * 1024
"""What is looked at before the first sample is given: format, columns, units that no header states."""


class LogReader:
    """One recorded log, read once, in flat memory; the file is never changed.

    Args:
        source: a file (text, ``.gz`` or ``.zip`` with one log) or an open binary stream.
        name: what the log is called in messages; the file's name by default.
        columns: role → header, where recognition should not choose.
        require_flag: refuse a log that does not say whether the loop is closed.
        decimal_comma: True or False where it should not be found from the values.
        channels: what is wanted; other columns are recognised but not read. None: everything.
        read_bytes: how much is read at once; the samples do not depend on it.
        limits: how much is read at all.
    """

    def __init__(
        self,
        source: Path | BinaryIO,
        name: str | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        require_flag: bool = False,
        decimal_comma: bool | None = None,
        channels: Collection[str] | None = None,
        read_bytes: int = READ_BYTES,
        limits: LogLimits = DEFAULT_LIMITS,
    ) -> None:
        self.name = name or (source.name if isinstance(source, Path) else "stdin")
        self._text = TextSource(source, self.name, read_bytes, limits)
        self._asked = dict(columns or {})
        self._require_flag = require_flag
        self._decimal_comma = decimal_comma
        self._wanted = channels
        self._limits = limits
        self._format = ""
        self._encoding = ""
        self._sampler: Sampler | None = None
        self._recognised: RecognisedLog | None = None
        self._first_layout: LogLayout | None = None
        self.first_unusable: list[tuple[int, str]] = []
        """Lines of the first rows left out, from 1, and why; of a log with one value per row none."""

    @property
    def progress(self) -> tuple[int, int | None]:
        """Bytes read of the file so far, and its size; None where that is not known."""
        return self._text.bytes_read, self._text.bytes_total

    @property
    def summary(self) -> LogSummary:
        """What was recognised and met so far; complete after the last batch.

        Raises:
            LogUnreadableError: nothing was recognised yet.
        """
        layout, sampler = self._first_layout, self._sampler
        if self._recognised is None or layout is None or sampler is None:
            raise LogUnreadableError(self.name, "nothing was read yet")
        rate = (sampler.samples - 1 - sampler.gaps) / sampler.driven_s if sampler.driven_s > 0.0 else None
        return LogSummary(
            name=self.name,
            format=self._format,
            encoding=self._encoding,
            rows=sampler.rows,
            unusable={reason: count for reason, count in sampler.unusable.items() if count},
            columns={column.role: column.header.text for column in (layout.time, *layout.columns.values())},
            converted=self._recognised.converted,
            inferred=layout.inferred,
            warnings=(*layout.warnings, *self._met_warnings(sampler)),
            gaps=sampler.gaps,
            sample_rate_hz=rate,
            duration_s=sampler.duration_s if sampler.samples > 1 else None,
        )

    def batches(self) -> Iterator[SampleBatch]:
        """The samples in the order of the log; empty cells are NaN, columns that it lacks are absent.

        Raises:
            LogUnreadableError: a log that cannot give a table; the reason in one line. Nothing was
                yielded then, unless its engine stood still for very long first, or it goes beyond a limit.
        """
        watch = EngineWatch()
        yield from watch.running(self._samples())
        if not watch.alive:
            assert self._sampler is not None
            reason = watch.reason(self.summary.columns)
            left_out = [
                f"{counted(n, 'row')}: {why}" for why, n in self._sampler.unusable.most_common(2) if n
            ]
            raise LogUnreadableError(self.name, "; ".join((reason, *left_out)))

    def _samples(self) -> Iterator[SampleBatch]:
        blocks = self._text.blocks()
        begin = _begin_of(blocks)
        head = _head_of(begin)
        long = long_separator(head)
        if long is not None:
            blocks = self._columns_of(LongFormat(head, long)).blocks(chain((begin,), blocks))
            begin = _begin_of(blocks)
            head = _head_of(begin)
        recognised = self._recognised = self._recognise(head, begin, "" if long is None else "car-scanner")
        self._first_layout, self._sampler = recognised.layout, Sampler(recognised.layout, self._wanted)
        for block in chain((recognised.body,), blocks):
            for rows in recognised.rows(block, self._sampler.columns(recognised.layout)):
                batch = self._sampler.take(rows, recognised.layout)
                if long is None:
                    self._name_unusable(rows, recognised.first_line, self._sampler.untimed)
                if self._sampler.rows > self._limits.rows:
                    raise LogUnreadableError(
                        self.name,
                        f"it has more than {self._limits.rows} rows, the most that is read "
                        "([limits] log_rows)",
                    )
                if batch is not None:
                    yield batch
        last = self._sampler.finish()
        if last is not None:
            yield last

    def _name_unusable(self, rows: Rows, first_line: int, untimed: Sequence[int]) -> None:
        found = [*rows.refused, *((rows.line(row), NO_TIME) for row in untimed)]
        for line, why in sorted(found)[: NAMED_ROWS - len(self.first_unusable)]:
            self.first_unusable.append((first_line + line, why))

    def _columns_of(self, log: LongFormat) -> LongFormat:
        """A log with one value per row, whose rows are written out with all of its columns."""
        try:
            refuse_names(log.names, self._limits)
        except LayoutError as error:
            raise LogUnreadableError(self.name, str(error)) from error
        return log

    def _recognise(self, head: bytes, begin: bytes, long_name: str) -> RecognisedLog:
        try:
            recognised = recognise_log(
                head,
                begin,
                self._asked,
                self._decimal_comma,
                long_name=long_name,
                limits=self._limits,
            )
        except (LayoutError, ColumnError) as error:
            raise LogUnreadableError(self.name, str(error)) from error
        if self._require_flag and recognised.layout.coding is LoopCoding.NONE:
            raise LogUnreadableError(
                self.name, "the log has no closed-loop flag, and --require-flag refuses to infer it"
            )
        self._format = recognised.format
        self._encoding = self._text.encoding
        if self._encoding == "utf-8" and not recognised.is_utf8:
            self._encoding = "cp1252"
        return recognised

    def _met_warnings(self, sampler: Sampler) -> list[str]:
        """What only reading the whole log shows."""
        met = [
            f"{counted(count, 'value')} of {header} cannot be read"
            for header, count in sampler.lost.items()
            if count
        ]
        if sampler.unknown_codes:
            rows = counted(sampler.unknown_codes, "row")
            met.append(f"{rows} with a fuel-loop code that its coding does not define")
        if sampler.stitches:
            places = "one place" if sampler.stitches == 1 else f"{sampler.stitches} places"
            met.append(f"time goes back at {places}: read as drives one after another")
        if self._text.ended_early:
            met.append(self._text.ended_early)
        return met


def _begin_of(blocks: Iterator[bytes]) -> bytes:
    """What a log begins with, as one block: the first of its blocks, mostly."""
    begin = next(blocks, FRONT)
    while len(begin) < len(FRONT) + HEAD_BYTES and (block := next(blocks, b"")):
        begin += block[len(FRONT) :]
    return begin


def _head_of(begin: bytes) -> bytes:
    """The whole lines of it that are looked at."""
    end = len(FRONT) + HEAD_BYTES
    if len(begin) > end:
        end = begin.rfind(b"\n", len(FRONT), end) + 1 or len(begin)
    return begin[len(FRONT) : end]

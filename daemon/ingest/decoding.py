"""Lines of a body to records, many at once; a line that is none is counted, and the first ones are named."""

from __future__ import annotations

from typing import Any

from daemon.ingest.fields import OBJECT, UNDECODABLE, RecordFields
from daemon.ingest.lines import OVERLONG, BlockLines
from drivers.logs.limits import DEFAULT_LIMITS
from web.ingest_desk import InvalidRecord

NAMED_INVALID = 10

_FEW = 25
"""Lines that are decoded at once where some look like records and are none: with one bad line in a hundred
it costs least to find it so."""
_ODD_SHARE = 8
"""Where more than one line in so many does not look like an object, each is read alone."""
_LONGEST_WORDS = 200


class InvalidRecords:
    """What was left out of a body: how many lines, and what was wrong with the first ones."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[InvalidRecord] = []

    def add(self, line: int, error: str | Exception) -> None:
        """A line, from 1, that is no record."""
        self.count += 1
        if len(self.first) < NAMED_INVALID:
            words = error if isinstance(error, str) else _words(error)
            self.first.append(InvalidRecord(line, words[:_LONGEST_WORDS]))


class LineDecoder:
    """Decodes the lines of one body in their order. ``longest_line`` is told of longer ones."""

    def __init__(self, longest_line: int = DEFAULT_LIMITS.line_bytes) -> None:
        self._longest_line = longest_line
        self._overlong_words = f"longer than {longest_line} bytes ([limits] log_line_kb)"
        self.invalid = InvalidRecords()
        self._line = 0
        self._deceived = False

    def decode(self, block: bytes, fields: RecordFields | None) -> list[Any]:
        """The records in a block of whole lines; where ``fields`` are not known, none is one."""
        if not block:
            return []
        lines = BlockLines(block, self._longest_line)
        records: list[Any] = []
        if fields is None or not fields.time_is_number or _ODD_SHARE * len(lines.odd) > len(lines):
            self._one_by_one(block, self._line, fields, records)
        elif self._deceived or not self._all_at_once(lines, fields, records):
            begin = 0
            for odd in lines.odd:
                self._few_at_once(lines, begin, odd, fields, records)
                self._one_by_one(lines.text(odd, odd + 1), self._line + odd, fields, records)
                begin = odd + 1
            self._few_at_once(lines, begin, len(lines), fields, records)
        self._line += len(lines)
        return records

    def _all_at_once(self, lines: BlockLines, fields: RecordFields, records: list[Any]) -> bool:
        """Decodes the block, if what looks like a record is one: then what does not is looked at, line by
        line."""
        several = _decoded(lines.without_odd(), fields)
        self._deceived = len(several) != len(lines) - len(lines.odd)
        if self._deceived:
            return False
        left_out = 0
        for odd in lines.odd:
            line = lines.text(odd, odd + 1).removesuffix(b"\n")
            record = self._record_in(line, self._line + odd + 1, fields)
            if record is None:
                left_out += 1
            else:
                several.insert(odd - left_out, record)
        records += several
        return True

    def _few_at_once(
        self, lines: BlockLines, begin: int, end: int, fields: RecordFields, records: list[Any]
    ) -> None:
        """Decodes lines that look like objects, a few at once, and one by one where some are no records."""
        for first in range(begin, end, _FEW):
            stop = min(first + _FEW, end)
            text = lines.text(first, stop)
            several = _decoded(text, fields)
            if len(several) == stop - first:
                records += several
            else:
                self._one_by_one(text, self._line + first, fields, records)

    def _one_by_one(self, text: bytes, before: int, fields: RecordFields | None, records: list[Any]) -> None:
        """Decodes lines, of which so many come ``before`` in the body."""
        for number, line in enumerate(text.split(b"\n"), start=before + 1):
            record = self._record_in(line, number, fields)
            if record is not None:
                records.append(record)

    def _record_in(self, line: bytes, number: int, fields: RecordFields | None) -> Any | None:
        """The record in a line; None where there is none, which is counted unless the line is empty."""
        if len(line) > self._longest_line or line == OVERLONG:
            self.invalid.add(number, self._overlong_words)
            return None
        decoder = OBJECT if fields is None else fields.decoder
        try:
            record: Any = decoder.decode(line)
        except UNDECODABLE as error:
            if line.strip():
                self.invalid.add(number, error)
            return None
        if fields is None:
            self.invalid.add(number, "it has no fields")
        elif fields.time_is_number or fields.has_time(record):
            return record
        else:
            self.invalid.add(number, "its time cannot be read")
        return None


def _decoded(text: bytes, fields: RecordFields) -> list[Any]:
    """The records in a text that holds nothing else, none where it does."""
    try:
        several: list[Any] = fields.decoder.decode_lines(text)
    except UNDECODABLE:
        return []
    return several


def _words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return str(error)

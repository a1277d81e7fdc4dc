"""Raw recordings of a link: what left and what came, with the times. The format, and reading it.

A recording is text, one event per line, that can be cut off anywhere: the lines before stay good.
A line is ``(seconds) channel content direction``:

* ``seconds`` since the link was opened, with six decimals: the time that the driver used;
* a CAN frame is written as candump does, ``(0.001204) can0 7E8#02E87D0000000000 R``, an extended
  identifier with eight digits, so that every program that reads candump's logs reads a recording of a
  CAN bus; of a bus that was only listened to, the frames are those that were wanted;
* bytes of a serial line are hexadecimal digits, ``(0.001204) ttyUSB0 8010F001BF40 T``, or ``-`` for a
  wait that ended with nothing;
* a note is an error frame, which programs pass over, with its words where the channel stands:
  ``(0.000000) car=my%20car 20000080# R``. The first line is such a note, ``lowmaf-recording=1``; those
  before the first event are the header.

``R`` is what came and ``T`` is what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TextIO
from urllib.parse import quote, unquote

from drivers.base import DriverError

VERSION = "1"
VERSION_KEY = "lowmaf-recording"
BESIDE = "beside"
"""Key of the header that names the source that stood beside, whose recording is one of its own."""
_NOTE_FRAME = "20000080#"
_SIGN = f"(0.000000) {VERSION_KEY}="
_NOTHING = "-"
_LONGEST_LINE = 20_000
_LINE = re.compile(r"\((\d{1,9}\.\d{6})\) (\S+) (\S+) ([RT])\n")
_NOTE = re.compile(r"([a-z-]+)=(\S*)")
_FRAME = re.compile(r"([0-9A-F]{3}|[0-9A-F]{8})#((?:[0-9A-F]{2}){0,8})")
_BYTES = re.compile(r"(?:[0-9A-F]{2})+")


class RecordingError(DriverError):
    """A file that is no recording; says which and why."""


class Kind(Enum):
    """What happened."""

    CAME = "R"
    SENT = "T"
    NOTE = "note"


class Note(Enum):
    """Notes among the events: what the driver did that no byte shows."""

    IDENTIFIED = "source"
    """The ECU was found; the value is the source in words."""
    GAVE_UP = "gave-up"
    """A request was given up: what comes from here on does not answer it."""
    LEAVING = "leaving"
    """The driver was told to end: what comes from here on is no sample."""
    FULL = "full"
    """Nothing more was recorded for want of room."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line. ``data`` are bytes or a frame's data; ``identifier`` is a frame's, None on serial lines.

    A note has its key and value in ``words``.
    """

    kind: Kind
    at_s: float
    data: bytes = b""
    identifier: int | None = None
    is_extended: bool = False
    words: tuple[str, str] = ("", "")

    def is_note(self, note: Note) -> bool:
        return self.kind is Kind.NOTE and self.words[0] == note.value


def frame_line(
    at_s: float, channel: str, identifier: int, data: bytes, kind: Kind, *, extended: bool = False
) -> str:
    """The line of a CAN frame."""
    digits = 8 if extended else 3
    return f"({at_s:.6f}) {channel} {identifier:0{digits}X}#{data.hex().upper()} {kind.value}\n"


def bytes_line(at_s: float, channel: str, data: bytes, kind: Kind) -> str:
    """The line of bytes on a serial link; none at all where a wait ended with nothing."""
    return f"({at_s:.6f}) {channel} {data.hex().upper() or _NOTHING} {kind.value}\n"


def note_line(at_s: float, key: str, value: str = "") -> str:
    """The line of a note."""
    return f"({at_s:.6f}) {key}={quote(value, safe='/:')} {_NOTE_FRAME} R\n"


def event_of(line: str) -> Event | None:
    """What a line with its line end says; None where it is none of ours."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    seconds, channel, content, direction = found.groups()
    at_s, kind = float(seconds), Kind(direction)
    if content == _NOTE_FRAME:
        note = _NOTE.fullmatch(channel)
        return None if note is None else Event(Kind.NOTE, at_s, words=(note[1], unquote(note[2])))
    frame = _FRAME.fullmatch(content)
    if frame is not None:
        return Event(kind, at_s, bytes.fromhex(frame[2]), int(frame[1], 16), is_extended=len(frame[1]) == 8)
    if content == _NOTHING:
        return Event(kind, at_s)
    return Event(kind, at_s, bytes.fromhex(content)) if _BYTES.fullmatch(content) else None


def is_recording(path: Path) -> bool:
    """Whether a file is one of ours, by how it begins; False for what cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SIGN)) == _SIGN.encode("ascii")
    except OSError:
        return False


class Recording:
    """A recording that is read as its events are taken, in flat memory. :meth:`close` must be called.

    ``header`` is what is known of it. ``damage`` says where it ended before its time; empty while all
    is well. The last line may be cut off: that is how a recording ends when the power goes.

    Raises:
        RecordingError: not to be read, no recording, or one of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = ""
        self._lines = 0
        try:
            self._file: TextIO = path.open(encoding="ascii", errors="replace", newline="\n")
        except OSError as error:
            raise RecordingError(f"recording {path}: {error.strerror}") from error
        self._events = self._read()
        self._next = next(self._events, None)
        self.header = self._read_header()
        version = self.header.get(VERSION_KEY)
        if version != VERSION:
            self.close()
            raise RecordingError(
                f"recording {path}: it does not begin as one"
                if version is None
                else f"recording {path}: version {version[:10]!r} is not known here, only {VERSION}"
            )

    def close(self) -> None:
        self._file.close()

    def peek(self) -> Event | None:
        """The next event, None at the end."""
        return self._next

    def take(self) -> Event | None:
        """The next event, which is then over; None at the end."""
        event = self._next
        self._next = next(self._events, None)
        return event

    def _read_header(self) -> Mapping[str, str]:
        header: dict[str, str] = {}
        while (event := self._next) is not None and event.kind is Kind.NOTE and event.at_s == 0.0:
            header.setdefault(*event.words)
            self.take()
        return header

    def _read(self) -> Iterator[Event]:
        while line := self._file.readline(_LONGEST_LINE):
            self._lines += 1
            event = event_of(line)
            if event is None:
                if line.endswith("\n") or len(line) == _LONGEST_LINE:
                    self.damage = f"line {self._lines} is damaged: what came before was read"
                return
            yield event

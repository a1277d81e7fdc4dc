"""Writes the raw recording of a link while it is used, without ever holding the link up."""

from __future__ import annotations

import logging
import shutil
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from drivers.recording import VERSION, VERSION_KEY, Kind, Note, bytes_line, frame_line, note_line
from drivers.recording_room import PREFIX, SUFFIX, RecordingRoom, claim

_WRITE_S = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """Where recordings of a driver go, how many bytes they may take together, and what their header tells.

    Files in ``beside`` (a definition, a DBC file) are needed to replay them, and copied into the folder.
    """

    folder: Path
    limit_bytes: int
    driver: str
    header: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[Path, ...] = ()


class Recorder:
    """One recording. Times are the link's, s. Called by one thread; another one writes.

    A recording without :meth:`note` of ``IDENTIFIED`` is of a car that did not answer: of those only the
    last is kept, so that a parked car does not fill the disk. When a disk fails or is full, the recording
    ends, which is told (why, and in words), and the link goes on.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(self, settings: RecordingSettings, channel: str, tell: Callable[[str, str], None]) -> None:
        self._settings = settings
        self._tell = tell
        self._channel = quote("_".join(channel.split()), safe="/:.[]") or "link"
        self._waiting: deque[str] = deque()
        self._answered = False
        self._newest_s = 0.0
        self._written = 0
        self._stop = threading.Event()
        now = datetime.now(UTC)
        settings.folder.mkdir(parents=True, exist_ok=True)
        for needed in settings.beside:
            if needed.resolve().parent != settings.folder.resolve():
                shutil.copyfile(needed, settings.folder / needed.name)
        self.path, self._file = _created(settings, now)
        claim(self._file)
        self._room = RecordingRoom(self.path, settings.limit_bytes)
        header = {
            VERSION_KEY: VERSION, "driver": settings.driver, "date": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "adapter": channel, **settings.header,
        }  # fmt: skip
        self._waiting.extend(note_line(0.0, key, value) for key, value in header.items())
        self._write()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def is_writing(self) -> bool:
        """Whether what comes is still recorded."""
        return not self._file.closed

    def frame(self, at_s: float, identifier: int, data: bytes, kind: Kind, *, extended: bool = False) -> None:
        """A CAN frame that came or was sent."""
        self._newest_s = at_s
        self._waiting.append(frame_line(at_s, self._channel, identifier, data, kind, extended=extended))

    def bytes(self, at_s: float, data: bytes, kind: Kind) -> None:
        """Bytes that came or were sent on a serial link."""
        self._newest_s = at_s
        self._waiting.append(bytes_line(at_s, self._channel, data, kind))

    def note(self, at_s: float, note: Note, value: str = "") -> None:
        """Something that no byte shows."""
        self._answered |= note is Note.IDENTIFIED
        self._waiting.append(note_line(at_s, note.value, value))

    def close(self) -> None:
        """Writes what waits; returns when the file is closed."""
        self._stop.set()
        self._thread.join()
        self._write()
        self._close_file()
        try:
            if not self._written:
                self.path.unlink(missing_ok=True)
            elif not self._answered:
                self.path.replace(self.path.with_name(f"{PREFIX}{self._settings.driver}-unanswered{SUFFIX}"))
        except OSError as error:
            self._tell(f"kept: {error.strerror}", f"recording {self.path} stays: {error.strerror}")

    def _run(self) -> None:
        while not self._stop.wait(_WRITE_S):
            self._write()

    def _write(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines or not self.is_writing:
            return
        text = "".join(lines)
        try:
            if not self._room.makes(self._written + len(text)):
                self._file.write(note_line(self._newest_s, Note.FULL.value))
                self._file.close()
                self._ended("it takes all the room that it may take")
                return
            self._file.write(text)
            self._file.flush()
            self._written += len(text)
        except OSError as error:
            self._ended(error.strerror or str(error))
            self._close_file()

    def _ended(self, why: str) -> None:
        self._tell(why, f"recording {self.path} ends: {why}")

    def _close_file(self) -> None:
        """Closes the file, also where its disk does not take what its buffer still holds."""
        try:
            self._file.close()
        except OSError:
            return  # said already


class Recorders:
    """Starts a recorder for each link that is opened, where recordings are wanted.

    A link may be opened every second for as long as a car is parked: what keeps its recordings from being
    made is said once, and again after one could be made.
    """

    def __init__(self, settings: RecordingSettings | None) -> None:
        self._settings = settings
        self._told = ""

    def started(self, channel: str) -> Recorder | None:
        """A recorder for a link that was opened; None where none is wanted or can be."""
        settings = self._settings
        if settings is None:
            return None
        try:
            recorder = Recorder(settings, channel, self._tell)
        except OSError as error:
            why = error.strerror or str(error)
            self._tell(why, f"nothing is recorded: {settings.folder}: {why}")
            return None
        if recorder.is_writing:
            self._told = ""
        return recorder

    def _tell(self, why: str, words: str) -> None:
        logger.log(logging.DEBUG if why == self._told else logging.WARNING, "%s", words)
        self._told = why


def _created(settings: RecordingSettings, now: datetime) -> tuple[Path, TextIO]:
    """A new file; a clock that was set back must not cost an older one, so names may get a number."""
    stem = f"{PREFIX}{settings.driver}-{now:%Y%m%d-%H%M%S}"
    for name in chain([stem], (f"{stem}-{number}" for number in count(2))):
        path = settings.folder / f"{name}{SUFFIX}"
        try:
            return path, path.open("x", encoding="ascii", newline="\n")
        except FileExistsError:
            continue
    raise AssertionError("there is always another number")

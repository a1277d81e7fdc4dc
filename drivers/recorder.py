"""Writes the raw recording of a link while it is used, without ever holding the link up."""

from __future__ import annotations

import logging
import shutil
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import TextIO

from drivers.recording import VERSION, VERSION_KEY, Kind, Note, bytes_line, frame_line, note_line

_PREFIX = "lowmaf-"
_SUFFIX = ".log"  # what python-can takes for candump's
_WRITE_S = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """Where recordings of a driver go, how many bytes they may take together, and what their header tells.

    Files in ``beside`` (a definition) are needed to replay them, and copied into the folder.
    """

    folder: Path
    limit_bytes: int
    driver: str
    header: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[Path, ...] = ()


class Recorder:
    """One recording. Times are the link's, s. Called by one thread; another one writes.

    A recording without :meth:`identified` is of a car that did not answer: of those only the last is
    kept, so that a parked car does not fill the disk. When a disk fails or is full, the recording ends,
    which is logged once, and the link goes on.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(self, settings: RecordingSettings, channel: str) -> None:
        self._settings = settings
        self._channel = "_".join(channel.split()) or "link"
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
        self._others = self._recordings()
        header = {
            VERSION_KEY: VERSION, "driver": settings.driver, "date": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "adapter": channel, **settings.header,
        }  # fmt: skip
        self._waiting.extend(note_line(0.0, key, value) for key, value in header.items())
        self._write()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def frame(self, at_s: float, identifier: int, data: bytes, kind: Kind) -> None:
        """A CAN frame that came or was sent."""
        self._newest_s = at_s
        self._waiting.append(frame_line(at_s, self._channel, identifier, data, kind))

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
        self._file.close()
        if not self._answered:
            kept = self.path.with_name(f"{_PREFIX}{self._settings.driver}-unanswered{_SUFFIX}")
            try:
                self.path.replace(kept)
            except OSError as error:
                logger.warning("recording %s stays where it is: %s", self.path, error.strerror)

    def _run(self) -> None:
        while not self._stop.wait(_WRITE_S):
            self._write()

    def _write(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines or self._file.closed:
            return
        text = "".join(lines)
        try:
            if not self._makes_room(len(text)):
                self._file.write(note_line(self._newest_s, Note.FULL.value))
                self._file.close()
                logger.warning("recording %s ends: it takes all the room that it may take", self.path)
                return
            self._file.write(text)
            self._file.flush()
            self._written += len(text)
        except OSError as error:
            logger.warning("recording %s ends: %s", self.path, error.strerror)
            self._abandon()

    def _abandon(self) -> None:
        """Closes a file that cannot be written to, whatever its buffer still holds."""
        try:
            self._file.close()
        except OSError:
            return  # said already

    def _makes_room(self, needed: int) -> bool:
        """Deletes the oldest other recordings until there is room; False where there cannot be."""
        limit = self._settings.limit_bytes
        while self._written + needed + sum(size for _, size in self._others) > limit and self._others:
            oldest, _ = self._others.popleft()
            oldest.unlink(missing_ok=True)
        return self._written + needed <= limit

    def _recordings(self) -> deque[tuple[Path, int]]:
        """The other recordings in the folder, the oldest first, with their sizes."""
        found = []
        for path in self._settings.folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            if path != self.path and path.is_file():
                status = path.stat()
                found.append((status.st_mtime, path, status.st_size))
        return deque((path, size) for _, path, size in sorted(found))


def started(settings: RecordingSettings | None, channel: str) -> Recorder | None:
    """A recorder for a link that was opened; None where none is wanted or can be, which is logged."""
    if settings is None:
        return None
    try:
        return Recorder(settings, channel)
    except OSError as error:
        logger.warning("nothing is recorded: %s: %s", settings.folder, error.strerror or error)
        return None


def _created(settings: RecordingSettings, now: datetime) -> tuple[Path, TextIO]:
    """A new file; a clock that was set back must not cost an older one, so names may get a number."""
    stem = f"{_PREFIX}{settings.driver}-{now:%Y%m%d-%H%M%S}"
    for name in chain([stem], (f"{stem}-{number}" for number in count(2))):
        path = settings.folder / f"{name}{_SUFFIX}"
        try:
            return path, path.open("x", encoding="ascii", newline="\n")
        except FileExistsError:
            continue
    raise AssertionError("there is always another number")

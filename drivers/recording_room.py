"""The room that recordings in one folder take together: the oldest make way, those still written do not."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import TextIO

PREFIX = "lowmaf-"
SUFFIX = ".log"  # what python-can takes for candump's
_LOOK_S = 10.0


def claim(file: TextIO) -> None:
    """Marks a recording as being written, until it is closed; without effect where a disk cannot."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # such as a network disk: there others may delete it


class RecordingRoom:
    """Keeps the recordings of a folder within a limit, for one of them that grows.

    Others may grow beside it (a second source, another lowmaf): they are looked at every ten seconds.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path = path
        self._limit = limit_bytes
        self._looked_s = time.monotonic()
        self._others = self._recordings()

    def makes(self, size: int) -> bool:
        """Deletes the oldest others until this recording may have ``size`` bytes; False where it may not."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= _LOOK_S:
            self._looked_s, self._others = now_s, self._recordings()
        excess = size + sum(taken for _, taken in self._others) - self._limit
        for other in list(self._others) if excess > 0 else ():
            if excess > 0 and _deleted(other[0]):
                self._others.remove(other)
                excess -= other[1]
        return excess <= 0

    def _recordings(self) -> list[tuple[Path, int]]:
        """The other recordings in the folder, the oldest first, with their sizes."""
        found = []
        for path in self._path.parent.glob(f"{PREFIX}*{SUFFIX}"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # another recorder was as quick
            if path != self._path and path.is_file():
                found.append((status.st_mtime, path, status.st_size))
        return [(path, size) for _, path, size in sorted(found)]


def _deleted(path: Path) -> bool:
    """Deletes a recording; False where somebody still writes it."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            path.unlink()
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True

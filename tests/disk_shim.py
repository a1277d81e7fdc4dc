"""A disk that can fail, be slow and keep a record, for programs under test: see ``disk_shim.c``."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("disk_shim.c")
_RECORD = struct.Struct("<ccQI")
_MARK = b"m"


class Operation(StrEnum):
    """What was recorded. ``MARK``: the program said how far it is; its number is the offset."""

    WRITE = "w"
    TRUNCATE = "t"
    SYNC = "s"
    MARK = "m"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One operation on the database (``d``) or its log (``w``)."""

    operation: Operation
    file: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder whose disk is told how to behave."""

    folder: Path
    library: Path

    @property
    def record(self) -> Path:
        return self.library.with_name("record")

    def environment(self, *, recording: bool = False) -> dict[str, str]:
        """Environment of a program that is to have this disk."""
        shim = {
            "LD_PRELOAD": str(self.library),
            "DISK_SHIM_FOLDER": f"{self.folder}/",
            "DISK_SHIM_CONTROL": str(self._control),
        }
        return {**os.environ, **shim, **({"DISK_SHIM_RECORD": str(self.record)} if recording else {})}

    def behave(
        self,
        *,
        write_errno: int = 0,
        read_errno: int = 0,
        sync_errno: int = 0,
        sync_delay_ms: int = 0,
        wall_offset_s: int = 0,
    ) -> None:
        """How the disk, and the wall clock, are from now on."""
        text = f"{write_errno} {read_errno} {sync_errno} {sync_delay_ms} {wall_offset_s}"
        new = self._control.with_name("control-new")
        new.write_text(text, "ascii")
        new.replace(self._control)

    def recorded(self) -> Iterator[Recorded]:
        """What was recorded, in its order."""
        with self.record.open("rb") as stream:
            while head := stream.read(_RECORD.size):
                operation, file, offset, length = _RECORD.unpack(head)
                yield Recorded(Operation(operation.decode()), file.decode(), offset, stream.read(length))

    @property
    def _control(self) -> Path:
        return self.library.with_name("control")


MARKING = f"""
import os, struct
_record = os.open(os.environ["DISK_SHIM_RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def mark(number):
    os.write(_record, struct.pack("{_RECORD.format}", b"{_MARK.decode()}", b"-", number, 0))
"""
"""For the program under test: ``mark(number)`` puts a mark between what is recorded of the disk."""


def make_disk(folder: Path, place: Path) -> Disk:
    """A disk for ``folder``; what it needs is kept in ``place``. Skips the test where it cannot be built."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here to build a disk that fails")
    library = place / "disk_shim.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if built.returncode:
        pytest.skip(f"a disk that fails cannot be built here: {built.stderr.splitlines()[:1]}")
    disk = Disk(folder, library)
    disk.behave()
    return disk

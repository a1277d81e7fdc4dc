"""Room kept back beside the database, so that lowmaf starts on a card that others have filled.

SQLite needs some hundred kilobytes for its log and the log's index before it can read at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

RESERVE_BYTES = 1 << 20
_PLENTY_BYTES = 50 * RESERVE_BYTES


def keep_reserve(database: Path) -> None:
    """Puts the reserve beside the database, where it is missing and there is plenty of room. Blocks."""
    reserve = _reserve(database)
    with contextlib.suppress(OSError):  # it is a precaution; what is wrong with the disk others say
        if reserve.exists() or shutil.disk_usage(database.parent).free < _PLENTY_BYTES:
            return
        descriptor = os.open(reserve, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        finally:
            os.close(descriptor)


def give_up_reserve(database: Path) -> bool:
    """Makes room on a full disk by removing the reserve; False where the disk is not full, or it is gone."""
    try:
        if shutil.disk_usage(database.parent).free >= RESERVE_BYTES:
            return False
        _reserve(database).unlink()
    except OSError:
        return False
    return True


def _reserve(database: Path) -> Path:
    return database.with_name(f"{database.name}-reserve")

"""Results in files: all of it or nothing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from daemon.errors import WorkError


def check_place(option: str, target: Path) -> None:
    """Whether a file can be written there, before the work that it is to hold is done.

    Raises:
        WorkError: a folder, in no folder, or in one that is not writable.
    """
    folder = target.resolve().parent
    if target.is_dir():
        why = "this is a folder, not a file"
    elif not folder.is_dir():
        why = f"there is no folder {folder}"
    elif not target.exists() and not os.access(folder, os.W_OK | os.X_OK):
        why = f"the folder {folder} is not writable"
    else:
        return
    raise WorkError(f"{option} {target}: {why}")


def write_file(option: str, target: Path, content: bytes) -> None:
    """Writes all of it or nothing: a file gets its name only when it is complete.

    What is there and no file (a pipe, a device) is written to as it is, and stays what it is.

    Raises:
        WorkError: it cannot be written; names the ``option`` that asked for it.
    """
    try:
        target = target.resolve()
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                stream.write(content)
            return
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as temporary:
            try:
                temporary.write(content)
                temporary.flush()
                os.fsync(temporary.fileno())
                Path(temporary.name).chmod(0o666 & ~_umask())
                Path(temporary.name).replace(target)
            except BaseException:
                Path(temporary.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise WorkError(f"{option} {target}: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

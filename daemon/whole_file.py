"""Results in files: all of it or nothing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from daemon.errors import WorkError


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

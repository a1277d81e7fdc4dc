"""Where an installed lowmaf has its things: the same places for ``make install`` and the Debian package."""

from __future__ import annotations

from pathlib import Path

from daemon.errors import UsageError

INSTALLED_CONFIG = Path("/etc/lowmaf/lowmaf.toml")
INSTALLED_DATABASE = Path("/var/lib/lowmaf/lowmaf.sqlite3")
SERVICE = "lowmaf"
"""Name of the unit and of the user that it runs as."""


def is_there(path: Path) -> bool:
    """Whether there is something at ``path``. ``Path.exists`` of Python 3.11 and 3.12 is a traceback where
    a folder on the way is closed, as ``/etc/lowmaf`` and ``/var/lib/lowmaf`` are for everybody else.

    Raises:
        UsageError: a folder on the way is closed to this user.
    """
    try:
        path.stat()
    except PermissionError:
        raise UsageError(f"{path}: its folder is closed to you: try again with sudo") from None
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False
    return True

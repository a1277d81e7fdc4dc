"""Where an installed lowmaf has its things: the same places for ``make install`` and the Debian package."""

from __future__ import annotations

from pathlib import Path

INSTALLED_CONFIG = Path("/etc/lowmaf/lowmaf.toml")
INSTALLED_DATABASE = Path("/var/lib/lowmaf/lowmaf.sqlite3")
SERVICE = "lowmaf"
"""Name of the unit and of the user that it runs as."""

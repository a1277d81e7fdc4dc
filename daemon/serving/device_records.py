"""What is kept of a paired device or a script's token, and between it and the row of the database."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from typing import Any

from daemon.store.rows import checksum
from web.device_shelf import Device, DeviceKind

DEVICE_COLUMNS = ("id", "kind", "name", "secret_sha256")
"""What the checksum of a row of ``devices`` covers."""


@dataclass(frozen=True, slots=True)
class KeptDevice:
    """A device with the hash of its secret, which nobody is ever shown."""

    device: Device
    secret_sha256: str

    def row(self) -> tuple[Any, ...]:
        """Values of a row of ``devices``."""
        covered = (self.device.id, str(self.device.kind), self.device.name, self.secret_sha256)
        return (*covered, self.device.added_wall_s, self.device.last_used_wall_s, checksum(*covered))

    def used(self, wall_s: float) -> KeptDevice:
        """The same, last used at ``wall_s``."""
        return replace(self, device=replace(self.device, last_used_wall_s=wall_s))

    @classmethod
    def of(cls, row: sqlite3.Row) -> KeptDevice | None:
        """The device in a row; None where the row was damaged: it is let in no more then."""
        if checksum(*(row[name] for name in DEVICE_COLUMNS)) != row["crc32"]:
            return None
        device = Device(
            id=row["id"],
            kind=DeviceKind(row["kind"]),
            name=row["name"],
            added_wall_s=row["added_wall_s"],
            last_used_wall_s=row["last_used_wall_s"],
        )
        return cls(device, row["secret_sha256"])

"""How reading a recorded log fails."""

from __future__ import annotations

from drivers.base import DriverError


class LogUnreadableError(DriverError):
    """A log that cannot give a table; one line: the file, the line where it matters, and the reason."""

    def __init__(self, name: str, reason: str, line: int | None = None) -> None:
        place = name if line is None else f"{name}, line {line}"
        super().__init__(f"{place}: {reason}")
        self.name = name
        self.reason = reason
        self.line = line

"""A file system of fsspec whose files cannot be read at the first attempt: ``flaky:///folder/drive.csv``."""

from __future__ import annotations

from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

NEVER = "never"
"""In the name of a file that cannot be read at any attempt."""


class FlakyFileSystem(LocalFileSystem):
    """Files of this machine. What was tried is remembered by each process for itself."""

    protocol = "flaky"
    tried: set[str] = set()  # noqa: RUF012 - that it is shared by all instances is the point

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return LocalFileSystem._strip_protocol(path.removeprefix("flaky://"))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if NEVER in path or path not in self.tried:
            self.tried.add(path)
            raise OSError(5, "Input/output error")
        return super()._open(path, mode, **options)


def register() -> None:
    """Makes it known in this process."""
    fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)

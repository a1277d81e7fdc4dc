"""Counts the bytes that this process sends over Dask's connections."""

from __future__ import annotations

from typing import Any

from distributed.comm.tcp import TCP

_counts = {"sent": 0}


def start() -> None:
    """Counts from now on; to be called once in a process."""
    write = TCP.write

    async def counted(self: TCP, *arguments: Any, **options: Any) -> int:
        written: int = await write(self, *arguments, **options)
        _counts["sent"] += written
        return written

    TCP.write = counted  # type: ignore[method-assign]


def sent() -> int:
    """Bytes sent since."""
    return _counts["sent"]

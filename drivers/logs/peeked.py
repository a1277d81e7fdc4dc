"""What a file or stream begins with, unpacked, without taking it from whoever reads it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO, cast

from drivers.logs.errors import LogUnreadableError
from drivers.logs.text_source import TextSource

_LOOKED_AT = 4096


def peeked(source: Path | BinaryIO) -> tuple[bytes, Path | BinaryIO]:
    """The first bytes, as they are without gzip or zip, and the source to read in its place.

    No bytes where there is nothing, or nothing that can be opened.
    """
    if isinstance(source, Path):
        if source.is_file() or not source.exists():
            return _start(source), source
        try:
            source = source.open("rb")  # a pipe by name: what is read of it is gone
        except OSError:
            return b"", source
    head = source.read(_LOOKED_AT)
    if source.seekable():
        source.seek(-len(head), io.SEEK_CUR)
        start = _start(io.BytesIO(head) if head[:2] != b"PK" else source)
        source.seek(0)
        return start, source
    return _start(io.BytesIO(head)), cast(BinaryIO, _Peeked(head, source))


def _start(source: Path | BinaryIO) -> bytes:
    start = b""
    try:
        for chunk in TextSource(source, "", _LOOKED_AT).unpacked():
            start += chunk
            if len(start) >= _LOOKED_AT:
                break
    except (LogUnreadableError, OSError):
        return b""
    return start


class _Peeked:
    """A stream that cannot go back, with what was read of it before."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
        else:
            data = b"" if self._stream.closed else self._stream.read(size)
            if not data:
                self._stream.close()
        return data

    def seekable(self) -> bool:
        return False

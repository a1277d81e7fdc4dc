"""From a file, archive or stream to blocks of whole lines: UTF-8 bytes that end in LF.

Memory stays flat whatever the length. Nothing is ever written to what is read.
"""

from __future__ import annotations

import codecs
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from drivers.logs.errors import LogUnreadableError
from drivers.logs.limits import DEFAULT_LIMITS, LogLimits
from drivers.logs.line_grid import FRONT

READ_BYTES = 3 << 18
"""Less has more calls per byte, more has its numbers no longer in the processor's cache."""

_KEPT_BYTES = 1 << 23
"""Well above what one block needs in all."""
_RECOGNISED_BY = 256
_GZIP_WBITS = 31
_INFLATED_AT_ONCE = 4096
"""So much of compressed data is lost at most where they are damaged."""
_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""With files in it, and empty."""
_WORKBOOK = "[Content_Types].xml"
_BINARY_LOG = b"MLVLG"
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class TextSource:
    """One log as text, read once.

    ``encoding`` is known after the first block: ``utf-8`` stands for every encoding that keeps ASCII
    as it is. ``ended_early`` says in words that compressed data were cut or damaged. ``bytes_read``
    counts what was taken from the file, compressed or not; ``bytes_total`` is None for a stream.
    """

    def __init__(
        self,
        source: Path | BinaryIO,
        name: str,
        read_bytes: int = READ_BYTES,
        limits: LogLimits = DEFAULT_LIMITS,
    ) -> None:
        self.name = name
        self.encoding = "utf-8"
        self.ended_early: str | None = None
        self.bytes_read = 0
        self.bytes_total: int | None = None
        self._source = source
        self._read_bytes = read_bytes
        self._limits = limits

    def blocks(self) -> Iterator[bytes]:
        """Blocks of whole lines, :data:`FRONT` before them; CRLF, CR CR LF and CR become LF.

        Raises:
            LogUnreadableError: the file cannot be opened, is no text, has a line without end, or unpacks
                to more than is allowed.
        """
        _keep_freed_memory()
        with ExitStack() as opened:
            yield from self._whole_lines(self._unified_line_ends(self._utf8(self._unpacked(opened))))

    def unpacked(self) -> Iterator[bytes]:
        """The bytes as they are, without what packs them; the same errors as :meth:`blocks`."""
        with ExitStack() as opened:
            yield from self._unpacked(opened)

    def _whole_lines(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        carry = b""
        for chunk in chunks:
            end = chunk.rfind(b"\n") + 1
            if end:
                view = memoryview(chunk)
                block = b"".join((FRONT, carry, view[:end]))
                if len(block) > self._limits.line_bytes + len(FRONT):
                    self._refuse_line(_longest_line(block))
                yield block
                carry = bytes(view[end:])
            else:
                carry += chunk
            self._refuse_line(len(carry))
        if carry:
            yield b"".join((FRONT, carry, b"\n"))

    def _refuse_line(self, size: int) -> None:
        if size > self._limits.line_bytes:
            raise LogUnreadableError(
                self.name,
                f"no line end within {self._limits.line_bytes} bytes: this is no text log "
                "([limits] log_line_kb)",
            )

    @staticmethod
    def _unified_line_ends(chunks: Iterator[bytes]) -> Iterator[bytes]:
        carry = b""
        for chunk in chunks:
            text = carry + chunk if carry else chunk
            carry = b""
            if b"\r" in text:
                whole = text.rstrip(b"\r")
                carry = text[len(whole) :]
                while b"\r\r" in whole:
                    whole = whole.replace(b"\r\r", b"\r")
                text = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            yield text
        if carry:
            yield b"\n"

    def _utf8(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        start = b""
        for chunk in chunks:
            start += chunk
            if len(start) >= _RECOGNISED_BY:
                break
        if not start:
            return
        self.encoding, text = self._recognised(start)
        if self.encoding == "utf-8":
            yield text
            yield from chunks
            return
        decoder = codecs.getincrementaldecoder(self.encoding)("replace")
        for part in chain((text,), chunks):
            yield decoder.decode(part).encode("utf-8", "replace")
        yield decoder.decode(b"", final=True).encode("utf-8", "replace")

    def _recognised(self, start: bytes) -> tuple[str, bytes]:
        """The encoding by its mark or by its zero bytes, and the text without the mark."""
        for mark, encoding in _BOMS:
            if start.startswith(mark):
                return encoding, start[len(mark) :]
        head = start[:_RECOGNISED_BY]
        if head.startswith(_BINARY_LOG):
            raise LogUnreadableError(
                self.name,
                "this is a binary MegaSquirt log (.mlg): let TunerStudio or MegaLogViewer save it as .msl",
            )
        if b"\0" in head:
            even, odd = head[0::2].count(0), head[1::2].count(0)
            if odd > 0.3 * len(head) and even < 0.1 * len(head):
                return "utf-16-le", start
            if even > 0.3 * len(head) and odd < 0.1 * len(head):
                return "utf-16-be", start
            raise LogUnreadableError(self.name, "this is a binary file, not a text log")
        return "utf-8", start

    def _unpacked(self, opened: ExitStack) -> Iterator[bytes]:
        stream = self._opened(opened)
        start = stream.read(self._read_bytes)
        self.bytes_read += len(start)
        if start.startswith(_ZIP):
            yield from self._bounded(self._unzipped(stream, opened))
            return
        chunks = self._raw(start, stream)
        yield from self._bounded(self._inflated(chunks)) if start.startswith(_GZIP) else chunks

    def _bounded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """What is unpacked, as far as that is allowed: a few bytes may unpack to as many as they like."""
        left = self._limits.unpacked_bytes
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise LogUnreadableError(
                    self.name,
                    f"it unpacks to more than {self._limits.unpacked_bytes / 1e6:g} MB "
                    "([limits] log_unpacked_mb)",
                )
            yield chunk

    def _inflated(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Gzip, of one or several members; what comes before a damage is kept."""
        inflate = zlib.decompressobj(wbits=_GZIP_WBITS)
        any_text = False
        for chunk in chunks:
            for begin in range(0, len(chunk), _INFLATED_AT_ONCE):
                piece = chunk[begin : begin + _INFLATED_AT_ONCE]
                while piece:
                    if inflate.eof:
                        inflate = zlib.decompressobj(wbits=_GZIP_WBITS)
                    try:
                        text = inflate.decompress(piece, READ_BYTES)
                    except zlib.error as error:
                        self._end_early(f"the compressed data are damaged ({error})", any_text)
                        return
                    any_text = any_text or bool(text)
                    yield text
                    piece = inflate.unconsumed_tail or inflate.unused_data
        if not inflate.eof:
            self._end_early("the compressed data end early", any_text)

    def _end_early(self, reason: str, any_text: bool) -> None:
        if not any_text:
            raise LogUnreadableError(self.name, reason)
        self.ended_early = f"{reason}: what came before was read"

    def _raw(self, start: bytes, stream: BinaryIO) -> Iterator[bytes]:
        yield start
        while chunk := stream.read(self._read_bytes):
            self.bytes_read += len(chunk)
            yield chunk

    def _opened(self, opened: ExitStack) -> BinaryIO:
        if not isinstance(self._source, Path):
            return self._source
        try:
            stream = opened.enter_context(self._source.open("rb"))
            self.bytes_total = self._source.stat().st_size
        except OSError as error:
            raise LogUnreadableError(self.name, f"cannot be opened: {error.strerror or error}") from error
        return stream

    def _unzipped(self, stream: BinaryIO, opened: ExitStack) -> Iterator[bytes]:
        if not stream.seekable():
            raise LogUnreadableError(
                self.name, "a zip archive cannot be read from a pipe: give its file name"
            )
        try:
            archive = opened.enter_context(zipfile.ZipFile(stream))
            members = [
                entry
                for entry in archive.infolist()
                if not entry.is_dir() and not entry.filename.startswith("__MACOSX/")
            ]
            if any(entry.filename == _WORKBOOK for entry in members):
                raise LogUnreadableError(self.name, "this is an Excel workbook: save the sheet as CSV")
            if len(members) != 1:
                found = ", ".join(entry.filename for entry in members[:5])
                raise LogUnreadableError(
                    self.name,
                    f"a zip archive must hold one log, this has {len(members)}: {found}"
                    if members
                    else "the zip archive is empty",
                )
            with archive.open(members[0]) as member:
                while chunk := member.read(self._read_bytes):
                    self.bytes_read = stream.tell()
                    yield chunk
            self.bytes_read = self.bytes_total or self.bytes_read
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise LogUnreadableError(self.name, f"the zip archive cannot be read: {error}") from error


def _longest_line(block: bytes) -> int:
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))
    return int(np.diff(ends).max()) - 1


def _keep_freed_memory() -> None:
    """Lets the C library keep the memory of one block for the next, instead of returning it each time.

    glibc returns freed memory to the kernel beyond twice the largest piece that it ever got and freed; a
    large one, never touched, raises that. Without it a fifth of the time of reading goes into page faults.
    """
    large = np.empty(_KEPT_BYTES, dtype=np.uint8)
    del large

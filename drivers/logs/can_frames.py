"""The frames of a CAN recording in any of python-can's formats, packed or not, from a file or a stream."""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

import can
from can.io.blf import BLFParseError
from can.io.generic import MessageReader

from drivers.logs.can_sniff import CanFormat, is_plain
from drivers.logs.errors import LogUnreadableError
from drivers.logs.limits import DEFAULT_LIMITS, LogLimits
from drivers.logs.text_source import TextSource

_READERS = {
    CanFormat.CANDUMP: can.CanutilsLogReader,
    CanFormat.ASC: can.ASCReader,
    CanFormat.BLF: can.BLFReader,
    CanFormat.TRC: can.TRCReader,
    CanFormat.MF4: can.MF4Reader,
    CanFormat.CSV: can.CSVReader,
}
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, EOFError, OverflowError, AssertionError,
           NotImplementedError, struct.error, zlib.error, can.CanError, BLFParseError)  # fmt: skip
"""What python-can's readers raise on bytes that are not what they expect."""


class RecordedFrames:
    """One recording, to be read as often as need be. Never changed.

    What is packed or comes from a stream is laid into a temporary file, which :meth:`close` removes.
    ``ended_early`` says that the recording is damaged, and that what came before was read.
    """

    def __init__(
        self, source: Path | BinaryIO, kind: CanFormat, name: str, limits: LogLimits = DEFAULT_LIMITS
    ) -> None:
        self.kind = kind
        self.ended_early = ""
        self._source = source
        self._name = name
        self._limits = limits
        self._unpacked: IO[bytes] | None = None

    @contextmanager
    def frames(self) -> Iterator[Iterator[can.Message]]:
        """The frames of the recording; it ends at the first damage.

        Raises:
            LogUnreadableError: it cannot be opened, or needs a package that is not there.
        """
        reader = self._opened(self._plain())
        try:
            yield self._until_damage(iter(reader))
        finally:
            reader.stop()

    def close(self) -> None:
        """Removes what was unpacked; the recording can be read again only where it is a file."""
        if self._unpacked is not None:
            self._unpacked.close()
            self._unpacked = None

    def _plain(self) -> Path:
        if isinstance(self._source, Path) and is_plain(self._source):
            return self._source
        if self._unpacked is None:
            self._unpacked = self._spooled()
        return Path(self._unpacked.name)

    def _spooled(self) -> IO[bytes]:
        source = TextSource(self._source, self._name, limits=self._limits)
        spool = tempfile.NamedTemporaryFile(prefix="lowmaf-", suffix=".can")  # noqa: SIM115 - kept open
        try:
            for chunk in source.unpacked():
                spool.write(chunk)
            spool.flush()
        except BaseException:
            spool.close()
            raise
        self.ended_early = source.ended_early or ""
        return spool

    def _opened(self, path: Path) -> MessageReader:
        try:
            reader: MessageReader = _READERS[self.kind](path)
        except OSError as error:
            raise LogUnreadableError(self._name, f"cannot be read: {error.strerror or error}") from error
        except NotImplementedError as error:
            raise LogUnreadableError(
                self._name,
                "MF4 recordings need the Python package asammdf: pip install 'lowmaf[mf4]'; "
                "other formats (BLF, ASC, TRC, candump) need nothing",
            ) from error
        except _DAMAGE as error:
            raise LogUnreadableError(
                self._name, f"this is no {self.kind} recording: {_words(error)}"
            ) from error
        return reader

    def _until_damage(self, frames: Iterator[can.Message]) -> Iterator[can.Message]:
        while True:
            try:
                frame = next(frames)
            except StopIteration:
                return
            except _DAMAGE as error:
                damage = f"the recording is damaged ({_words(error)}): what came before was read"
                self.ended_early = self.ended_early or damage
                return
            yield frame


def _words(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:80]

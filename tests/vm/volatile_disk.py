"""A disk with a write cache that a power cut empties, for QEMU: a network block device in this process.

What QEMU's own disks have accepted is in this machine's page cache, which killing QEMU does not touch: they
behave like a disk that writes everything in order and at once. Cheap SD cards are not like that. Here a
write is safe only once the machine has asked for it to be (FLUSH, or a write with FUA); until then a power
cut may keep or drop each of its sectors.

Protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md (fixed newstyle, simple replies).
"""

from __future__ import annotations

import random
import socket
import struct
import threading
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

SECTOR = 512

_GREETING = struct.pack(">8s8sH", b"NBDMAGIC", b"IHAVEOPT", 0b11)  # fixed newstyle, no zeroes
_OPTION = struct.Struct(">8sII")
_OPTION_REPLY = struct.Struct(">QIII")
_OPTION_REPLY_MAGIC = 0x3E889045565A9
_EXPORT = struct.Struct(">HQH")
_EXPORT_FLAGS = 0b1101  # flags are given, FLUSH, FUA
_REQUEST = struct.Struct(">IHHQQI")
_REQUEST_MAGIC = 0x25609513
_REPLY = struct.Struct(">IIQ")
_REPLY_MAGIC = 0x67446698
_FUA = 1

_INFO, _GO = 6, 7
_ACK, _EXPORT_INFO, _UNSUPPORTED = 1, 3, 0x80000001
_EINVAL = 22


class _Command(IntEnum):
    READ = 0
    WRITE = 1
    DISCONNECT = 2
    FLUSH = 3


class VolatileDisk:
    """The content of ``path``, on a socket beside it. ``path`` itself never changes."""

    def __init__(self, path: Path, socket_path: Path, *, flushes: bool = True) -> None:
        """``flushes=False`` makes a disk that lies: it says that all is safe and keeps it in its cache."""
        self.size = path.stat().st_size
        self.bytes_written = 0
        self.flushes = 0
        self._honest = flushes
        self._safe = bytearray(path.read_bytes())
        self._now = bytearray(self._safe)
        self._pending: list[tuple[int, bytes]] = []
        self._changing = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(socket_path))
        self._listener.listen()
        self.option = ("-drive", f"file=nbd+unix:///?socket={socket_path},format=raw,if=virtio")
        self._thread = threading.Thread(target=self._serve, name="disk", daemon=True)
        self._thread.start()

    def image(self, path: Path, rng: random.Random | None) -> Path:
        """Writes the disk as a power cut at this moment leaves it: sectors that are not safe by chance.

        Without ``rng`` nothing is lost: so it is when only the machine dies, and the disk keeps its power.
        """
        with self._changing:
            content = bytearray(self._safe)
            pending = list(self._pending)
        for offset, data in pending:
            for at in range(0, len(data), SECTOR):
                if rng is None or rng.random() < 0.5:
                    content[offset + at : offset + at + SECTOR] = data[at : at + SECTOR]
        path.write_bytes(content)
        return path

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10.0)

    def _serve(self) -> None:
        """One machine after the other."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as file, suppress(EOFError, OSError):
                _agree(file, self.size)
                while self._answer(file):
                    pass

    def _answer(self, file: BinaryIO) -> bool:
        magic, flags, command, cookie, offset, length = _REQUEST.unpack(_read(file, _REQUEST.size))
        if magic != _REQUEST_MAGIC or command == _Command.DISCONNECT:
            return False
        error, data = 0, b""
        if offset + length > self.size:
            error = _EINVAL
        elif command == _Command.READ:
            data = bytes(self._now[offset : offset + length])
        elif command == _Command.WRITE:
            self._write(offset, _read(file, length), safe=bool(flags & _FUA))
        elif command == _Command.FLUSH:
            self._flush()
        else:
            error = _EINVAL
        file.write(_REPLY.pack(_REPLY_MAGIC, error, cookie) + data)
        file.flush()
        return True

    def _write(self, offset: int, data: bytes, *, safe: bool) -> None:
        with self._changing:
            self.bytes_written += len(data)
            self._now[offset : offset + len(data)] = data
            self._pending.append((offset, data))
        if safe:
            self._flush()

    def _flush(self) -> None:
        """Everything so far is safe: more than FUA asks for, as disks do that have no FUA of their own."""
        with self._changing:
            self.flushes += 1
            if not self._honest:
                return
            for offset, data in self._pending:
                self._safe[offset : offset + len(data)] = data
            self._pending.clear()


def _agree(file: BinaryIO, size: int) -> None:
    """The handshake, until the machine asks for the disk."""
    file.write(_GREETING)
    file.flush()
    _read(file, 4)
    while True:
        _, option, length = _OPTION.unpack(_read(file, _OPTION.size))
        _read(file, length)
        known = option in (_INFO, _GO)
        if known:
            export = _EXPORT.pack(0, size, _EXPORT_FLAGS)
            file.write(_OPTION_REPLY.pack(_OPTION_REPLY_MAGIC, option, _EXPORT_INFO, len(export)) + export)
        answer = _ACK if known else _UNSUPPORTED
        file.write(_OPTION_REPLY.pack(_OPTION_REPLY_MAGIC, option, answer, 0))
        file.flush()
        if option == _GO:
            return


def _read(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise EOFError("the machine is off")
    return data

"""The disk that loses its write cache: what it promises to the machine, and what a power cut may take."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from volatile_disk import SECTOR, VolatileDisk

READ, WRITE, FLUSH, TRIM = 0, 1, 3, 4
SECTORS = 64
SIZE = SECTORS * SECTOR


class Client:
    """As QEMU speaks to it."""

    def __init__(self, path: Path) -> None:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
        self._connection = connection
        self._file = connection.makefile("rwb")
        assert self._file.read(18) == b"NBDMAGICIHAVEOPT\x00\x03"
        self._send(struct.pack(">I", 3))
        assert self._option(8) == (0x80000001, b""), "structured replies are not offered"
        kind, export = self._option(7)
        assert (kind, struct.unpack(">HQH", export)) == (3, (0, SIZE, 0b1101))
        assert self._option_reply(7) == (1, b"")

    def _send(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()

    def _option(self, number: int) -> tuple[int, bytes]:
        self._send(struct.pack(">8sII", b"IHAVEOPT", number, 0))
        return self._option_reply(number)

    def _option_reply(self, number: int) -> tuple[int, bytes]:
        magic, option, kind, length = struct.unpack(">QIII", self._file.read(20))
        assert (magic, option) == (0x3E889045565A9, number)
        return kind, self._file.read(length)

    def ask(self, command: int, offset: int = 0, length: int = 0, data: bytes = b"", flags: int = 0) -> bytes:
        self._send(struct.pack(">IHHQQI", 0x25609513, flags, command, 7, offset, length or len(data)) + data)
        magic, error, cookie = struct.unpack(">IIQ", self._file.read(16))
        assert (magic, cookie) == (0x67446698, 7)
        if error:
            raise OSError(error, "refused")
        return self._file.read(length) if command == READ else b""

    def close(self) -> None:
        self._file.close()
        self._connection.close()


@pytest.fixture
def content(tmp_path: Path) -> Path:
    path = tmp_path / "content.img"
    path.write_bytes(bytes(SIZE))
    return path


@pytest.fixture
def disk(content: Path, tmp_path: Path) -> Iterator[VolatileDisk]:
    made = VolatileDisk(content, tmp_path / "disk.socket")
    yield made
    made.close()


@pytest.fixture
def client(disk: VolatileDisk, tmp_path: Path) -> Iterator[Client]:
    connected = Client(tmp_path / "disk.socket")
    yield connected
    connected.close()


def test_what_was_written_is_read_again_and_the_file_stays(client: Client, content: Path) -> None:
    client.ask(WRITE, 3 * SECTOR, data=b"\1" * SECTOR)
    assert client.ask(READ, 2 * SECTOR, 3 * SECTOR) == bytes(SECTOR) + b"\1" * SECTOR + bytes(SECTOR)
    assert content.read_bytes() == bytes(SIZE)


def test_a_cut_takes_any_sector_that_was_not_flushed(
    client: Client, disk: VolatileDisk, tmp_path: Path
) -> None:
    client.ask(WRITE, data=b"\1" * SIZE)
    left = [disk.image(tmp_path / "cut.img", random.Random(seed)).read_bytes() for seed in range(20)]
    assert all(
        {cut[at : at + SECTOR] for at in range(0, SIZE, SECTOR)} == {bytes(SECTOR), b"\1" * SECTOR}
        for cut in left
    )
    assert len(set(left)) == 20
    assert disk.image(tmp_path / "cut.img", None).read_bytes() == b"\1" * SIZE, "only the machine died"


@pytest.mark.parametrize("fua", [True, False])
def test_what_was_flushed_is_safe(client: Client, disk: VolatileDisk, tmp_path: Path, *, fua: bool) -> None:
    client.ask(WRITE, data=b"\1" * SIZE, flags=int(fua))
    if not fua:
        client.ask(FLUSH)
    client.ask(WRITE, data=b"\2" * SECTOR)
    for seed in range(20):
        cut = disk.image(tmp_path / "cut.img", random.Random(seed)).read_bytes()
        assert cut[SECTOR:] == b"\1" * (SIZE - SECTOR)
        assert cut[:SECTOR] in (b"\1" * SECTOR, b"\2" * SECTOR)


def test_a_disk_that_lies_loses_what_was_flushed(content: Path, tmp_path: Path) -> None:
    disk = VolatileDisk(content, tmp_path / "lies.socket", flushes=False)
    client = Client(tmp_path / "lies.socket")
    client.ask(WRITE, data=b"\1" * SIZE)
    client.ask(FLUSH)
    assert bytes(SECTOR) in disk.image(tmp_path / "cut.img", random.Random(1)).read_bytes()
    client.close()
    disk.close()


def test_what_it_does_not_do_it_refuses(client: Client) -> None:
    with pytest.raises(OSError, match="refused"):
        client.ask(READ, SIZE - 1, 2)
    with pytest.raises(OSError, match="refused"):
        client.ask(TRIM, 0, SECTOR)

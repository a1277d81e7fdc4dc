"""Tables of numbers as few bytes, without loss: for sums and equations that travel between machines."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from lowmaf.samples import Floats
from lowmaf.windows import Integers

_HEADER = struct.Struct("<II")  # rows, columns
_LEVEL = 6


def pack_integers(table: Integers) -> bytes:
    """A table (n, m), bit for bit. Zeros and leading bytes that are alike cost next to nothing."""
    return _packed(np.ascontiguousarray(table, dtype="<i8"))


def pack_floats(table: Floats) -> bytes:
    """A table (n, m), bit for bit, NaN and signs of zero as well."""
    return _packed(np.ascontiguousarray(table, dtype="<f8"))


def unpack_integers(data: bytes) -> Integers:
    """What :func:`pack_integers` made."""
    return _unpacked(data, "<i8").astype(np.int64)


def unpack_floats(data: bytes) -> Floats:
    """What :func:`pack_floats` made."""
    return _unpacked(data, "<f8").astype(np.float64)


def _packed(table: NDArray[np.generic]) -> bytes:
    # The first bytes of all numbers, then the second ones ...: those at the same place are alike.
    planes = table.view(np.uint8).reshape(-1, 8).T
    return _HEADER.pack(*table.shape) + zlib.compress(planes.tobytes(), _LEVEL)


def _unpacked(data: bytes, kind: str) -> NDArray[np.generic]:
    rows, columns = _HEADER.unpack_from(data)
    planes = np.frombuffer(zlib.decompress(data[_HEADER.size :]), dtype=np.uint8).reshape(8, -1)
    return np.ascontiguousarray(planes.T).view(kind).reshape(rows, columns)

"""Samples as bytes for the database, without loss: the same doubles come back, bit for bit.

They are packed as whole numbers (see :mod:`daemon.store.column_packing`), and that is compressed with zlib:
on logs of real cars 5 to 17 bytes per sample of 10 to 15 channels, where the doubles take 14 to 21. float32
would round values such as 2.54 V, and cells that are made anew from samples must equal the kept ones.
Up to schema version 6 a chunk was the doubles themselves, compressed; such chunks are read as they are.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from daemon.store.column_packing import packed_columns, unpacked_columns
from lowmaf.samples import CHANNELS, SampleBatch

ZLIB_LEVEL = 6
FAST_ZLIB_LEVEL = 1
FAST_FROM = 1000
"""So many samples at once come from a file or another logger: to compress them as those of a drive, into a
twentieth less, would take twice as long."""

_PACKED = b"\x01"
"""What packed columns begin with; zlib, what the doubles themselves do, begins with 0x78."""


class ChunkDamagedError(ValueError):
    """A stored chunk that does not hold what was written."""


@dataclass(frozen=True, slots=True)
class SampleChunk:
    """``n`` samples as ``data``: columns ``t_s`` and then ``channels``."""

    channels: tuple[str, ...]
    n: int
    data: bytes


def encode_samples(batch: SampleBatch) -> SampleChunk:
    """The batch as a chunk; channels are kept in the order of :data:`lowmaf.samples.CHANNELS`."""
    channels = tuple(name for name in CHANNELS if name in batch.channels)
    packed = packed_columns([batch.t_s, *(batch.channels[name] for name in channels)])
    level = FAST_ZLIB_LEVEL if len(batch) >= FAST_FROM else ZLIB_LEVEL
    return SampleChunk(channels, len(batch), _PACKED + zlib.compress(packed, level))


def decode_samples(chunk: SampleChunk) -> SampleBatch:
    """The samples that :func:`encode_samples` was given.

    A chunk carries no checksum of its own: who stores it guards it (see :mod:`daemon.store.rows`).

    Raises:
        ChunkDamagedError: the bytes are not such samples.
    """
    rows = 1 + len(chunk.channels)
    try:
        if chunk.data.startswith(_PACKED):
            values = unpacked_columns(zlib.decompress(memoryview(chunk.data)[len(_PACKED) :]), rows, chunk.n)
        else:
            values = np.frombuffer(zlib.decompress(chunk.data), dtype="<f8").reshape(rows, chunk.n)
        return SampleBatch(values[0], dict(zip(chunk.channels, values[1:], strict=True)))
    except (zlib.error, ValueError, IndexError) as error:
        raise ChunkDamagedError(f"not {chunk.n} samples of {rows} columns: {error}") from None

"""Samples as bytes for the database, without loss: the same doubles come back, bit for bit.

Columns of float64 one after the other, compressed with zlib. Measured on logs of real cars, whole doubles
compress better (15 to 20 bytes per sample of 15 channels in chunks of 100) than byte-shuffled, differenced or
xored ones (25 to 30): an ECU's values come from codes of few bits, so the same 8 bytes recur. float32
would round values such as 2.54 V, and cells that are made anew from samples must equal the kept ones.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from lowmaf.samples import CHANNELS, SampleBatch

ZLIB_LEVEL = 6
FAST_ZLIB_LEVEL = 1
FAST_FROM = 1000
"""So many samples at once come from a file or another logger: to pack them as well as those of a drive, into
a tenth less, would take three times as long."""


class ChunkDamagedError(ValueError):
    """A stored chunk that does not hold what was written."""


@dataclass(frozen=True, slots=True)
class SampleChunk:
    """``n`` samples: columns ``t_s`` and then ``channels``, each n little-endian doubles, compressed."""

    channels: tuple[str, ...]
    n: int
    data: bytes


def encode_samples(batch: SampleBatch) -> SampleChunk:
    """The batch as a chunk; channels are kept in the order of :data:`lowmaf.samples.CHANNELS`."""
    channels = tuple(name for name in CHANNELS if name in batch.channels)
    columns = [batch.t_s, *(batch.channels[name] for name in channels)]
    level = FAST_ZLIB_LEVEL if len(batch) >= FAST_FROM else ZLIB_LEVEL
    data = zlib.compress(b"".join(column.astype("<f8").tobytes() for column in columns), level)
    return SampleChunk(channels, len(batch), data)


def decode_samples(chunk: SampleChunk) -> SampleBatch:
    """The samples that :func:`encode_samples` was given.

    A chunk carries no checksum of its own: who stores it guards it (see :mod:`daemon.store.rows`).

    Raises:
        ChunkDamagedError: the bytes are not such samples.
    """
    rows = 1 + len(chunk.channels)
    try:
        values = np.frombuffer(zlib.decompress(chunk.data), dtype="<f8").reshape(rows, chunk.n)
        return SampleBatch(values[0], dict(zip(chunk.channels, values[1:], strict=True)))
    except (zlib.error, ValueError) as error:
        raise ChunkDamagedError(f"not {chunk.n} samples of {rows} columns: {error}") from None

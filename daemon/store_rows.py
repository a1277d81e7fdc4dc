"""Between what the program holds and the rows of the database, both ways."""

from __future__ import annotations

import itertools
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from daemon.sample_codec import encode_samples
from daemon.store_buffer import PendingWrites
from lowmaf.maf_table import MafTable
from lowmaf.samples import SampleBatch

CHUNK_SAMPLES = 4096
CHUNKS_PER_SESSION = 1 << 32
"""Ids of a session's chunks start at this times its number, so that they lie together in the file and need
no index, which would be one more page to write at every commit."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a commit writes, as parameters of its statements."""

    chunks: list[tuple[Any, ...]]
    blocks: list[tuple[Any, ...]]
    counts: list[tuple[Any, ...]]


def rows_of(taken: PendingWrites, next_chunk: dict[int, int]) -> Rows:
    """Encodes what was taken; ``next_chunk``, the number of each session's next chunk, is advanced."""
    states = {key: zlib.compress(state) for key, state in taken.blocks.items()}
    return Rows(
        [_chunk_row(session, batch, next_chunk) for session, batch in _pieces(taken.samples)],
        [(session, block, state, zlib.crc32(state)) for (session, block), state in states.items()],
        [(session, label, n) for session, counts in taken.counts.items() for label, n in counts.items()],
    )


def table_text(table: MafTable) -> tuple[str, str | None]:
    """Volts and flow as JSON arrays, with as many digits as it takes to get the same doubles back."""
    flow = None if table.flow_gs is None else json.dumps(table.flow_gs.tolist())
    return json.dumps(table.maf_v.tolist()), flow


def table_crc32(maf_v: str, flow_gs: str | None) -> int:
    """Checksum of both texts of a table."""
    return zlib.crc32((maf_v + (flow_gs or "")).encode())


def json_text(value: Any) -> str:
    """``value`` as JSON; infinities, which JSON lacks, as the texts ``inf`` and ``-inf``."""
    return json.dumps(_without_infinities(value), ensure_ascii=False, allow_nan=False)


def _without_infinities(value: Any) -> Any:
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(item) for item in value]
    return value


def _chunk_row(session: int, batch: SampleBatch, next_chunk: dict[int, int]) -> tuple[Any, ...]:
    number = next_chunk.get(session, 0)
    next_chunk[session] = number + 1
    chunk = encode_samples(batch)
    return (
        session * CHUNKS_PER_SESSION + number,
        chunk.n,
        float(batch.t_s[0]),
        float(batch.t_s[-1]),
        json.dumps(chunk.channels),
        chunk.data,
        chunk.crc32,
    )


def _pieces(samples: Iterable[tuple[int, SampleBatch]]) -> Iterator[tuple[int, SampleBatch]]:
    """Neighbouring batches of one session and the same channels as one, in pieces of bounded size."""
    for (session, _), group in itertools.groupby(samples, key=lambda entry: (entry[0], entry[1].delivered)):
        whole = SampleBatch.concatenate(batch for _, batch in group)
        for start in range(0, len(whole), CHUNK_SAMPLES):
            yield session, whole.slice(start, min(start + CHUNK_SAMPLES, len(whole)))

"""Samples as bytes: whatever doubles go in come out, and damage is seen."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from daemon.store.sample_codec import ChunkDamagedError, SampleChunk, decode_samples, encode_samples
from lowmaf.samples import CHANNELS, SampleBatch

ANY_BITS = hnp.arrays(np.uint64, st.integers(0, 40)).map(lambda bits: bits.view(np.float64))


@st.composite
def batches(draw: st.DrawFn) -> SampleBatch:
    t_s = draw(ANY_BITS)
    names = draw(st.sets(st.sampled_from(sorted(CHANNELS))))
    same_shape = hnp.arrays(np.uint64, t_s.shape).map(lambda bits: bits.view(np.float64))
    return SampleBatch(t_s, {name: draw(same_shape) for name in sorted(names)})


def bits(batch: SampleBatch) -> dict[str, bytes]:
    return {"t_s": batch.t_s.tobytes()} | {name: values.tobytes() for name, values in batch.channels.items()}


@given(batches())
def test_every_double_comes_back_bit_for_bit(batch: SampleBatch) -> None:
    assert bits(decode_samples(encode_samples(batch))) == bits(batch)


def test_chunks_that_were_written_up_to_schema_version_6_are_read() -> None:
    batch = drive()
    doubles = b"".join(column.astype("<f8").tobytes() for column in (batch.t_s, batch["maf_v"]))
    chunk = SampleChunk(("maf_v",), len(batch), zlib.compress(doubles))
    assert bits(decode_samples(chunk)) == bits(batch)


def drive(n: int = 100) -> SampleBatch:
    rng = np.random.default_rng(1)
    return SampleBatch(np.arange(0.0, n) * 0.02, {"maf_v": np.round(rng.uniform(1, 4, n), 2)})


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 99},
        {"n": 101},
        {"channels": ()},
        {"channels": ("maf_v", "rpm")},
        {"channels": ("volts",)},
        {"data": b"zlib?"},
        {"data": b"\x01zlib?"},
        {"data": b"\x01" + zlib.compress(b"")},
        {"data": zlib.compress(b"12345678")},
        {"data": b""},
    ],
)
def test_a_chunk_that_says_something_else_than_its_bytes_is_seen(wrong: dict[str, object]) -> None:
    chunk: SampleChunk = replace(encode_samples(drive()), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ChunkDamagedError, match="samples of"):
        decode_samples(chunk)


def test_quantised_values_take_little_room() -> None:
    chunk = encode_samples(drive())
    assert len(chunk.data) < 0.5 * 100 * 2 * 8


def altered(data: bytes, at: int, byte: int) -> bytes:
    packed = bytearray(zlib.decompress(data[1:]))
    packed[at % len(packed)] = byte
    return data[:1] + zlib.compress(packed)


@given(st.integers(0, 500), st.integers(0, 255))
def test_an_altered_chunk_gives_other_samples_or_is_seen(at: int, byte: int) -> None:
    """Nothing else may come of it: whoever reads chunks is ready for these two."""
    chunk = encode_samples(SampleBatch(np.arange(20.0), {"rpm": np.arange(20.0) % 3 / 14.7}))
    try:
        decoded = decode_samples(replace(chunk, data=altered(chunk.data, at, byte)))
    except ChunkDamagedError:
        return
    assert len(decoded) == 20

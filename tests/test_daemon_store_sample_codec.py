"""Samples as bytes: whatever doubles go in come out, and damage is seen."""

from __future__ import annotations

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


def drive(n: int = 100) -> SampleBatch:
    rng = np.random.default_rng(1)
    return SampleBatch(np.arange(n) * 0.02, {"maf_v": np.round(rng.uniform(1, 4, n), 2)})


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 99},
        {"n": 101},
        {"channels": ()},
        {"channels": ("maf_v", "rpm")},
        {"channels": ("volts",)},
        {"data": b"zlib?"},
    ],
)
def test_a_chunk_that_says_something_else_than_its_bytes_is_seen(wrong: dict[str, object]) -> None:
    chunk: SampleChunk = replace(encode_samples(drive()), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ChunkDamagedError, match="samples of"):
        decode_samples(chunk)


def test_quantised_values_take_little_room() -> None:
    chunk = encode_samples(drive())
    assert len(chunk.data) < 0.5 * 100 * 2 * 8

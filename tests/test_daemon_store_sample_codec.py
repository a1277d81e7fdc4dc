"""Samples as bytes: whatever doubles go in come out, and damage is seen."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from daemon.store.sample_codec import ChunkDamagedError, SampleChunk, decode_samples, encode_samples
from lowmaf.samples import CHANNELS, Floats, SampleBatch

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


@st.composite
def columns_of_a_logger(draw: st.DrawFn) -> Floats:
    """What loggers write: steps of some size, in some unit, blanks here and there; and what they never do."""
    n = draw(st.integers(1, 400))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    widest = draw(st.sampled_from([0, 1, 127, 128, 129, 32_767, 32_768, 70_000, 2**31 - 1, 2**31, 2**40]))
    column = np.empty(n)
    column[:] = random.integers(-widest, widest + 1, n)
    column /= 10.0 ** draw(st.integers(0, 8))
    column *= draw(st.sampled_from([1.0, 0.001, 6.894757, 1.0 / 14.7, -1.0, 1e290, 5e-324]))
    column += draw(st.sampled_from([0.0, 0.1, -0.0, 1e9]))
    odd = draw(
        st.sampled_from([[], [np.nan], [np.nan, -0.0], [np.inf, -np.inf], [np.nan, 5e-324], [-np.nan]])
    )
    for value in odd:
        column[random.random(n) < draw(st.sampled_from([0.01, 0.5, 1.0]))] = value
    return column


@given(columns_of_a_logger())
@example(np.array([0.0, -0.0] * 8))
@example(np.array([-0.0] * 8))
@example(np.full(9, np.nan))
@example(np.array([np.nan, np.nan, 1.25, np.nan, 1.5, np.nan]))
@example(np.array([1e308, -1e308] * 10))
@example(np.array([2147483647.0, -2147483648.0] * 5))
@example(np.array([2147483648.0, 0.0] * 5))
@example(np.array([5e-324, 0.0] * 20))
@example(np.array([1.0, 1.0 + 2**-52] * 20))
@example(np.array([3.1415926]))
@example(np.empty(0))
def test_columns_of_loggers_come_back_bit_for_bit(column: Floats) -> None:
    batch = SampleBatch(np.arange(0.0, column.size) / 50.0, {"maf_v": column, "rpm": column[::-1]})
    assert bits(decode_samples(encode_samples(batch))) == bits(batch)


@pytest.mark.parametrize(
    "column",
    [
        np.arange(1000) % 91 / 100,
        np.arange(1000) % 91 * 0.001,
        np.arange(1000) % 91 / 100 * 6.894757,
        np.where(np.arange(1000) % 20, np.nan, np.arange(1000) // 20 * 0.25),
        np.where(np.arange(1000) % 20, np.nan, np.arange(1000) // 20 * 0.25 / 14.7),
        np.full(1000, np.nan),
    ],
    ids=[
        "decimals",
        "milliseconds",
        "levels",
        "blanks",
        "levels and blanks",
        "never measured",
    ],
)
def test_what_a_logger_writes_takes_a_quarter_of_its_doubles_at_most(column: Floats) -> None:
    random = np.random.default_rng(1)
    shuffled = SampleBatch(np.arange(1000.0), {"maf_v": column[random.permutation(column.size)]})
    without = SampleBatch(shuffled.t_s, {})
    assert len(encode_samples(shuffled).data) - len(encode_samples(without).data) < 2000
    assert bits(decode_samples(encode_samples(shuffled))) == bits(shuffled)


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

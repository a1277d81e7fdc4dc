"""Cutting output into chunks: nothing is lost, nothing is too large, numbers go on."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.webhooks.chunks import MAX_CHUNK_BYTES, chunk_count, chunks_of

RUN = "0123456789abcdef"


@settings(max_examples=50, deadline=None)
@given(
    piece=st.text(min_size=1, max_size=40),
    length=st.integers(1, 260_000),
    first=st.integers(0, 2**40),
    final=st.booleans(),
)
def test_chunks_put_together_are_the_output(piece: str, length: int, first: int, final: bool) -> None:
    output = json.dumps((piece * length)[:length], ensure_ascii=False).encode("utf-8", "replace")
    bodies = chunks_of(RUN, first, output, final=final)
    chunks = [json.loads(body) for body in bodies]
    assert len(bodies) == chunk_count(output)
    assert max(map(len, bodies)) <= MAX_CHUNK_BYTES
    assert "".join(chunk["data"] for chunk in chunks).encode() == output
    assert [chunk["sequence"] for chunk in chunks] == list(range(first, first + len(chunks)))
    assert [chunk["part"] for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert {chunk["parts"] for chunk in chunks} == {len(chunks)}
    assert {chunk["run_id"] for chunk in chunks} == {RUN}
    assert [chunk["last"] for chunk in chunks] == [False] * (len(chunks) - 1) + [final]


def test_the_worst_that_can_be_escaped_still_fits() -> None:
    quotes = json.dumps('"\\' * 200_000).encode()
    assert max(map(len, chunks_of(RUN, 2**62, quotes, final=True))) <= MAX_CHUNK_BYTES

"""Output of a run, cut into the chunks in which it is pushed. Pure: no I/O."""

from __future__ import annotations

import msgspec

MAX_CHUNK_BYTES = 100_000
"""The whole body of a push, at most."""
_FRAME_BYTES = 400
"""More than everything of a chunk but its data takes."""
_PIECE_BYTES = (MAX_CHUNK_BYTES - _FRAME_BYTES) // 2
"""Within a JSON text a byte takes at most two in JSON: JSON has no control characters, so there are only
quotes and backslashes to escape."""


class Chunk(msgspec.Struct, frozen=True):
    """The body of one push. ``data`` of the ``parts`` parts of an output, one after another, is a JSON text.

    ``sequence`` counts the chunks of a run from 0, over all its outputs; ``last`` marks the very last one.
    """

    run_id: str
    sequence: int
    last: bool
    part: int
    parts: int
    data: str


def chunks_of(run_id: str, first_sequence: int, output: bytes, *, final: bool) -> list[bytes]:
    """The bodies of the pushes of one ``output``, a JSON text in UTF-8; the first has ``first_sequence``."""
    pieces = _pieces(output)
    return [
        msgspec.json.encode(
            Chunk(
                run_id=run_id,
                sequence=first_sequence + part,
                last=final and part == len(pieces) - 1,
                part=part + 1,
                parts=len(pieces),
                data=piece.decode(),
            )
        )
        for part, piece in enumerate(pieces)
    ]


def chunk_count(output: bytes) -> int:
    """How many chunks an output takes."""
    return len(_pieces(output))


def _pieces(output: bytes) -> list[bytes]:
    """The output in pieces that are text by themselves: none ends within a character."""
    pieces = []
    begin = 0
    while begin < len(output):
        end = min(begin + _PIECE_BYTES, len(output))
        while end < len(output) and output[end] & 0xC0 == 0x80:  # within a character of UTF-8
            end -= 1
        pieces.append(output[begin:end])
        begin = end
    return pieces

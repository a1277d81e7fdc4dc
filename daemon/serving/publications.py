"""What the daemon tells its worker processes: how to serve, and every new table and published result.

Each is MessagePack with its length, four bytes, before it.
"""

from __future__ import annotations

import asyncio
import struct

import msgspec

from daemon.serving.limits import WebLimits

ACCEPTED_AT_ONCE = 8
"""So few connections are taken in one go where several processes share them."""

_LENGTH = struct.Struct("<I")


class Begin(msgspec.Struct, tag="begin", frozen=True):
    """How to serve, told first; ``host_names`` are names it answers to besides addresses."""

    limits: WebLimits
    host_names: tuple[str, ...]
    requests_per_s: float


class NewTable(msgspec.Struct, tag="table", frozen=True):
    """The newest table, JSON."""

    body: bytes
    revision: int


class NewResult(msgspec.Struct, tag="result", frozen=True):
    """A published result that somebody asked for, JSON."""

    id: str
    body: bytes


class ResultGone(msgspec.Struct, tag="gone", frozen=True):
    """A result that is no longer at hand."""

    id: str


Publication = Begin | NewTable | NewResult | ResultGone
_DECODER = msgspec.msgpack.Decoder(Publication)


def packed(publication: Publication) -> bytes:
    """As it goes through the pipe."""
    body = msgspec.msgpack.encode(publication)
    return _LENGTH.pack(len(body)) + body


async def received(pipe: asyncio.StreamReader) -> Publication | None:
    """The next one; None when there will be no more."""
    try:
        (length,) = _LENGTH.unpack(await pipe.readexactly(_LENGTH.size))
        publication: Publication = _DECODER.decode(await pipe.readexactly(length))
    except asyncio.IncompleteReadError:
        return None
    return publication

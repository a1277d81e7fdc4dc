"""What the client has to know of each log, in few bytes: it alone travels for every single one."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from drivers.logs.summary import LogSummary
from lowmaf.merging import Said
from lowmaf.snapshot import DataWarning


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client has to know of one log.

    ``begun``: it gave samples. ``updated_s`` is the time of its newest sample with a verdict, None
    without one. ``warnings`` come with the number of the newest block before each, -inf before the first.
    """

    digest: str | None
    summary: LogSummary | None
    troubles: tuple[str, ...]
    begun: bool
    blocks: int
    updated_s: float | None
    warnings: tuple[tuple[float, DataWarning], ...]
    said: tuple[Said, ...]


def outcomes_to_bytes(outcomes: Sequence[Outcome]) -> bytes:
    """About 150 bytes for a log among others of its kind: they have columns and words in common."""
    return zlib.compress(msgspec.msgpack.encode(outcomes))


def outcomes_from_bytes(data: bytes) -> list[Outcome]:
    """What :func:`outcomes_to_bytes` made, to the last bit."""
    return msgspec.msgpack.decode(zlib.decompress(data), type=list[Outcome])

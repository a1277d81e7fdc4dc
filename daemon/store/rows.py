"""Between what the program holds and the rows of the database, both ways."""

from __future__ import annotations

import itertools
import json
import math
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daemon.store.buffer import PendingWrites
from daemon.store.records import ClosedHow, Session, SessionStart
from daemon.store.sample_codec import SampleChunk, decode_samples, encode_samples
from daemon.wall_clock import BootClock, ClockReading, ClockState
from lowmaf.maf_table import MafTable
from lowmaf.samples import SampleBatch
from lowmaf.verdicts import Verdict

CHUNK_SAMPLES = 8192
CHUNKS_PER_SESSION = 1 << 32
"""Ids of a session's chunks start at this times its number, so that they lie together in the file and need
no index, which would be one more page to write at every commit."""


SESSION_COLUMNS = (
    "id",
    "driver",
    "started_wall_s",
    "clock",
    "started_monotonic_s",
    "boot_id",
    "maf_table_revision",
    "epoch",
    "estimator",
    "settings",
)
"""What does not change while a session goes on."""

SEALED_KEYS = ("epoch", "locks", "maf_table", "configured_table")
"""Facts in ``meta`` that the table depends on; their values carry a checksum."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a commit writes, as parameters of its statements."""

    chunks: list[tuple[Any, ...]]
    blocks: list[tuple[Any, ...]]
    counts: list[tuple[Any, ...]]


def checksum(*parts: str | float | bytes | None) -> int:
    """CRC-32 over a row's values, keys included: SQLite's own check does not see altered values."""
    crc32 = 0
    for part in parts:
        crc32 = zlib.crc32(part if isinstance(part, bytes) else f"{part!r}\n".encode(), crc32)
    return crc32


def sealed(values: Mapping[str, Any]) -> str:
    """Facts for ``meta``: a JSON object with the checksum of the others as ``crc32``."""
    return json.dumps({**values, "crc32": _seal(values)})


def unsealed(text: str) -> dict[str, Any] | None:
    """What :func:`sealed` was given; None if it was damaged. Databases of version 1 have no checksum here."""
    try:
        values = json.loads(text)
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    kept = values.pop("crc32", None)
    return values if kept is None or kept == _seal(values) else None


def rows_of(taken: PendingWrites, next_chunk: dict[int, int]) -> Rows:
    """Encodes what was taken; ``next_chunk``, the number of each session's next chunk, is advanced."""
    return Rows(
        [_chunk_row(session, batch, next_chunk) for session, batch in _pieces(taken.samples)],
        [_block_row(session, block, state) for (session, block), state in taken.blocks.items()],
        [_counts_row(session, counts) for session, counts in taken.counts.items()],
    )


def batch_of(row: Sequence[Any]) -> SampleBatch | None:
    """The samples in a row of ``sample_chunks`` (id, n, channels, data, crc32); None if it was damaged."""
    number, n, channels, data, crc32 = row
    if checksum(number, n, channels, data) != crc32:
        return None
    return decode_samples(SampleChunk(tuple(json.loads(channels)), n, data))


def state_of(session: int, row: Sequence[Any]) -> bytes | None:
    """The state in a row of ``cell_blocks`` (block, state, crc32); None if it was damaged."""
    block, state, crc32 = row
    return zlib.decompress(state) if checksum(session, block, state) == crc32 else None


def table_row(table: MafTable, created_wall_s: float) -> tuple[Any, ...]:
    """A row of ``maf_tables``."""
    maf_v, flow_gs = table_text(table)
    crc32 = checksum(table.revision, maf_v, flow_gs)
    return table.revision, table.name, maf_v, flow_gs, crc32, created_wall_s


def sealed_table(revision: int, name: str, maf_v: str, flow_gs: str | None, created_wall_s: float) -> str:
    """What ``meta`` says of the MAF table that is in the ECU: its row of ``maf_tables`` a second time."""
    return sealed(
        {
            "revision": revision,
            "name": name,
            "maf_v": maf_v,
            "flow_gs": flow_gs,
            "created_wall_s": created_wall_s,
        }
    )


def table_of(row: Sequence[Any]) -> MafTable | None:
    """The MAF table in a row of ``maf_tables`` (revision, name, maf_v, flow_gs, crc32); None if damaged."""
    revision, name, maf_v, flow_gs, crc32 = row
    if checksum(revision, maf_v, flow_gs) != crc32:
        return None
    flow = None if flow_gs is None else np.array(json.loads(flow_gs))
    return MafTable(name, np.array(json.loads(maf_v)), flow, revision)


def table_text(table: MafTable) -> tuple[str, str | None]:
    """Volts and flow as JSON arrays, with as many digits as it takes to get the same doubles back."""
    flow = None if table.flow_gs is None else json.dumps(table.flow_gs.tolist())
    return json.dumps(table.maf_v.tolist()), flow


def session_row(
    session: int, start: SessionStart, settings_text: str, clock: ClockReading
) -> tuple[Any, ...]:
    """A row of ``sessions``, in the order of :data:`SESSION_COLUMNS`, and its checksum.

    ``settings_text`` is what :func:`json_text` makes of the settings that it starts with.
    """
    row = (
        session,
        start.driver,
        clock.wall_s,
        str(clock.state),
        clock.monotonic_s,
        clock.boot_id,
        start.maf_table_revision,
        start.epoch,
        start.estimator,
        settings_text,
    )
    return (*row, checksum(*row))


def session_of(row: sqlite3.Row, boots: Mapping[str, BootClock], counts: Mapping[str, int]) -> Session | None:
    """The session in a row of ``sessions`` with its span of samples and ``counts``; None if it was damaged.

    Where the wall clock was not known when it began, but became so in the same boot, it is dated by that.
    """
    if checksum(*(row[column] for column in SESSION_COLUMNS)) != row["crc32"]:
        return None
    wall_s, clock, monotonic_s = row["started_wall_s"], ClockState(row["clock"]), row["started_monotonic_s"]
    boot = boots.get(row["boot_id"])
    if boot is not None and clock is ClockState.UNSYNCED:
        wall_s, clock = monotonic_s + boot.wall_minus_monotonic_s, boot.state
    return Session(
        id=row["id"],
        driver=row["driver"],
        name=row["name"],
        started_wall_s=wall_s,
        started_monotonic_s=monotonic_s,
        clock=clock,
        boot_id=row["boot_id"],
        duration_s=_duration_s(row),
        closed_how=ClosedHow(row["closed_how"]),
        maf_table_revision=row["maf_table_revision"],
        epoch=row["epoch"],
        estimator=row["estimator"],
        settings=json.loads(row["settings"]),
        included=bool(row["included"]),
        samples=sum(counts.values()),
        accepted=counts.get(Verdict.ACCEPTED.label, 0),
    )


def _duration_s(row: sqlite3.Row) -> float | None:
    if row["ended_monotonic_s"] is not None:
        return float(row["ended_monotonic_s"] - row["started_monotonic_s"])
    return None if row["last_t_s"] is None else float(row["last_t_s"] - row["first_t_s"])


def minute_row(session: int, minute: int, counts: Mapping[str, int]) -> tuple[Any, ...]:
    """A row of ``verdict_minutes``."""
    text = _counts_text(counts)
    return session, minute, text, checksum(session, minute, text)


def minute_of(session: int, row: Sequence[Any]) -> tuple[int, dict[str, int]] | None:
    """The minute and its counts in a row of ``verdict_minutes`` (minute, counts, crc32); None if damaged."""
    minute, text, crc32 = row
    return (minute, json.loads(text)) if checksum(session, minute, text) == crc32 else None


def counts_of(session: int, row: Sequence[Any]) -> dict[str, int] | None:
    """The counts in a row of ``verdict_counts`` (counts, crc32), none where the session has no row; None if
    damaged."""
    text, crc32 = row
    if text is None and crc32 is None:
        return {}
    return json.loads(text) if checksum(session, text) == crc32 else None


def boot_row(boot: BootClock) -> tuple[Any, ...]:
    """A row of ``boots``."""
    row = (boot.boot_id, boot.wall_minus_monotonic_s, str(boot.state))
    return (*row, checksum(*row))


def boot_of(row: Sequence[Any]) -> BootClock | None:
    """What a row of ``boots`` says of a boot's clock; None if it was damaged."""
    boot_id, ahead_s, state, crc32 = row
    return (
        BootClock(boot_id, ahead_s, ClockState(state)) if checksum(boot_id, ahead_s, state) == crc32 else None
    )


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


def _seal(values: Mapping[str, Any]) -> int:
    return checksum(json.dumps(values, sort_keys=True))


def _chunk_row(session: int, batch: SampleBatch, next_chunk: dict[int, int]) -> tuple[Any, ...]:
    number = next_chunk.get(session, 0)
    next_chunk[session] = number + 1
    chunk = encode_samples(batch)
    key, channels = session * CHUNKS_PER_SESSION + number, json.dumps(chunk.channels)
    crc32 = checksum(key, chunk.n, channels, chunk.data)
    return key, chunk.n, float(batch.t_s[0]), float(batch.t_s[-1]), channels, chunk.data, crc32


def _block_row(session: int, block: int, state: bytes) -> tuple[Any, ...]:
    compressed = zlib.compress(state)
    return session, block, compressed, checksum(session, block, compressed)


def _counts_row(session: int, counts: Mapping[str, int]) -> tuple[Any, ...]:
    text = _counts_text(counts)
    return session, text, checksum(session, text)


def _counts_text(counts: Mapping[str, int]) -> str:
    return json.dumps({label: n for label, n in counts.items() if n})


def _pieces(samples: Iterable[tuple[int, SampleBatch]]) -> Iterator[tuple[int, SampleBatch]]:
    """Neighbouring batches of one session and the same channels as one, in pieces of bounded size."""
    for (session, _), group in itertools.groupby(samples, key=lambda entry: (entry[0], entry[1].delivered)):
        whole = SampleBatch.concatenate(batch for _, batch in group)
        for start in range(0, len(whole), CHUNK_SAMPLES):
            yield session, whole.slice(start, min(start + CHUNK_SAMPLES, len(whole)))

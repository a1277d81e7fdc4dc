"""Power cuts that lose the page cache: whatever was not synced may be on the disk or not, sector by sector.

What a program wrote and synced is recorded; from the record come images of the disk as a power cut may leave
it, and each is opened as at the next start.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from disk_shim import MARKING, Disk, Operation, Recorded, make_disk

from daemon.store.opening import prepare

SECTORS = (512, 4096)
COMMITS = 250

WRITER = (
    MARKING
    + """
import asyncio, sys
from pathlib import Path
import numpy as np
from daemon.store.store import Store
from daemon.store.records import SessionStart
from lowmaf.maf_table import default_axis
from lowmaf.samples import SampleBatch

async def write():
    async with await Store.open(Path(sys.argv[1]), commit_interval_s=3600.0) as store:
        await store._writer._connection.execute(f"PRAGMA synchronous = {sys.argv[2]}")
        await store._writer._connection.execute("PRAGMA wal_autocheckpoint = 60")
        table = await store.put_table(default_axis())
        start = SessionStart(
            driver="test", maf_table_revision=table.revision, epoch=1, estimator="curve", settings={}
        )
        session = await store.begin_session(start)
        rng = np.random.default_rng(1)
        for number in range(1, int(sys.argv[3]) + 1):
            store.write_samples(session, SampleBatch(number + np.arange(20.0), {"maf_v": rng.random(20)}))
            store.write_blocks(session, {number // 15: number.to_bytes(4, "big") + rng.bytes(600)})
            store.write_counts(session, {"accepted": number})
            await store.flush()
            mark(number)

asyncio.run(write())
"""
)


@dataclass
class CachedFile:
    """A file: what is on the disk for certain, and what came after that, in its order."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Recorded] = field(default_factory=list)

    def sync(self) -> None:
        self.durable = self.image(None)
        self.pending = []

    def image(self, rng: random.Random | None) -> bytearray:
        """Content after a power cut: of what is pending each sector is there or not; without ``rng`` all."""
        content = bytearray(self.durable)
        for one in self.pending:
            if one.operation is Operation.TRUNCATE:
                if rng is None or rng.random() < 0.5:
                    content[:] = content[: one.offset].ljust(one.offset, b"\0")
                continue
            size = len(one.data) if rng is None else rng.choice(SECTORS)
            at = one.offset
            while at < one.offset + len(one.data):
                end = min((at // size + 1) * size if rng else at + size, one.offset + len(one.data))
                if rng is None or rng.random() < 0.5:
                    content.extend(bytes(max(end - len(content), 0)))
                    content[at:end] = one.data[at - one.offset : end - one.offset]
                at = end
        return content


@dataclass(frozen=True)
class Image:
    """A disk after a power cut, and the newest commit that was acknowledged before it."""

    database: bytes
    log: bytes
    acknowledged: int


def images(disk: Disk, number: int, rng: random.Random) -> Iterator[Image]:
    """Images at random moments of the record, from when the first commit was acknowledged."""
    record = list(disk.recorded())
    first = next(at for at, one in enumerate(record) if one.operation is Operation.MARK)
    cuts = sorted(rng.randrange(first, len(record)) for _ in range(number))
    files = {"d": CachedFile(), "w": CachedFile()}
    acknowledged = 0
    for at, one in enumerate(record):
        if one.operation is Operation.MARK:
            acknowledged = one.offset
        elif one.operation is Operation.SYNC:
            files[one.file].sync()
        else:
            files[one.file].pending.append(one)
        while cuts and cuts[0] == at:
            cuts.pop(0)
            yield Image(bytes(files["d"].image(rng)), bytes(files["w"].image(rng)), acknowledged)


def write_on(disk: Disk, synchronous: str) -> None:
    disk.record.unlink(missing_ok=True)
    command = [sys.executable, "-c", WRITER, str(disk.folder / "car.sqlite3"), synchronous, str(COMMITS)]
    subprocess.run(command, env=disk.environment(recording=True), timeout=120, check=True)


@dataclass
class Outcome:
    """Of images: how many were damaged, lost an acknowledged commit, or held a torn one."""

    damaged: int = 0
    lost: int = 0
    torn: int = 0


COUNTS = "SELECT json_extract(counts, '$.accepted') FROM verdict_counts"


def opened(folder: Path, all_images: Iterator[Image]) -> Outcome:
    """Opens each image as the daemon does at its start, and looks at what it holds."""
    outcome = Outcome()
    path = folder / "car.sqlite3"
    for image in all_images:
        for left in folder.iterdir():
            left.unlink()
        path.write_bytes(image.database)
        path.with_name("car.sqlite3-wal").write_bytes(image.log)
        path.with_name("car.sqlite3-lock").touch()
        lock, notices = prepare(path)
        outcome.damaged += bool(notices)
        with closing(sqlite3.connect(path)) as connection:
            kept = [n for (n,) in connection.execute(COUNTS)]
            ((samples,),) = connection.execute("SELECT coalesce(sum(n), 0) FROM sample_chunks")
            states = connection.execute("SELECT count(*) FROM cell_blocks").fetchone()[0]
        lock.release()
        newest = max(kept, default=0)
        outcome.lost += newest < image.acknowledged
        outcome.torn += not notices and (
            samples != 20 * newest or states != (newest // 15 + 1 if newest else 0)
        )
    return outcome


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    (tmp_path / "car").mkdir()
    (tmp_path / "shim").mkdir()
    return make_disk(tmp_path / "car", tmp_path / "shim")


@pytest.mark.parametrize("number", [80, pytest.param(20_000, marks=pytest.mark.long)])
def test_what_was_acknowledged_survives_a_lost_page_cache(tmp_path: Path, disk: Disk, number: int) -> None:
    write_on(disk, "FULL")
    after = tmp_path / "after"
    after.mkdir()
    assert opened(after, images(disk, number, random.Random(number))) == Outcome()


def test_without_syncs_the_same_cuts_do_harm(tmp_path: Path, disk: Disk) -> None:
    """The test above can fail."""
    write_on(disk, "OFF")
    after = tmp_path / "after"
    after.mkdir()
    outcome = opened(after, images(disk, 40, random.Random(1)))
    assert outcome.damaged > 5
    assert outcome.lost > 5

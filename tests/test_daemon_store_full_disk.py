"""A small file system that others have filled: lowmaf starts on it all the same, and keeps all it can."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.store.reserve import RESERVE_BYTES, give_up_reserve, keep_reserve

STARTS_ON_A_FULL_DISK = """
import asyncio, os, sys
from pathlib import Path
import numpy as np
from daemon.store import reserve as store_reserve
from daemon.store import writer as store_writer
from daemon.store.store import Store
from daemon.store.records import SessionStart, StoreError
from lowmaf.samples import SampleBatch

store_reserve._PLENTY_BYTES = 2 << 20
store_writer.SAMPLES_RETRY_S = 0.0
PATH = Path(sys.argv[1]) / "car.sqlite3"
FILL = PATH.with_name("others")
START = SessionStart(driver="test", maf_table_revision=None, epoch=1, estimator="curve", settings={})

def fill():
    with FILL.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    assert os.statvfs(PATH.parent).f_bavail == 0

async def start(learned):
    async with await Store.open(PATH, commit_interval_s=3600.0, min_free_bytes=1.0) as store:
        assert {notice.code for notice in store.notices} <= {"disk_low"}, store.notices
        kept = await store.blocks(1)
        assert kept == ({} if learned == 1 else {0: bytes(100 * (learned - 1))}), kept
        session = await store.begin_session(START)
        store.write_blocks(1, {0: bytes(100 * learned)})
        store.write_samples(session, SampleBatch(np.arange(50.0), {"maf_v": np.arange(50.0)}))
        await store.flush()
        return session

async def samples_wait_for_room():
    async with await Store.open(PATH, commit_interval_s=3600.0, min_free_bytes=1.0) as store:
        session = await store.begin_session(START)
        fill()
        n = 0
        while not store.notices:
            store.write_samples(session, SampleBatch(n + np.arange(500.0), {"maf_v": np.random.rand(500)}))
            n += 500
            try:
                await store.flush()
            except StoreError as error:
                assert "are free on the disk" in str(error) or "no room left" in str(error), error
        assert {notice.code for notice in store.notices} <= {"disk_low", "disk_full"}
        store.write_blocks(1, {0: b"learned on a full disk"})
        try:
            await store.flush()
        except StoreError:
            pass
        assert await store.blocks(1) == {0: b"learned on a full disk"}
        FILL.unlink()
        await store.flush()
        assert store.notices == ()
        kept = [len(batch) async for batch in store.samples(session)]
        assert sum(kept) == n

assert asyncio.run(start(1)) == 1
assert store_reserve._reserve(PATH).exists()
fill()
try:
    asyncio.run(start(2))
    assert not store_reserve._reserve(PATH).exists()
finally:
    FILL.unlink()
asyncio.run(start(3))
assert store_reserve._reserve(PATH).exists(), "kept back again once there is room"
asyncio.run(samples_wait_for_room())
"""


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("unshare") is None, reason="only root may mount here")
def test_it_starts_on_a_full_disk_and_samples_wait_for_room(tmp_path: Path) -> None:
    script = f'mount -t tmpfs -o size=8m none "{tmp_path}" || exit 77; exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c"]
    ran = subprocess.run(
        [*command, STARTS_ON_A_FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if ran.returncode in (1, 77) and "Traceback" not in ran.stderr:
        pytest.skip(f"no small file system can be mounted here: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stderr


def test_the_reserve_is_given_up_only_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, reserve = tmp_path / "car.sqlite3", tmp_path / "car.sqlite3-reserve"
    usage = shutil.disk_usage(tmp_path)
    free_bytes = 40 * RESERVE_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free_bytes))
    keep_reserve(database)
    assert not reserve.exists(), "there is no plenty of room"
    free_bytes = 60 * RESERVE_BYTES
    for _ in range(2):
        keep_reserve(database)
        assert reserve.stat().st_size == RESERVE_BYTES
    assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES, "it takes up the room"
    assert not give_up_reserve(database)
    free_bytes = 1000
    assert give_up_reserve(database)
    assert not give_up_reserve(database)
    assert list(tmp_path.iterdir()) == []

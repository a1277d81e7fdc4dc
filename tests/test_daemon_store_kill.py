"""kill -9 at any moment: what was acknowledged is there, and the file is whole."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import numpy as np
import pytest

from daemon.store.records import ClosedHow
from daemon.store.store import Store
from lowmaf.samples import SampleBatch

WRITER = """
import asyncio, sys
from pathlib import Path
import numpy as np
from daemon.store.store import Store
from daemon.store.records import SessionStart
from lowmaf.maf_table import default_axis
from lowmaf.samples import SampleBatch

async def write():
    store = await Store.open(Path(sys.argv[1]), commit_interval_s=0.01)
    # so few that much of the time goes into bringing the log into the file
    await store._writer._connection.execute("PRAGMA wal_autocheckpoint = 24")
    table = await store.put_table(default_axis())
    settings = {"maf_table_revision": table.revision, "epoch": 1, "estimator": "curve", "settings": {}}
    session = await store.begin_session(SessionStart(driver="test", **settings))
    print("session", session, flush=True)
    n = 0
    while True:
        store.write_samples(session, SampleBatch(n + np.arange(10.0), {"maf_v": (n + np.arange(10.0)) / 3}))
        n += 10
        store.write_blocks(session, {n // 200: n.to_bytes(4, "big") * 500})
        store.write_counts(session, {"accepted": n})
        if n % 30 == 0:
            await store.flush()
            print(n, flush=True)
        else:
            await asyncio.sleep(0)

asyncio.run(write())
"""


def write_until_killed(path: Path, acknowledgements: int) -> tuple[int, int]:
    """Session and number of samples that were acknowledged before the writer was killed."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        session = int(writer.stdout.readline().split()[1])
        acknowledged = 0
        for _ in range(acknowledgements):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        for line in writer.stdout.read().splitlines():
            acknowledged = int(line)
    return session, acknowledged


@pytest.mark.parametrize("kills", [5, pytest.param(1000, marks=pytest.mark.long)])
async def test_nothing_acknowledged_is_lost(tmp_path: Path, kills: int) -> None:
    path = tmp_path / "car.sqlite3"
    rng = random.Random(kills)
    acknowledged: dict[int, int] = {}
    for _ in range(kills):
        session, n = write_until_killed(path, rng.randrange(40))
        acknowledged[session] = n
        with closing(connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert list(acknowledged) == list(range(1, kills + 1))
    async with await Store.open(path) as store:
        assert store.notices == ()
        sessions = await store.sessions()
        assert [session.closed_how for session in sessions] == [ClosedHow.CLOSED_INCORRECT] * kills
        for session, n in acknowledged.items():
            batches = [batch async for batch in store.samples(session)]
            kept = SampleBatch.concatenate(batches)
            assert len(kept) >= n
            assert np.array_equal(kept.t_s, np.arange(len(kept)))
            assert np.array_equal(kept["maf_v"], np.arange(len(kept)) / 3)
            counts, blocks = await store.counts(session), await store.blocks(session)
            assert counts.get("accepted", 0) == len(kept), "samples, counts and cells are of one moment"
            if blocks:
                newest = int.from_bytes(blocks[max(blocks)][:4], "big")
                assert newest == len(kept)
                assert sorted(blocks) == list(range(min(blocks), max(blocks) + 1))
    assert not list(tmp_path.glob("*.damaged-*"))

"""The whole daemon on the simulated car: suspended (SIGSTOP) in the middle of a drive; its clock moved."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from disk_shim import make_disk
from test_daemon_run import CONFIG, get, started, until

from daemon.store.store import Store
from lowmaf.samples import SampleBatch

YEAR_S = 31_557_600
SAMPLE_RATE_HZ = 20.0


async def kept(database: Path) -> tuple[list[int], SampleBatch]:
    """Numbers of all drives, and the samples of the first."""
    async with await Store.open(database) as store:
        assert store.notices == ()
        numbers = [session.id for session in await store.sessions()]
        return numbers, SampleBatch.concatenate([batch async for batch in store.samples(1)])


@pytest.mark.parametrize("pause_s", [3.0, pytest.param(60.0, marks=pytest.mark.long)])
def test_a_suspended_daemon_goes_on_with_its_drive_and_invents_nothing(
    tmp_path: Path, pause_s: float
) -> None:
    config = tmp_path / "lowmaf.toml"
    config.write_text(CONFIG.replace("speed = 20", "speed = 1"))
    with started("run", "--config", str(config)) as (process, url):
        began_s = time.monotonic()
        until(f"{url}api/v1/table", lambda table: table["samples"]["seen"] > 20)
        process.send_signal(signal.SIGSTOP)
        time.sleep(pause_s)  # the pause is what is tested
        process.send_signal(signal.SIGCONT)
        first = get(f"{url}api/v1/status")
        age_s = first["last_sample_age_s"]
        assert age_s < 1.0 or age_s > pause_s - 1.0, "the newest sample is either new, or said to be old"
        if age_s > 10.0:
            assert not first["healthy"]
            assert first["sample_rate_hz"] is None
        seen = get(f"{url}api/v1/table")["samples"]["seen"]
        until(
            f"{url}api/v1/status",
            lambda status: status["healthy"] and status["session"] == 1 and status["sample_rate_hz"],
        )
        until(f"{url}api/v1/table", lambda table: table["samples"]["seen"] > seen + 40)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        driven_s = time.monotonic() - began_s - pause_s
    numbers, samples = asyncio.run(kept(tmp_path / "kept.sqlite3"))
    assert numbers == [1], "the drive is not torn"
    steps_s = np.diff(samples.t_s)
    assert (steps_s > 0.0).all()
    assert steps_s.max() == pytest.approx(pause_s, abs=2.0), "the pause is a gap in the drive's time"
    assert np.count_nonzero(steps_s > 1.0) == 1
    assert len(samples) < 1.2 * SAMPLE_RATE_HZ * driven_s, "no sample is of the time of the pause"


def test_a_clock_that_jumps_by_years_leaves_the_drive_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shim").mkdir()
    disk = make_disk(tmp_path, tmp_path / "shim")
    for name, value in disk.environment().items():
        monkeypatch.setenv(name, value)
    config = tmp_path / "lowmaf.toml"
    config.write_text(CONFIG.replace("speed = 20", "speed = 1"))
    with started("run", "--config", str(config)) as (process, url):
        until(f"{url}api/v1/status", lambda status: status["session"] == 1)
        for years in (10, -10, 0):
            disk.behave(wall_offset_s=years * YEAR_S)
            before = get(f"{url}api/v1/status")
            after = until(
                f"{url}api/v1/status",
                lambda status, before=before: status["storage"]["commits"] > before["storage"]["commits"] + 2,
            )
            assert after["session"] == 1
            assert after["healthy"]
            assert after["last_sample_age_s"] < 5.0
            assert 0.0 < after["uptime_s"] - before["uptime_s"] < 60.0
            assert after["storage"]["notices"] == []
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    numbers, samples = asyncio.run(kept(tmp_path / "kept.sqlite3"))
    assert numbers == [1]
    steps_s = np.diff(samples.t_s)
    assert (steps_s > 0.0).all()
    assert steps_s.max() < 2.0

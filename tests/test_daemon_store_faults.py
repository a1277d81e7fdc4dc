"""A disk that is full, read-only, broken, slow; a clock that jumps; a program that is suspended.

The live path goes on, the status says what is wrong, and all is well again by itself.
"""

from __future__ import annotations

import errno
import json
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from disk_shim import Disk, make_disk

from daemon.store.store import Store
from lowmaf.samples import SampleBatch

YEAR_S = 31_557_600
PATIENCE = 20_000
"""Reports, each a few milliseconds after the one before, that something is waited for."""

DRIVING = """
import asyncio, json, sys, time
from pathlib import Path
from daemon.store import writer as store_writer
from daemon.live.hub import Hub
from daemon.live.hub_settings import HubSettings
from daemon.store.store import Store
from drivers.simulator.recording import record_drive
from drivers.simulator.settings import CarSettings
from lowmaf.filters import Filters
from lowmaf.settings import CurveSettings
from lowmaf.maf_table import default_axis

store_writer.SAMPLES_RETRY_S = 0.2

async def drive():
    recorded = record_drive(CarSettings(), 600.0, 50)
    async with await Store.open(Path(sys.argv[1]), commit_interval_s=0.05) as store:
        table = await store.put_table(default_axis())
        filters = Filters.from_pairs(["min_ect_c=off"])
        hub = Hub(HubSettings("test", table, "curve", filters, CurveSettings()), store)
        store.before_commit = hub.save
        hub.source_connected("test")
        for number in range(len(recorded)):
            began_s = time.monotonic()
            hub.take(recorded.slice(number, number + 1))
            await asyncio.sleep(0.001)
            turn_ms = 1e3 * (time.monotonic() - began_s)
            if number % 5 == 0:
                storage = hub.status().storage
                print(json.dumps({
                    "seen": number, "live_t_s": hub.live().t_s, "turn_ms": turn_ms,
                    "counted": sum(hub.pipeline.verdict_counts().values()),
                    "session": hub.session(), **storage,
                }), flush=True)
        hub.source_ended()

asyncio.run(drive())
"""


class Driving:
    """A program that drives with a store; ``reports`` are what it says of itself, in their order."""

    def __init__(self, process: subprocess.Popen[str], path: Path) -> None:
        self.process = process
        self.path = path

    def report(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the program has ended"
        return dict(json.loads(line))

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first report from now on for which something holds."""
        for _ in range(PATIENCE):
            report = self.report()
            if holds(report):
                return report
        raise AssertionError(f"never so: {report}")


def is_said(code: str, report: dict[str, Any]) -> bool:
    return any(notice["code"] == code for notice in report["notices"])


def is_past(number: int, figure: str, report: dict[str, Any]) -> bool:
    return bool(report[figure] > number)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    (tmp_path / "car").mkdir()
    (tmp_path / "shim").mkdir()
    return make_disk(tmp_path / "car", tmp_path / "shim")


@contextmanager
def driving(disk: Disk) -> Iterator[Driving]:
    path = disk.folder / "car.sqlite3"
    command = [sys.executable, "-c", DRIVING, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=disk.environment()) as process:
        try:
            running = Driving(process, path)
            running.until(lambda report: report["commits"] > 2)
            yield running
        finally:
            process.kill()


async def kept_in_order(path: Path) -> SampleBatch:
    """All samples of the first drive, which rise in time, after the program was killed."""
    async with await Store.open(path) as store:
        assert all(notice.code != "database_damaged" for notice in store.notices)
        kept = SampleBatch.concatenate([batch async for batch in store.samples(1)])
    assert (kept.t_s[1:] > kept.t_s[:-1]).all()
    return kept


FAULTS = {
    "full": ({"write_errno": errno.ENOSPC}, "disk_full"),
    "read-only": ({"write_errno": errno.EROFS}, "writing_failed"),
    "sync error": ({"sync_errno": errno.EIO}, "writing_failed"),
}
RARE_FAULTS = {
    "write error": ({"write_errno": errno.EIO}, "writing_failed"),
    "read error": ({"read_errno": errno.EIO}, "writing_failed"),
}


@pytest.mark.parametrize("faults", [FAULTS, pytest.param(RARE_FAULTS, marks=pytest.mark.long)])
async def test_driving_goes_on_while_the_disk_fails_and_all_is_kept_again_after(
    disk: Disk, faults: dict[str, tuple[dict[str, int], str]]
) -> None:
    with driving(disk) as car:
        for behaviour, code in faults.values():
            disk.behave(**behaviour)
            failing = car.until(partial(is_said, code))
            car.until(partial(is_past, failing["counted"] + 1, "counted"))
            going_on = car.until(partial(is_past, failing["seen"] + 100, "seen"))
            assert going_on["notices"]
            assert going_on["live_t_s"] > failing["live_t_s"]
            disk.behave()
            well = car.until(lambda report: not report["notices"])
            car.until(partial(is_past, well["commits"] + 3, "commits"))
            assert well["samples_dropped"] == 0
        car.process.kill()
    kept = await kept_in_order(car.path)
    assert kept.t_s[-1] >= well["live_t_s"], "what was driven meanwhile was written when it could be"
    assert len(kept) > well["seen"], "nothing is missing between"


async def test_a_slow_card_delays_commits_and_nothing_else(disk: Disk) -> None:
    with driving(disk) as car:
        quick_ms = statistics.median(car.report()["turn_ms"] for _ in range(100))
        before = car.report()["commits"]
        disk.behave(sync_delay_ms=500)
        car.until(lambda report: report["last_commit_ms"] >= 500.0)
        slow_ms = statistics.median(car.report()["turn_ms"] for _ in range(100))
        assert slow_ms < quick_ms + 50.0
        assert not car.report()["notices"]
        car.until(partial(is_past, before, "commits"))
        disk.behave()
        car.until(lambda report: report["last_commit_ms"] < 400.0)
    await kept_in_order(car.path)


async def test_neither_a_clock_that_jumps_nor_a_pause_of_the_program_changes_the_drive(disk: Disk) -> None:
    with driving(disk) as car:
        before = car.report()
        for years in (10, -10, 0):
            disk.behave(wall_offset_s=years * YEAR_S)
            after = car.until(partial(is_past, car.report()["commits"] + 3, "commits"))
            assert after["session"] == before["session"]
            assert not after["notices"]
            car.process.send_signal(signal.SIGSTOP)
            car.process.send_signal(signal.SIGCONT)
            assert not car.until(partial(is_past, after["commits"] + 2, "commits"))["notices"]
    kept = await kept_in_order(car.path)
    assert len(kept) > after["seen"] - 100
    async with await Store.open(car.path) as store:
        assert [session.id for session in await store.sessions()] == [1]

"""The power goes at any moment while the car is driven: what the next start finds on the disk.

Each cut is the death of the whole machine (SIGKILL of QEMU): its kernel, its page cache, the daemon. The disk
is one that loses what nobody asked it to make safe (:mod:`volatile_disk`). Two kinds of cut: some after a
boot from what the cut before left, as in a car; and many of one machine that is put back each time to the
moment at which it was saved, which spares the boot. Besides, the disk is looked at again and again while
it runs, as a cut at that moment would leave it.

``LOWMAF_VM_CUTS`` says how many cuts of the second kind (3; 50 for a release).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np
import pytest
from virtual_machine import VirtualMachine, eventually, powered
from vm_image import VmImage, data_disk
from volatile_disk import VolatileDisk

from daemon.store.records import ClosedHow
from daemon.store.store import Store
from lowmaf.samples import SampleBatch

pytestmark = pytest.mark.vm

CUTS = int(os.environ.get("LOWMAF_VM_CUTS", "3"))
BOOTS = 2
LOOKS = 5
LOST_LIMIT_S = 2.5
"""And what two commits take, before and after the two seconds in which samples are gathered: next to nothing
on a computer, and much on one that is emulated by a busy one."""

SPEED = 2.5
"""The simulated car is read 20 times per second of its time: so the daemon has 50 samples/s."""

ROOT = {
    "kernel_line": f"ro systemd.volatile=state systemd.setenv=LOWMAF_SOURCE_SPEED={SPEED}",
    "root_option": "readonly=on",
}
"""As on a Raspberry Pi with a read-only root: what is written goes to memory or to the data's partition."""

WATCH = Path(__file__).with_name("guest_watch_commits.py")
DATABASE = "lowmaf.sqlite3"


class LiveTime:
    """Follows the page's event stream: which sample was the newest."""

    def __init__(self, port: int) -> None:
        self.heard: list[float] = []
        """``t_s`` of samples, as they came."""
        self.commit_s: list[float] = []
        """How long commits took."""
        self._port = port
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        with (
            suppress(OSError, HTTPException),
            closing(HTTPConnection("127.0.0.1", self._port, timeout=60.0)) as connection,
        ):
            connection.request("GET", "/api/v1/stream")
            stream = connection.getresponse()
            assert stream.status == 200
            kind = ""
            for line in stream:
                name, _, value = line.decode().strip().partition(": ")
                if name == "event":
                    kind = value
                elif name == "data" and kind == "status":
                    self.commit_s.append((json.loads(value)["storage"]["last_commit_ms"] or 0.0) / 1e3)
                elif name == "data" and kind == "live":
                    t_s = json.loads(value)["t_s"]
                    if t_s is not None:
                        self.heard.append(t_s)

    def wait(self) -> None:
        self._thread.join(timeout=30.0)


@dataclass(frozen=True)
class Acknowledged:
    """The newest commit that was seen before a cut: session, its samples, ``t_s`` of the newest."""

    session: int
    samples: int
    newest_t_s: float


@dataclass(frozen=True)
class Kept:
    """What the next start finds of that session."""

    samples: int
    newest_t_s: float


def newest(machine: VirtualMachine) -> Acknowledged:
    eventually(lambda: machine.commits.lines, 60.0)
    session, samples, newest_t_s = machine.commits.lines[-1].split()
    return Acknowledged(int(session), int(samples), float(newest_t_s))


def drive(machine: VirtualMachine) -> LiveTime:
    """Waits until the service writes samples, and begins to follow what is live and what is committed."""
    machine.wait_until_ready()
    machine.run(
        "systemd-run", "--unit=watch", "--quiet", "--uid=lowmaf",
        "--property=StandardOutput=file:/dev/virtio-ports/commits", "--property=StandardError=journal",
        "/usr/bin/python3", "-S", "-c", WATCH.read_text(encoding="utf-8"), f"/var/lib/lowmaf/{DATABASE}",
    )  # fmt: skip
    newest(machine)
    return LiveTime(machine.port)


def check_file_system(disk: Path, folder: Path) -> Path:
    """What the next boot does: the journal is replayed. Gives the files of the disk."""
    done = subprocess.run(
        ["e2fsck", "-f", "-y", disk], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    subprocess.run(["debugfs", "-R", f"rdump / {folder}", disk], capture_output=True, timeout=60, check=True)
    return folder


async def samples_of(database: Path, session: int) -> SampleBatch:
    """Opened by lowmaf itself, which finds nothing wrong."""
    async with await Store.open(database) as store:
        assert store.notices == ()
        assert all(one.closed_how is not ClosedHow.OPEN for one in await store.sessions())
        return SampleBatch.concatenate([batch async for batch in store.samples(session)])


def kept_after(disk: Path, acknowledged: Acknowledged, folder: Path) -> Kept:
    """Opens what a cut left, as the next start does, and finds it whole with all that was acknowledged."""
    files = check_file_system(disk, folder)
    assert not list(files.glob("*.damaged-*")), "something was set aside by an earlier start"
    assert (files / DATABASE).exists()
    with closing(sqlite3.connect(files / DATABASE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    kept = asyncio.run(samples_of(files / DATABASE, acknowledged.session))
    assert len(kept) >= acknowledged.samples, "an acknowledged commit is lost"
    assert kept.t_s[-1] >= acknowledged.newest_t_s
    assert np.all(np.diff(kept.t_s) > 0.0)
    return Kept(len(kept), float(kept.t_s[-1]))


def lost_s(kept: Kept, live: LiveTime) -> float:
    """Seconds of driving that the page had shown, a tenth of a second late at most, and that are gone."""
    return max((live.heard[-1] - kept.newest_t_s) / SPEED, 0.0)


@dataclass(frozen=True)
class Saved:
    """A machine under way: its memory, its disk, and what it had acknowledged by then."""

    memory: Path
    disk: Path
    acknowledged: Acknowledged


def save(machine: VirtualMachine, disk: VolatileDisk, folder: Path) -> Saved:
    """Stops the machine and keeps it."""
    acknowledged = newest(machine)
    machine.monitor("stop")
    memory = folder / "memory"
    machine.monitor("migrate", uri=f"exec:cat > {memory}")
    eventually(lambda: machine.monitor("query-migrate")["status"] == "completed", 120.0)
    return Saved(memory, disk.image(folder / "saved.img", None), acknowledged)


@dataclass(frozen=True)
class Cut:
    """What a cut left on the disk, and what was known until then."""

    disk: Path
    acknowledged: Acknowledged
    live: LiveTime


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Emptied afterwards: memory and disks would be kept by pytest."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_what_was_acknowledged_survives_cuts_at_any_moment(image: VmImage, folder: Path) -> None:
    rng = random.Random(CUTS)
    began_s = time.monotonic()
    content = data_disk(folder / "data.img")
    lost: list[float] = []
    commit_s: list[float] = []
    for boot in range(1, BOOTS + 1):
        disk = VolatileDisk(content, folder / f"disk-{boot}.socket")
        with powered(image, folder / f"boot-{boot}", *disk.option, **ROOT) as machine:
            live = drive(machine)
            print(f"boot {boot}: first commit {time.monotonic() - machine.began_s:.0f} s after power on")
            assert newest(machine).session == boot, "each boot is a drive of its own"
            look_at(disk, machine, folder, rng)
            if boot == BOOTS:
                saved = save(machine, disk, folder)
            machine.cut_power()
        live.wait()
        commit_s += live.commit_s
        disk.close()
        if boot < BOOTS:
            content = disk.image(folder / f"cut-at-boot-{boot}.img", rng)
            looked_at = Path(shutil.copy(content, folder / "look.img"))
            kept = kept_after(looked_at, newest(machine), folder / "files")
            lost.append(lost_s(kept, live))
    for cut in range(CUTS):
        found = go_on_and_cut(image, saved, folder / f"cut-{cut}", rng)
        kept = kept_after(found.disk, found.acknowledged, folder / "files")
        lost.append(lost_s(kept, found.live))
        commit_s += found.live.commit_s
        shutil.rmtree(folder / f"cut-{cut}")
    lied_to = go_on_and_cut(image, saved, folder / "lied-to", rng, flushes=False)
    with pytest.raises((AssertionError, sqlite3.Error, subprocess.CalledProcessError)):
        kept_after(lied_to.disk, lied_to.acknowledged, folder / "files")
    print(
        f"{len(lost)} cuts and {BOOTS * LOOKS} looks in {time.monotonic() - began_s:.0f} s: nothing "
        f"acknowledged is lost; of the drive {np.median(lost):.1f} s (median), at most {max(lost):.1f} s; "
        f"a commit took {np.median(commit_s):.2f} s (median), at most {max(commit_s):.2f} s"
    )
    assert max(lost) <= LOST_LIMIT_S + 2.0 * max(commit_s)


def look_at(disk: VolatileDisk, machine: VirtualMachine, folder: Path, rng: random.Random) -> None:
    """The disk as cuts at random moments would leave it; also says how much is written."""
    began_s, written = time.monotonic(), disk.bytes_written
    for _ in range(LOOKS):
        time.sleep(rng.uniform(0.1, 3.0))
        acknowledged = newest(machine)
        kept_after(disk.image(folder / "look.img", rng), acknowledged, folder / "files")
    mb_per_h = (disk.bytes_written - written) / 1e6 / (time.monotonic() - began_s) * 3600.0
    print(f"{mb_per_h:.0f} MB/h written to the disk, the file system's journal included")


def go_on_and_cut(
    image: VmImage, saved: Saved, folder: Path, rng: random.Random, *, flushes: bool = True
) -> Cut:
    """The saved machine goes on for a few seconds, on a disk that keeps its word or does not, and is cut."""
    folder.mkdir()
    disk = VolatileDisk(saved.disk, folder / "disk.socket", flushes=flushes)
    load = ("-incoming", f"exec:cat {saved.memory}")
    with powered(image, folder / "machine", *disk.option, *load, **ROOT) as machine:
        eventually(lambda: machine.monitor("query-status")["status"] != "inmigrate", 120.0)
        machine.monitor("cont")
        live = LiveTime(machine.port)
        newest(machine)
        eventually(lambda: live.heard, 120.0)
        time.sleep(rng.uniform(0.0, 6.0))
        machine.cut_power()
    live.wait()
    disk.close()
    return Cut(disk.image(folder / "cut.img", rng), newest(machine), live)

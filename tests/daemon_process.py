"""A real daemon in a process of its own."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def running_demo(folder: Path, *options: str) -> Iterator[str]:
    """The demonstration on a simulated car, its database in ``folder``; yields its address.

    Fails where it does not end cleanly, or had anything to complain of in a traceback.
    """
    command = [sys.executable, "-m", "daemon", "demo", "--port", "0", "--speed", "20", *options]
    with (
        (folder / "stderr.txt").open("w+", encoding="utf-8") as complaints,
        subprocess.Popen(
            [*command, "--database", str(folder / "car.sqlite3")],
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as running,
    ):
        assert running.stdout is not None
        address = re.search(r"http://[^ ]+/", running.stdout.readline())
        try:
            assert address is not None, (folder / "stderr.txt").read_text(encoding="utf-8")
            yield address.group()
        finally:
            running.send_signal(signal.SIGTERM)
            running.stdout.read()
            ended = running.wait(20.0)
        complained = (folder / "stderr.txt").read_text(encoding="utf-8")
        assert ended == 0, complained
        assert "Traceback" not in complained, complained

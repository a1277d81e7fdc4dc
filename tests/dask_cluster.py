"""A Dask cluster of real processes on loopback: a scheduler and workers of one thread each."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import byte_count
import psutil
from distributed import Client

READY_S = 90.0


def tasks_left(dask_scheduler: Any) -> int:
    """For :meth:`DaskCluster.on_scheduler`: how many tasks the cluster still has."""
    return len(dask_scheduler.tasks)


class DaskCluster:
    """Started in ``folder``; every worker is a process that can be killed."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        self._file = folder / "scheduler.json"
        listening = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self._scheduler = self._start("scheduler", *listening)
        self.workers = [self._worker(number) for number in range(workers)]
        try:
            self.address = self._started()
            with Client(self.address, set_as_default=False, timeout=READY_S) as client:
                client.wait_for_workers(workers, timeout=READY_S)
        except BaseException:
            self._stop()
            raise

    def add_worker(self) -> None:
        """One more worker, which joins when it is ready."""
        self.workers.append(self._worker(len(self.workers)))

    def kill_worker(self, number: int) -> None:
        """The worker is gone from one moment to the next, with all that it held."""
        self.workers[number].kill()
        self.workers[number].wait()

    def kill_scheduler(self) -> None:
        """The same for the one process that all others depend on."""
        self._scheduler.kill()
        self._scheduler.wait()

    def on_scheduler(self, function: Any) -> Any:
        """What ``function``, given the scheduler as ``dask_scheduler``, returns there."""
        with Client(self.address, set_as_default=False, timeout=READY_S) as client:
            return client.run_on_scheduler(function)

    def on_workers(self, function: Any) -> None:
        """Calls ``function`` once on each worker."""
        with Client(self.address, set_as_default=False, timeout=READY_S) as client:
            client.run(function)

    def count_bytes(self) -> None:
        """From now on every process counts what it sends."""
        with Client(self.address, set_as_default=False, timeout=READY_S) as client:
            client.run(byte_count.start)
            client.run_on_scheduler(byte_count.start)

    def sent_bytes(self) -> int:
        """What scheduler and workers have sent since."""
        with Client(self.address, set_as_default=False, timeout=READY_S) as client:
            return int(sum(client.run(byte_count.sent).values()) + client.run_on_scheduler(byte_count.sent))

    def cpu_s(self) -> list[float]:
        """CPU time spent so far, s: of the scheduler, then of each worker."""
        times = [psutil.Process(process.pid).cpu_times() for process in (self._scheduler, *self.workers)]
        return [each.user + each.system for each in times]

    def keep_on(self, cores: set[int]) -> None:
        """Scheduler and workers run on these cores only."""
        for process in (self._scheduler, *self.workers):
            for thread in psutil.Process(process.pid).threads():
                os.sched_setaffinity(thread.id, cores)

    def __enter__(self) -> DaskCluster:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._stop()

    def _started(self) -> str:
        """The scheduler's address, once it has written its file to the end."""
        deadline_s = time.monotonic() + READY_S
        while True:
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                return str(json.loads(self._file.read_text(encoding="utf-8"))["address"])
            assert self._scheduler.poll() is None, (self._folder / "scheduler.log").read_text()
            assert time.monotonic() < deadline_s, "the scheduler does not start"
            time.sleep(0.05)

    def _stop(self) -> None:
        for process in (*self.workers, self._scheduler):
            process.send_signal(signal.SIGKILL)
            process.wait()

    def _worker(self, number: int) -> subprocess.Popen[bytes]:
        return self._start(
            "worker", "--scheduler-file", str(self._file), "--nthreads", "1", "--no-nanny", "--no-dashboard",
            "--host", "127.0.0.1", "--local-directory", str(self._folder / f"worker-{number}"),
            "--name", f"worker-{number}",
        )  # fmt: skip

    def _start(self, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        if kind == "scheduler":
            arguments = (*arguments, "--scheduler-file", str(self._file))
        tests = Path(__file__).resolve().parent
        path = os.pathsep.join((str(tests.parent), str(tests)))
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path}
        with (self._folder / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", kind, *arguments],
                cwd=self._folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

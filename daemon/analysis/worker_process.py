"""A process of its own for hostile and heavy work: started when it is needed, killed freely."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drivers.logs.limits import DEFAULT_LIMITS, LogLimits

IDLE_S = 30.0
"""A process without work is ended after so long: a small machine has better use for its memory."""
_PACKAGES = Path(__file__).resolve().parents[2]


class WorkerFailedError(Exception):
    """The process ended, or took too long, and what it worked on is lost; the message says why."""


class WorkerUnavailableError(Exception):
    """No process can be started now; the work can be tried again."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a worker tells: ``kind`` is interim, samples, result or failed; ``payload`` is JSON, but for
    samples (:mod:`daemon.analysis.log_samples`)."""

    kind: str
    progress: float
    payload: bytes


class WorkerProcess:
    """One worker, which does one job at a time. ``memory_bytes`` bounds its address space, ``log_limits``
    what it reads of a log."""

    def __init__(self, memory_bytes: int, log_limits: LogLimits = DEFAULT_LIMITS) -> None:
        self._memory_bytes = memory_bytes
        self._log_limits = asdict(log_limits)
        self._process: asyncio.subprocess.Process | None = None
        self._killed = False
        self._idle: asyncio.TimerHandle | None = None

    async def work(self, job: Mapping[str, Any], limit_s: float) -> AsyncGenerator[Frame]:
        """Frames of a job, the last of which is a result or says why it failed.

        Whoever stops listening before ends the process: half a job is of no use.

        Raises:
            WorkerUnavailableError: no process can be started.
            WorkerFailedError: it ended before the job did, or that took longer than ``limit_s``.
        """
        process = await self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        done = False
        try:
            async with asyncio.timeout(limit_s):
                limits = {"memory_bytes": self._memory_bytes, "log_limits": self._log_limits}
                line = json.dumps({**job, **limits})
                process.stdin.write(line.encode() + b"\n")
                await process.stdin.drain()
            until_s = asyncio.get_running_loop().time() + limit_s
            while not done:
                async with asyncio.timeout_at(until_s):
                    frame = await _frame(process.stdout)
                done = frame.kind in ("result", "failed")
                yield frame
        except TimeoutError:
            raise WorkerFailedError(f"it took longer than the {limit_s:g} s allowed") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise WorkerFailedError(await self._how_it_ended()) from None
        finally:
            if done:
                self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._kill)
            else:
                await self.close()

    async def close(self) -> None:
        """Ends the process."""
        self._kill()
        if self._process is not None:
            await self._process.wait()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._idle is not None:
            self._idle.cancel()
        if self._process is not None and self._killed:
            await self._process.wait()
        if self._process is None or self._process.returncode is not None:
            self._killed = False
            try:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "daemon.analysis.worker",
                    str(self._memory_bytes),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    cwd=_PACKAGES,
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                )
            except OSError as error:
                raise WorkerUnavailableError(f"no process can be started: {error.strerror}") from None
        return self._process

    async def _how_it_ended(self) -> str:
        assert self._process is not None
        status = await self._process.wait()
        if status >= 0:
            return f"the process that worked on it ended with status {status}"
        return f"the process that worked on it was ended by {signal.Signals(-status).name}"

    def _kill(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._killed = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


async def _frame(answers: asyncio.StreamReader) -> Frame:
    line = await answers.readline()
    if not line.endswith(b"\n"):
        raise asyncio.IncompleteReadError(line, None)
    head = json.loads(line)
    return Frame(head["kind"], head["progress"], await answers.readexactly(head["bytes"]))

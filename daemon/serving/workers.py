"""The worker processes of a machine that serves many: started, told what there is, started again.

They share the daemon's listening socket; the daemon stays the only one that knows anything. What a worker
cannot answer from what it was told comes back here with its connection. Limits of connections and of
requests hold for each process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from daemon.serving.handover import Taker, socket_pair
from daemon.serving.limits import WebLimits
from daemon.serving.publications import Begin, NewResult, NewTable, Publication, ResultGone, packed
from web.front import Front
from web.rendition import Renditions

INTERVAL_S = 0.1
"""So old what a worker answers may be: as old as what the event stream says."""
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
STEADY_S = 60.0
"""A worker that lived so long had a reason of its own to end: the next wait is short again."""
STOP_S = 1.0

Adopt = Callable[[socket.socket, bytes], None]
"""Goes on with a connection of which so much was read."""

_PACKAGES = Path(__file__).resolve().parents[2]

logger = logging.getLogger(__name__)


class Workers:
    """``count`` processes that answer what ``front`` has as bytes, while :meth:`run` goes on."""

    def __init__(
        self,
        count: int,
        front: Front,
        *,
        limits: WebLimits,
        host_names: tuple[str, ...] = (),
    ) -> None:
        self._count = count
        self._front = front
        self._begin = Begin(limits, host_names, front.access.requests_per_s)
        self.processes: dict[int, int] = {}
        """Number of each worker, from 0, and the id of its process."""

    async def run(self, listener: socket.socket, adopt: Adopt) -> None:
        """Keeps them going until cancelled, then ends them."""
        logger.info("%d more processes answer those who look at the table", self._count)
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._count):
                tasks.create_task(self._keep(number, listener, adopt), name=f"worker {number}")

    async def _keep(self, number: int, listener: socket.socket, adopt: Adopt) -> None:
        loop = asyncio.get_running_loop()
        wait_s = FIRST_WAIT_S
        while True:
            began_s = loop.time()
            try:
                words = f"ended with status {await self._one_life(number, listener, adopt)}"
            except OSError as error:
                words = f"cannot be started: {error.strerror}"
            if loop.time() - began_s > STEADY_S:
                wait_s = FIRST_WAIT_S
            logger.warning("worker %d of the dashboard %s; again in %g s", number, words, wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2.0 * wait_s, LONGEST_WAIT_S)

    async def _one_life(self, number: int, listener: socket.socket, adopt: Adopt) -> int:
        """Starts a worker and returns its exit status when it has ended."""
        ours, theirs = socket_pair()
        with contextlib.closing(ours):
            with contextlib.closing(theirs):
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "daemon.serving.worker",
                    str(listener.fileno()),
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.PIPE,
                    pass_fds=(listener.fileno(), theirs.fileno()),
                    cwd=_PACKAGES,
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                )
            assert process.stdin is not None
            self.processes[number] = process.pid
            taker = Taker(ours, adopt)
            telling = asyncio.create_task(self._tell(process.stdin))
            try:
                return await process.wait()
            finally:
                taker.close()
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
                await _ended(process)
                del self.processes[number]

    async def _tell(self, pipe: asyncio.StreamWriter) -> None:
        """Tells a worker what is new until it is gone."""
        pipe.write(packed(self._begin))
        table: Renditions | None = None
        results: dict[str, Renditions] = {}
        with contextlib.suppress(ConnectionError):
            while True:
                newest = self._front.table.newest_json()
                if newest is not table:
                    table = newest
                    pipe.write(packed(NewTable(newest.plain.body, newest.revision)))
                at_hand = self._front.published.all_at_hand()
                for news in _differences(results, at_hand):
                    pipe.write(packed(news))
                results = at_hand
                await pipe.drain()
                await asyncio.sleep(INTERVAL_S)


def _differences(before: dict[str, Renditions], now: dict[str, Renditions]) -> Iterator[Publication]:
    yield from (ResultGone(result_id) for result_id in before.keys() - now.keys())
    for result_id, renditions in now.items():
        if before.get(result_id) is not renditions:
            yield NewResult(result_id, renditions.plain.body)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Ends a process whose input has ended, by force where that does not do."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()

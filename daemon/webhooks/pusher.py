"""Delivering the output of runs to webhooks: in order per run, at least once, retried with back-off.

Output is kept in the database before its first byte is sent, with its sequence numbers. So a chunk that is
sent again, also after a restart, is the same chunk, and a receiver that leaves out numbers it has seen
has everything once. While output is under way, newer interim output takes the place of what waits
behind it: a slow receiver gets fewer interim tables, and always the final one.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from daemon.analysis.records import KeptRun
from daemon.analysis.store import AnalysisStore
from daemon.store.records import StoreError
from daemon.webhooks.chunks import chunk_count, chunks_of
from daemon.webhooks.hosts import AllowedHosts, HostForbiddenError, Receiver
from daemon.webhooks.sender import PushFailedError, WebhookSender
from web.analysis_desk import PushState
from web.webhook_urls import origin_of

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 300.0
STORE_RETRY_S = 2.0
CONNECTIONS = 4
"""Connections to one receiver, and so runs that are pushed there at once."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Delivery:
    """How far the output of one run is delivered.

    ``under_way``: some of it is kept and will be sent; ``sent`` counts chunks of that which arrived.
    ``newest`` is interim output that came since. ``final_kept``: the last output is kept too.
    ``durable``: what is kept is known to survive a power cut, and what arrived is no longer kept.
    """

    run_id: str
    number: int
    url: str
    next_sequence: int
    attempts: int
    under_way: bool = False
    sent: int = 0
    newest: bytes | None = None
    final_kept: bool = False
    durable: bool = False


class WebhookPusher:
    """Delivers output while :meth:`run` goes on."""

    def __init__(
        self,
        kept: AnalysisStore,
        hosts: AllowedHosts,
        *,
        timeout_s: float,
        max_attempts: int,
        settled: Callable[[str], None],
    ) -> None:
        """A push may take ``timeout_s``; after ``max_attempts`` without success, one after another, nothing
        more of the run is delivered. ``settled`` is called with the id of a run whose last chunk has
        arrived, or that was given up."""
        self._kept = kept
        self._hosts = hosts
        self._timeout_s = timeout_s
        self._max_attempts = max_attempts
        self._settled = settled
        self._deliveries: dict[str, _Delivery] = {}
        self._queues: dict[Receiver, _Queue] = {}
        self._tasks = asyncio.TaskGroup()

    @property
    def undelivered(self) -> int:
        """Runs of which output is awaited or waits to be delivered."""
        return len(self._deliveries)

    async def run(self) -> None:
        """Goes on with what was not delivered when the program ended, and then with what comes."""
        try:
            async with self._tasks:
                for kept in await self._kept.to_be_pushed():
                    self.begin(kept)
                    delivery = self._deliveries[kept.run.id]
                    delivery.durable, delivery.final_kept = True, kept.status.ended
                    self._queue(delivery)
                await asyncio.Event().wait()
        finally:
            for queue in self._queues.values():
                await queue.sender.close()

    def begin(self, kept: KeptRun) -> None:
        """Output of a run may come from now on; does nothing where it has no webhook."""
        if kept.push is PushState.PENDING and kept.run.webhook_url is not None:
            delivery = _Delivery(
                kept.run.id, kept.number, kept.run.webhook_url, kept.next_sequence, kept.push_attempts
            )
            self._deliveries.setdefault(kept.run.id, delivery)

    def interim(self, run_id: str, output: bytes) -> None:
        """Output that stands until newer comes."""
        delivery = self._deliveries.get(run_id)
        if delivery is None:
            return
        if delivery.under_way:
            delivery.newest = output
        else:
            self._keep(delivery, output, final=False)
            self._queue(delivery)

    def write_final(self, run_id: str, output: bytes) -> None:
        """Keeps the last output of a run with the next commit, after which comes :meth:`send_final`."""
        delivery = self._deliveries.get(run_id)
        if delivery is not None:
            self._keep(delivery, output, final=True)
            delivery.final_kept = True
            delivery.newest = None

    def send_final(self, run_id: str) -> None:
        """The last output is durable."""
        delivery = self._deliveries.get(run_id)
        if delivery is None:
            return
        delivery.durable = True
        if not delivery.under_way:
            self._queue(delivery)

    # ---- inside

    def _keep(self, delivery: _Delivery, output: bytes, *, final: bool) -> None:
        chunks = chunk_count(output)
        self._kept.write_push(delivery.number, delivery.next_sequence, chunks, output, final=final)
        delivery.next_sequence += chunks
        delivery.durable = False

    def _queue(self, delivery: _Delivery, delay_s: float = 0.0) -> None:
        delivery.under_way = True
        try:
            receiver = self._hosts.receiver(delivery.url)
        except HostForbiddenError as error:  # the configuration has changed since it was asked for
            self._give_up(delivery, str(error))
            return
        if receiver not in self._queues:
            sender = WebhookSender(receiver, self._hosts, timeout_s=self._timeout_s, connections=CONNECTIONS)
            self._queues[receiver] = _Queue(sender, self._send, self._tasks)
        self._queues[receiver].add(delivery, delay_s)

    async def _send(self, delivery: _Delivery, sender: WebhookSender) -> None:
        """Sends what is under way of a run; queues it again where there is more, or it failed."""
        try:
            if not delivery.durable:
                await self._kept.flush()
            push = await self._kept.next_push(delivery.number)
        except StoreError as error:
            logger.debug("pushes wait for the database: %s", error)
            self._queue(delivery, STORE_RETRY_S)
            return
        if push is None or push.body is None:
            self._give_up(delivery, "the output was lost from the disk")
            return
        chunks = chunks_of(delivery.run_id, push.first_sequence, push.body, final=push.final)
        try:
            for chunk in chunks[delivery.sent :]:
                await sender.push(delivery.url, chunk)
                delivery.sent += 1
                self._succeeded(delivery)
        except PushFailedError as error:
            self._failed(delivery, error)
            return
        delivery.sent = 0
        delivery.under_way = delivery.durable = False
        self._kept.write_delivered(delivery.number, push.first_sequence, final=push.final)
        if push.final:
            del self._deliveries[delivery.run_id]
            self._settled(delivery.run_id)
        elif delivery.final_kept:
            self._queue(delivery)
        elif delivery.newest is not None:
            self._keep(delivery, delivery.newest, final=False)
            delivery.newest = None
            self._queue(delivery)

    def _succeeded(self, delivery: _Delivery) -> None:
        if delivery.attempts:
            delivery.attempts = 0
            self._kept.write_attempt(delivery.number, 0, None)

    def _failed(self, delivery: _Delivery, error: PushFailedError) -> None:
        delivery.attempts += 1
        if error.gone or delivery.attempts >= self._max_attempts:
            self._give_up(delivery, str(error))
            return
        self._kept.write_attempt(delivery.number, delivery.attempts, str(error))
        delay_s = min(FIRST_RETRY_S * 2.0 ** min(delivery.attempts - 1, 20), LAST_RETRY_S)
        self._queue(delivery, delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, keeps no secret

    def _give_up(self, delivery: _Delivery, why: str) -> None:
        self._deliveries.pop(delivery.run_id, None)
        self._kept.write_given_up(delivery.number, delivery.attempts, why)
        receiver = origin_of(delivery.url)
        logger.warning("gave up pushing analysis %s to %s: %s", delivery.run_id, receiver, why)
        self._settled(delivery.run_id)


class _Queue:
    """Runs with something to send to one receiver, each once, and the tasks that send it when it is due."""

    def __init__(
        self,
        sender: WebhookSender,
        send: Callable[[_Delivery, WebhookSender], Awaitable[None]],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.sender = sender
        self._send = send
        self._tasks = tasks
        self._working = 0
        self._due: list[tuple[float, int, _Delivery]] = []
        self._order = itertools.count()
        self._added = asyncio.Event()

    def add(self, delivery: _Delivery, delay_s: float) -> None:
        """Sends output of a run in ``delay_s``, or when a connection is free."""
        due_s = asyncio.get_running_loop().time() + delay_s
        heapq.heappush(self._due, (due_s, next(self._order), delivery))
        self._added.set()
        if self._working < CONNECTIONS:
            self._working += 1
            self._tasks.create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._due:
                wait_s = self._due[0][0] - asyncio.get_running_loop().time()
                if wait_s > 0.0:
                    self._added.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait_s):
                            await self._added.wait()
                else:
                    _, _, delivery = heapq.heappop(self._due)
                    await self._send(delivery, self.sender)
        finally:
            self._working -= 1

"""``ssm-can``: Subaru SSM over ISO-TP on CAN, polled through any python-can interface."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass

import can
import numpy as np

from drivers.base import DeviceUnavailableError, FrameError
from drivers.can_link import CanLink, LinkStoppedError, NoAnswerError, open_bus
from drivers.clock import Clock
from drivers.handoff import EndOfItemsError, Handoff
from drivers.options import option, parse_options
from drivers.ssm_reader import ReadingPlan, RefusedError, SsmReader
from lowmaf.samples import SampleBatch

_DELIVER_S = 0.04  # wall time over which samples are gathered into one batch
_QUEUE_BATCHES = 256
_JOIN_S = 1.0


@dataclass(frozen=True, slots=True)
class SsmCanOptions:
    """What the configuration may say for ``driver = "ssm-can"``."""

    interface: str = option("socketcan", "python-can interface", choices=sorted(can.VALID_INTERFACES))
    channel: str = option("can0", "channel of that interface")
    bitrate: int = option(0, "0 leaves what the interface is set to", unit="bit/s", low=0, high=1_000_000)
    rate_hz: float = option(20.0, "samples per second of the source's clock", unit="Hz", low=0.5, high=200.0)
    request_id: int = option(0x7E0, "CAN identifier of requests", low=0x000, high=0x7FF)
    response_id: int = option(0x7E8, "CAN identifier of answers", low=0x000, high=0x7FF)
    timeout_s: float = option(0.5, "wait for an answer", unit="s", low=0.02, high=5.0)
    silent_s: float = option(2.0, "give up when no sample came for so long", unit="s", low=0.1, high=60.0)


@dataclass(slots=True)
class LinkCounts:
    """What happened on the link so far."""

    samples: int = 0
    bad_frames: int = 0
    unanswered: int = 0
    refused: int = 0
    dropped_batches: int = 0


class SsmCan:
    """Polls the ECU in a thread of its own; see ``drivers.base.Driver``.

    A frame that is malformed costs its sample, never more and never a repeated one. When no sample
    came for ``silent_s`` the link counts as lost.

    Raises:
        DriverOptionError: an option is unknown or impossible.
    """

    name = "ssm-can"

    def __init__(self, options: Mapping[str, object], clock: Clock) -> None:
        self.options = parse_options(SsmCanOptions, self.name, options)
        self.counts = LinkCounts()
        self._clock = clock
        self._plan: ReadingPlan | None = None

    def describe(self) -> str:
        where = f"SSM on CAN {self.options.channel} ({self.options.interface})"
        if self._plan is None:
            return where
        return f"{where}, ECU {self._plan.ecu_id}, {self._plan.words}"

    async def batches(self) -> AsyncGenerator[SampleBatch, None]:
        handoff: Handoff[SampleBatch] = Handoff(_QUEUE_BATCHES)
        stop = threading.Event()
        thread = threading.Thread(target=self._read, args=(handoff, stop), name=self.name, daemon=True)
        thread.start()
        try:
            while True:
                yield await handoff.get()
                self.counts.dropped_batches = handoff.dropped
        except EndOfItemsError:
            return
        finally:
            stop.set()
            try:
                async with asyncio.timeout(_JOIN_S):
                    await handoff.ended.wait()
            except TimeoutError:
                pass  # a backend hangs in a call; the thread is a daemon and holds nothing of ours
            finally:
                thread.join(0.05)

    def _read(self, handoff: Handoff[SampleBatch], stop: threading.Event) -> None:
        """The thread: opens the bus, polls, and closes the bus whatever happens."""
        options = self.options
        try:
            bus = open_bus(options.interface, options.channel, options.bitrate)
            try:
                link = CanLink(
                    bus,
                    options.request_id,
                    options.response_id,
                    self._clock,
                    timeout_s=options.timeout_s,
                    stop=stop,
                )
                polling = _Polling(
                    options, self.counts, self._clock, reader=SsmReader(link), handoff=handoff, stop=stop
                )
                polling.run(self._connected)
            finally:
                bus.shutdown()
        except LinkStoppedError:
            handoff.close()
        except Exception as error:  # noqa: BLE001 - raised again where the samples are awaited
            handoff.close(error)
        else:
            handoff.close()

    def _connected(self, plan: ReadingPlan) -> None:
        self._plan = plan


class _Polling:
    """One connection's life in the reader thread: find the ECU, then sample until told to stop."""

    def __init__(
        self,
        options: SsmCanOptions,
        counts: LinkCounts,
        clock: Clock,
        *,
        reader: SsmReader,
        handoff: Handoff[SampleBatch],
        stop: threading.Event,
    ) -> None:
        self._options = options
        self._counts = counts
        self._clock = clock
        self._reader = reader
        self._handoff = handoff
        self._stop = stop
        self._times: list[float] = []
        self._rows: list[list[float]] = []
        self._delivered_s = 0.0

    def run(self, connected: Callable[[ReadingPlan], None]) -> None:
        """Samples until stopped; ``connected`` is told the plan once the ECU was found.

        Raises:
            DeviceUnavailableError: no ECU answers, or it fell silent.
            LinkStoppedError: stopped while waiting for an answer.
        """
        origin_s = self._clock.now()
        plan = self._find()
        connected(plan)
        channels = plan.channels
        due_s = self._clock.now()
        last_good_s = time.monotonic()
        while not self._stop.is_set():
            if self._take(plan, origin_s):
                last_good_s = time.monotonic()
            elif time.monotonic() - last_good_s > self._options.silent_s:
                self._deliver(channels)
                raise DeviceUnavailableError(
                    f"ECU {plan.ecu_id} on CAN {self._options.channel} gave no sample "
                    f"for {self._options.silent_s:g} s: ignition off or adapter unplugged?"
                )
            if time.monotonic() - self._delivered_s >= _DELIVER_S:
                self._deliver(channels)
            due_s = max(due_s + 1.0 / self._options.rate_hz, self._clock.now())
            self._stop.wait(self._clock.wall_s(due_s - self._clock.now()))

    def _find(self) -> ReadingPlan:
        options = self._options
        give_up_s = time.monotonic() + options.silent_s
        while True:
            try:
                return self._reader.plan(self._reader.identify())
            except (NoAnswerError, FrameError, RefusedError) as error:
                if time.monotonic() >= give_up_s:
                    raise DeviceUnavailableError(
                        f"no Subaru ECU answers on CAN {options.channel} ({options.interface}), "
                        f"request {options.request_id:03X}, answer {options.response_id:03X}: {error}. "
                        f"Is the ignition on, is the bitrate right?"
                    ) from error

    def _take(self, plan: ReadingPlan, origin_s: float) -> bool:
        """One sample; False where there was none, and it is counted why."""
        try:
            at_s, values = self._reader.sample(plan)
        except NoAnswerError:
            self._counts.unanswered += 1
        except FrameError:
            self._counts.bad_frames += 1
        except RefusedError:
            self._counts.refused += 1
        else:
            self._counts.samples += 1
            self._times.append(at_s - origin_s)
            self._rows.append(values)
            return True
        return False

    def _deliver(self, channels: tuple[str, ...]) -> None:
        self._delivered_s = time.monotonic()
        if self._times:
            columns = np.ascontiguousarray(np.array(self._rows).T)
            self._handoff.put(SampleBatch(np.array(self._times), dict(zip(channels, columns, strict=True))))
            self._times, self._rows = [], []

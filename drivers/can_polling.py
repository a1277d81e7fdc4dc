"""Polling an ECU over a CAN bus in a thread: what the drivers for SSM and OBD on CAN have in common."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import can

from drivers.base import EcuSilentError, FrameError, LinkCounts
from drivers.batches import batch_of, is_full
from drivers.can_link import CanLink, NoAnswerError, RefusedError, open_bus
from drivers.can_port import BusPort, CanPort, LinkStoppedError
from drivers.clock import Clock
from drivers.handoff import Handoff, from_thread
from drivers.links import LIVE, CanPlace, Links
from drivers.options import option, parse_options
from drivers.recording import Note
from drivers.slcan_bus import check_place
from lowmaf.samples import SampleBatch

_QUEUE_BATCHES = 256
_QUIET_S = 0.25  # a bus that was silent for so long slept: on one that is awake frames come all the time
_LATE_PERIODS = 5.0  # a poll so late has lost its place; smaller delays are caught up with


@dataclass(frozen=True, slots=True)
class CanOptions:
    """What the configuration may say for a driver that polls over CAN."""

    interface: str = option("socketcan", "python-can interface", choices=sorted(can.VALID_INTERFACES))
    channel: str = option("can0", "channel of that interface")
    bitrate: int = option(0, "0 leaves what the interface is set to", unit="bit/s", low=0, high=1_000_000)
    rate_hz: float = option(20.0, "samples per second of the source's clock", unit="Hz", low=0.5, high=200.0)
    request_id: int = option(0x7E0, "CAN identifier of requests", low=0x000, high=0x7FF)
    response_id: int = option(0x7E8, "CAN identifier of answers", low=0x000, high=0x7FF)
    timeout_s: float = option(0.5, "wait for an answer", unit="s", low=0.02, high=5.0)
    silent_s: float = option(2.0, "give up when no sample came for so long", unit="s", low=0.1, high=10.0)


class Reading(Protocol):
    """An ECU that was found, and what it is asked for every sample.

    ``ecu`` names it in words; ``words`` adds what is worth telling; ``channels`` is the order of a
    sample's values.
    """

    @property
    def ecu(self) -> str: ...
    @property
    def words(self) -> str: ...
    @property
    def channels(self) -> tuple[str, ...]: ...

    def sample(self) -> tuple[float, list[float]]:
        """Time, s, and values. Raises NoAnswerError, FrameError or RefusedError where there is none."""
        ...


class PolledCan(ABC):
    """Polls the ECU in a thread of its own; see ``drivers.base.Driver``.

    A frame that is malformed costs its sample, never more and never a repeated one. When no sample
    came for ``silent_s`` the link counts as lost.

    Raises:
        DriverOptionError: an option is unknown or impossible.
    """

    name: str
    protocol: str
    """Words for what is spoken, such as ``SSM``."""
    wanted: str
    """Words for whom we look for, such as ``Subaru ECU``."""
    options_kind: type[CanOptions] = CanOptions

    def __init__(self, options: Mapping[str, object], clock: Clock, links: Links = LIVE) -> None:
        self.options = parse_options(self.options_kind, self.name, options)
        if self.options.interface == "slcan":
            check_place(self.options.channel, self.options.bitrate)
        self.counts = LinkCounts()
        self.reading: Reading | None = None
        self._clock = clock
        self._links = links

    @abstractmethod
    def find(self, link: CanLink) -> Reading:
        """Identifies the ECU and decides what to ask it; the same errors as :meth:`Reading.sample`."""

    def describe(self) -> str:
        where = f"{self.protocol} on CAN {self.options.channel} ({self.options.interface})"
        if self.reading is None:
            return where
        return f"{where}, {self.reading.ecu}, {self.reading.words}"

    async def batches(self) -> AsyncGenerator[SampleBatch, None]:
        handoff: Handoff[SampleBatch] = Handoff(_QUEUE_BATCHES, lossless=self._links.can_wait)
        async with aclosing(from_thread(handoff, partial(self._read, handoff), self.name)) as batches:
            async for batch in batches:
                self.counts.dropped_batches = handoff.dropped
                yield batch

    async def traffic(self) -> None:
        """Returns when frames come on the bus after a silence. Sends nothing.

        Raises:
            DeviceUnavailableError: the bus is not there, or gone.
        """
        handoff: Handoff[None] = Handoff(1)
        async with aclosing(from_thread(handoff, partial(self._hear, handoff), self.name)) as heard:
            async for _ in heard:
                return

    def _hear(self, handoff: Handoff[None], stop: threading.Event) -> None:
        """The thread that listens, until there is traffic."""
        options = self.options
        bus = open_bus(options.interface, options.channel, options.bitrate)
        with suppress(LinkStoppedError), closing(BusPort(bus, self._clock, stop=stop)) as port:
            came_s = port.now_s()
            while True:
                frame, now_s = port.receive(_QUIET_S), port.now_s()
                if frame is not None and now_s - came_s >= _QUIET_S:
                    handoff.put(None)
                    return
                came_s = came_s if frame is None else now_s

    def _read(self, handoff: Handoff[SampleBatch], stop: threading.Event) -> None:
        """The thread: opens the bus, polls, and closes the bus whatever happens."""
        options = self.options
        place = CanPlace(options.interface, options.channel, options.bitrate)
        with suppress(LinkStoppedError), closing(self._links.can(place, self._clock, stop)) as port:
            link = CanLink(port, options.request_id, options.response_id, timeout_s=options.timeout_s)
            try:
                self.reading = self._found(link, port)
                port.note(Note.IDENTIFIED, self.describe())
                Polling(options, self.counts, port, reading=self.reading, handoff=handoff, stop=stop).run()
            except EcuSilentError as error:
                error.traffic = self.traffic
                raise

    def _found(self, link: CanLink, port: CanPort) -> Reading:
        options = self.options
        give_up_s = port.now_s() + options.silent_s
        while True:
            try:
                return self.find(link)
            except (NoAnswerError, FrameError, RefusedError) as error:
                if port.now_s() >= give_up_s:
                    raise EcuSilentError(
                        f"no {self.wanted} answers on CAN {options.channel} ({options.interface}), "
                        f"request {options.request_id:03X}, answer {options.response_id:03X}: {error}. "
                        f"Is the ignition on, is the bitrate right?"
                    ) from error


class Polling:
    """One connection's samples in the reader thread, until told to stop."""

    def __init__(
        self,
        options: CanOptions,
        counts: LinkCounts,
        port: CanPort,
        *,
        reading: Reading,
        handoff: Handoff[SampleBatch],
        stop: threading.Event,
    ) -> None:
        self._options = options
        self._counts = counts
        self._port = port
        self._reading = reading
        self._handoff = handoff
        self._stop = stop
        self._times: list[float] = []
        self._rows: list[list[float]] = []
        self._delivered_s = 0.0

    def run(self) -> None:
        """Samples until stopped, on a fixed grid of times.

        Raises:
            EcuSilentError: the ECU fell silent.
            DeviceUnavailableError: the bus is gone.
            LinkStoppedError: stopped while waiting for an answer.
        """
        try:
            self._poll()
        finally:
            self._deliver()

    def _poll(self) -> None:
        port, period_s = self._port, 1.0 / self._options.rate_hz
        due_s = port.clock_s()
        last_good_s = port.now_s()
        while not self._stop.is_set():
            if self._take():
                last_good_s = port.now_s()
            elif port.now_s() - last_good_s > self._options.silent_s:
                raise EcuSilentError(
                    f"{self._reading.ecu} on CAN {self._options.channel} gave no sample "
                    f"for {self._options.silent_s:g} s: ignition off or adapter unplugged?"
                )
            if is_full(len(self._times), port.now_s() - self._delivered_s):
                self._deliver()
            now_s = port.clock_s()
            due_s += period_s
            if due_s < now_s - _LATE_PERIODS * period_s:
                due_s = now_s
            if due_s > now_s:
                port.pause(due_s - now_s)

    def _take(self) -> bool:
        """One sample; False where there was none, and it is counted why."""
        try:
            at_s, values = self._reading.sample()
        except NoAnswerError:
            self._counts.unanswered += 1
        except FrameError:
            self._counts.bad_frames += 1
        except RefusedError:
            self._counts.refused += 1
        else:
            self._counts.samples += 1
            self._times.append(at_s)
            self._rows.append(values)
            return True
        return False

    def _deliver(self) -> None:
        self._delivered_s = self._port.now_s()
        if self._times:
            self._handoff.put(batch_of(self._times, self._reading.channels, self._rows))
            self._times, self._rows = [], []

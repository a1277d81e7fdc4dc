"""``ssm-kline``: Subaru SSM over a K-line cable on a serial port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from dataclasses import dataclass

from drivers.base import EcuSilentError, FrameError, LinkCounts
from drivers.batches import batch_of
from drivers.byte_link import BytePort
from drivers.can_link import NoAnswerError
from drivers.clock import Clock
from drivers.kline_frames import INIT, INIT_REPLY
from drivers.kline_link import KlineLink
from drivers.links import LIVE, Links
from drivers.options import option, parse_options
from drivers.recording import Note
from drivers.ssm_ecu_parameters import ecu_parameters, fitting
from drivers.ssm_frames import (
    FUEL_LOOP_ADDRESSES,
    PARAMETERS,
    READ_REPLY,
    InitReply,
    ReadReply,
    ReadRequest,
)
from drivers.ssm_reader import (
    DEFINITION_WORDS,
    NO_DEFINITION,
    ReadingPlan,
    chosen_channels,
    definition_file,
    require_enough,
)
from lowmaf.samples import SampleBatch

_IDENTIFY_S = 1.0  # an ECU that has just been switched on takes its time
_TRIES_CONTINUOUS = 3  # requests left unanswered before the ECU is asked sample by sample


@dataclass(frozen=True, slots=True)
class SsmKlineOptions:
    """What the configuration may say for ``driver = "ssm-kline"``."""

    port: str = option("/dev/ttyUSB0", "serial port; the names in /dev/serial/by-id stay the same")
    mode: str = option(
        "continuous",
        "continuous: the ECU sends by itself, three times as often; polled: it is asked each time",
        choices=("continuous", "polled"),
    )
    channels: str = option(
        "all", "what is read, separated by commas: fewer channels come more often; all: what the ECU offers"
    )
    baudrate: int = option(
        4800, "speed of the line, which every known ECU shares", unit="bit/s", low=1200, high=115_200
    )
    definition: str = option(NO_DEFINITION, DEFINITION_WORDS)
    timeout_s: float = option(
        0.3, "wait for an answer beyond its time on the wire", unit="s", low=0.02, high=5.0
    )
    silent_s: float = option(2.0, "give up when no sample came for so long", unit="s", low=0.1, high=10.0)


class SsmKline:
    """Reads standard parameters and the state of the fuel loop; see ``drivers.base.Driver``.

    A frame that is malformed costs its sample, never more and never a repeated one.

    Raises:
        DriverOptionError: an option is unknown or impossible.
    """

    name = "ssm-kline"

    def __init__(self, options: Mapping[str, object], clock: Clock, links: Links = LIVE) -> None:
        self.options = parse_options(SsmKlineOptions, self.name, options)
        self._channels = chosen_channels(self.name, self.options.channels)
        self._definition = definition_file(self.name, self.options.definition)
        self.counts = LinkCounts()
        self._clock = clock
        self._links = links
        self._continuous = self.options.mode == "continuous"
        self._plan: ReadingPlan | None = None

    @property
    def ecu_id(self) -> str | None:
        return None if self._plan is None else self._plan.ecu_id

    def describe(self) -> str:
        where = f"SSM on K-line {self.options.port}"
        if self._plan is None:
            return where
        mode = "continuous" if self._continuous else "polled"
        return f"{where}, {self._plan.ecu}, {mode}, {self._plan.words}"

    async def batches(self) -> AsyncGenerator[SampleBatch, None]:
        clock, options = self._clock, self.options
        self._continuous = options.mode == "continuous"
        last_s = 0.0
        with closing(self._links.serial(options.port, options.baudrate, clock)) as port:
            link = KlineLink(port, clock, options.baudrate)
            plan = self._plan = await self._plan_for(await self._identify(link, port))
            port.note(Note.IDENTIFIED, self.describe())
            sampling = _Sampling(link, plan, self.counts, options.timeout_s, continuous=self._continuous)
            try:
                silent_s = 0.0
                while silent_s <= options.silent_s:
                    started_s = port.now_s()
                    found = await sampling.next()
                    self._continuous = sampling.continuous
                    if found is None:
                        silent_s += port.now_s() - started_s
                        continue
                    silent_s = 0.0
                    at_s, values = found
                    # bytes that waited together in the system may be stamped a little too late
                    last_s = max(at_s, last_s + 1e-4)
                    yield batch_of([last_s], plan.channels, [values])
            finally:
                if sampling.continuous:
                    await link.leave()
            raise EcuSilentError(
                f"{plan.ecu} on {options.port} gave no sample for {options.silent_s:g} s: "
                f"ignition off or cable unplugged?"
            )

    async def _identify(self, link: KlineLink, port: BytePort) -> InitReply:
        give_up_s = port.now_s() + self.options.silent_s
        await link.listen()
        while True:
            link.send(bytes((INIT,)))
            try:
                wait_s = min(_IDENTIFY_S, self.options.silent_s)
                answer = await link.receive(INIT_REPLY, None, wait_s)
                return InitReply.from_bytes(answer.payload, INIT_REPLY)
            except (NoAnswerError, FrameError) as error:
                if port.now_s() >= give_up_s:
                    raise EcuSilentError(
                        f"no Subaru ECU answers on K-line {self.options.port}: {error}. "
                        f"Is the ignition on, is it an SSM2 car (about 1999 to 2014)?"
                    ) from error

    async def _plan_for(self, init: InitReply) -> ReadingPlan:
        """What is read. The line is slow, so an ECU's own parameters are only where a definition is named."""
        offered = tuple(p for p in PARAMETERS if init.supports(p.index, p.bit))
        standard = tuple(p for p in offered if p.channel in self._channels)
        require_enough(init.ecu_id, standard)
        if self._definition is None:
            return ReadingPlan(init.ecu_id, standard, FUEL_LOOP_ADDRESSES.get(init.ecu_id), asks_obd=False)
        known = await asyncio.to_thread(ecu_parameters, init.ecu_id, self._definition)
        own = fitting(standard, [p for p in known.parameters if p.channel in self._channels])
        return ReadingPlan(init.ecu_id, standard, known.loop_address, False, own, known.left_out)


class _Sampling:
    """Takes one sample after the other. ``continuous`` turns False when the ECU does not know that mode."""

    def __init__(
        self, link: KlineLink, plan: ReadingPlan, counts: LinkCounts, timeout_s: float, *, continuous: bool
    ) -> None:
        self.continuous = continuous
        self._link = link
        self._plan = plan
        self._counts = counts
        self._timeout_s = timeout_s
        self._size = 1 + len(plan.request.addresses)
        self._asked = False
        self._unanswered = 0
        self._proved = False
        request = len(plan.request_bytes)
        link.scanner.longest = max(request, self._size)
        self._wire_s = link.wire_s(request, self._size)

    async def next(self) -> tuple[float, list[float]] | None:
        """Time and values, or None where no answer came in time, and it is counted why."""
        bad_before = self._link.scanner.bad_frames
        if not self._asked or not self.continuous:
            self._link.send(ReadRequest(self._plan.request.addresses, self.continuous).to_bytes())
            self._asked = True
        try:
            answer = await self._link.receive(READ_REPLY, self._size, self._wire_s + self._timeout_s)
        except NoAnswerError:
            self._note_silence(self._link.scanner.bad_frames > bad_before)
            return None
        finally:
            self._counts.bad_frames += self._link.scanner.bad_frames - bad_before
        self._proved = True
        self._counts.samples += 1
        raw = ReadReply.from_bytes(answer.payload, self._size - 1).values
        return answer.at_s, self._plan.values(raw)

    def _note_silence(self, garbled: bool) -> None:
        self._asked = False
        if garbled:
            return
        self._counts.unanswered += 1
        self._unanswered += 1
        if self.continuous and not self._proved and self._unanswered >= _TRIES_CONTINUOUS:
            self.continuous = False

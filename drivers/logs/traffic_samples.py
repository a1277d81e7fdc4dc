"""From what a tester asked and an ECU answered to samples, by the codecs of the live drivers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from drivers.base import DeviceUnavailableError, FrameError
from drivers.logs.diagnostic_traffic import Exchange
from drivers.obd_frames import CURRENT_DATA, FUEL_STATUS, SUPPORT_PIDS, CurrentDataReply, fuel_loop
from drivers.obd_plan import ObdPlan, ObdValues, plan_for
from drivers.ssm_ecu_parameters import built_in
from drivers.ssm_frames import (
    FUEL_LOOP_ADDRESSES,
    INIT,
    PARAMETERS,
    READ,
    InitReply,
    ReadReply,
    ReadRequest,
)
from drivers.ssm_reader import ReadingPlan

NAN = math.nan
RARE_HELD_S = 4.0
"""How long the answer to a seldom asked PID stands, as the live driver holds what it asks seldom."""

Row = tuple[float, list[float]]
"""Time, s, and values in the order of the channels."""


class Samples(Protocol):
    """Makes samples of one ECU's answers."""

    protocol: str
    words: str

    @property
    def channels(self) -> tuple[str, ...]: ...

    def take(self, exchange: Exchange) -> list[Row]:
        """The samples that this answer completes."""
        ...

    def finish(self) -> list[Row]:
        """The sample that waits, if there is one: nothing follows."""
        ...


class Survey:
    """What a recording holds: which requests were answered, how often, and by whom."""

    def __init__(self) -> None:
        self._reads: Counter[tuple[int, tuple[int, ...]]] = Counter()
        self._pids: dict[int, Counter[int]] = {}
        self._ecu_ids: dict[int, str] = {}
        self._alone: Counter[int] = Counter()

    def take(self, exchange: Exchange) -> None:
        """Takes note of one answer; one that is malformed says nothing."""
        request, ecu = exchange.request, exchange.ecu_id
        try:
            if request[0] == READ:
                addresses = ReadRequest.from_bytes(request).addresses
                ReadReply.from_bytes(exchange.reply, len(addresses))
                self._reads[ecu, addresses] += 1
            elif request[0] == INIT:
                self._ecu_ids[ecu] = InitReply.from_bytes(exchange.reply).ecu_id
            elif request[0] == CURRENT_DATA:
                pids = CurrentDataReply.from_bytes(exchange.reply).data.keys() - set(SUPPORT_PIDS)
                self._pids.setdefault(ecu, Counter()).update(pids)
        except FrameError:
            return

    def samples(self) -> tuple[int, Samples] | None:
        """The ECU that can be made samples of, and what makes them; None where there is none."""
        for (ecu, addresses), count in self._reads.most_common():
            plan = self._ssm_plan(ecu, addresses)
            names = {parameter.channel for parameter in plan.parameters}
            if count > 1 and "stft_pct" in names and names & {"maf_v", "maf_gs"}:
                return ecu, SsmSamples(addresses, plan)
        for ecu, pids in sorted(self._pids.items(), key=lambda item: -item[1].total()):
            try:
                plan_of_pids = plan_for(frozenset(pids), f"ECU {ecu:03X}")
            except DeviceUnavailableError:
                continue
            return ecu, ObdSamples(_held_where_rare(plan_of_pids, pids))
        return None

    def words(self) -> str:
        """What was answered, for a refusal."""
        said = [f"{count} SSM reads" for count in (sum(self._reads.values()),) if count]
        pids = sorted({pid for counter in self._pids.values() for pid in counter})
        if pids:
            said.append(f"OBD PIDs {' '.join(f'{pid:02X}' for pid in pids[:20])}")
        return " and ".join(said)

    def _ssm_plan(self, ecu: int, addresses: tuple[int, ...]) -> ReadingPlan:
        ecu_id = self._ecu_ids.get(ecu, "")
        known = FUEL_LOOP_ADDRESSES.get(ecu_id)
        loops = {known} if known is not None else set(FUEL_LOOP_ADDRESSES.values())
        found = [address for address in addresses if address in loops]
        parameters = tuple(p for p in PARAMETERS if _position(p.addresses, addresses) is not None)
        own = tuple(p for p in built_in(ecu_id) if _position(p.addresses, addresses) is not None)
        asks_obd = not found and FUEL_STATUS in self._pids.get(ecu, {})
        return ReadingPlan(ecu_id or "without a name", parameters, found[0] if found else None, asks_obd, own)


def _held_where_rare(plan: ObdPlan, answers: Counter[int]) -> ObdPlan:
    """The plan with what a tester asked for seldom held, instead of waited for in every sample."""
    often = max(answers[pid.pid] for pid in plan.pids if pid.channel == "maf_gs") / 2.0
    return replace(
        plan,
        pids=tuple(
            replace(pid, held_s=RARE_HELD_S) if pid.held_s is None and answers[pid.pid] < often else pid
            for pid in plan.pids
        ),
    )


def _position(wanted: tuple[int, ...], addresses: tuple[int, ...]) -> int | None:
    """Where the addresses of a parameter stand, one after another, in a request."""
    for at in range(len(addresses) - len(wanted) + 1):
        if addresses[at : at + len(wanted)] == wanted:
            return at
    return None


class SsmSamples:
    """Samples of answers to one SSM read request, whatever the order of its addresses."""

    protocol = "SSM"

    def __init__(self, addresses: tuple[int, ...], plan: ReadingPlan) -> None:
        self.words = f"SSM, ECU {plan.ecu_id}, {plan.words}"
        self._plan = plan
        self._request = ReadRequest(addresses).to_bytes()
        self._addresses = addresses
        wanted = [parameter.addresses for parameter in plan.read]
        if plan.loop_address is not None:
            wanted.append((plan.loop_address,))
        places = [(_position(one, addresses), len(one)) for one in wanted]
        self._order = [at + byte for at, length in places if at is not None for byte in range(length)]
        self._waiting: tuple[float, bytes] | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        return self._plan.channels

    def take(self, exchange: Exchange) -> list[Row]:
        if exchange.request == self._request:
            try:
                values = ReadReply.from_bytes(exchange.reply, len(self._addresses)).values
            except FrameError:
                return []
            raw = bytes(values[at] for at in self._order)
            if not self._plan.asks_obd:
                return [(exchange.at_s, self._plan.values(raw))]
            before = self.finish()
            self._waiting = exchange.at_s, raw
            return before
        if exchange.request[0] == CURRENT_DATA and self._waiting is not None:
            return self._with_state(exchange.reply)
        return []

    def finish(self) -> list[Row]:
        waiting, self._waiting = self._waiting, None
        return [] if waiting is None else [(waiting[0], self._plan.values(waiting[1], NAN))]

    def _with_state(self, reply: bytes) -> list[Row]:
        try:
            data = CurrentDataReply.from_bytes(reply).data.get(FUEL_STATUS)
        except FrameError:
            return []
        if data is None or self._waiting is None:
            return []
        (at_s, raw), self._waiting = self._waiting, None
        return [(at_s, self._plan.values(raw, fuel_loop(data[0])))]


class ObdSamples:
    """Samples of answers to OBD requests: one whenever all that belongs to a sample was answered anew."""

    protocol = "OBD"

    def __init__(self, plan: ObdPlan) -> None:
        self.words = f"OBD, {plan.words}"
        self._plan = plan
        self._values = ObdValues(plan)
        self._fast = {number for request in plan.fast for number in request}
        self._seen: set[int] = set()
        self._first_s = 0.0

    @property
    def channels(self) -> tuple[str, ...]:
        return self._plan.channels

    def take(self, exchange: Exchange) -> list[Row]:
        if exchange.request[0] != CURRENT_DATA:
            return []
        try:
            data = CurrentDataReply.from_bytes(exchange.reply).data
        except FrameError:
            return []
        fast = self._fast & data.keys()
        if fast and (not self._seen or fast & self._seen):
            self._values.begin()
            self._seen = set()
            self._first_s = exchange.at_s
        self._values.take(data, exchange.at_s)
        self._seen |= fast
        if not fast or self._seen != self._fast:
            return []
        self._seen = set()
        return [(self._first_s, self._values.row(exchange.at_s))]

    def finish(self) -> list[Row]:
        return []


def first_that_gives_samples(exchanges: Iterable[Exchange]) -> tuple[Survey, tuple[int, Samples] | None]:
    """A survey of a whole recording, and what makes samples of it."""
    survey = Survey()
    for exchange in exchanges:
        survey.take(exchange)
    return survey, survey.samples()

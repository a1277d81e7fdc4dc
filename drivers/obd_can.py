"""``obd-can``: OBD-II current data over ISO-TP on CAN, polled through any python-can interface."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from itertools import cycle

from drivers.base import FrameError
from drivers.can_link import CanLink, NoAnswerError, RefusedError
from drivers.can_polling import PolledCan, Reading
from drivers.clock import Clock
from drivers.obd_frames import SUPPORT_PIDS, CurrentDataReply, CurrentDataRequest, supported_pids
from drivers.obd_plan import SLOW_INTERVAL_S, ObdPlan, ObdValues, plan_for


class ObdCan(PolledCan):
    """Reads what every car since 2008 offers. No PID has the MAF voltage: it is had back from the flow."""

    name = "obd-can"
    protocol = "OBD"
    wanted = "OBD-II ECU"

    def find(self, link: CanLink) -> Reading:
        ecu = f"ECU {self.options.response_id:03X}"
        plan = plan_for(_discover(link), ecu)
        reading = _ObdReading(link, plan, ecu, self._clock)
        return (
            reading
            if reading.answers_whole()
            else _ObdReading(link, replace(plan, group=1), ecu, self._clock)
        )


def _discover(link: CanLink) -> frozenset[int]:
    """Every PID that the ECU says it has."""
    found: set[int] = set()
    for base in SUPPORT_PIDS:
        bits = _ask(link, (base,)).data.get(base)
        if bits is None:
            raise FrameError(f"the answer to PID {base:02X} does not hold it")
        found |= supported_pids(base, bits)
        if base + 32 not in found:
            break
    return frozenset(found)


def _ask(link: CanLink, pids: Iterable[int]) -> CurrentDataReply:
    return CurrentDataReply.from_bytes(link.ask(CurrentDataRequest(tuple(pids)).to_bytes()).payload)


class _ObdReading:
    """Asks for what belongs to a sample, and now and then for what changes slowly."""

    def __init__(self, link: CanLink, plan: ObdPlan, ecu: str, clock: Clock) -> None:
        self.ecu = ecu
        self.words = plan.words
        self.channels = plan.channels
        self._link = link
        self._plan = plan
        self._clock = clock
        self._values = ObdValues(plan)
        self._fast = [CurrentDataRequest(pids).to_bytes() for pids in plan.fast]
        self._slow = cycle([CurrentDataRequest(pids).to_bytes() for pids in plan.slow])
        self._slow_due_s = link.newest_s if plan.slow else float("inf")

    def answers_whole(self) -> bool:
        """Whether the ECU answers requests for several PIDs with all of them, as not every one does."""
        for pids in self._plan.fast:
            try:
                if set(_ask(self._link, pids).data) != set(pids):
                    return False
            except RefusedError:
                return False
        return True

    def sample(self) -> tuple[float, list[float]]:
        newest_s = self._link.newest_s
        if newest_s >= self._slow_due_s:
            self._slow_due_s = newest_s + SLOW_INTERVAL_S / self._clock.wall_s(1.0)
            with contextlib.suppress(NoAnswerError, RefusedError, FrameError):
                self._read(next(self._slow))  # a value that cannot be had grows too old
        self._values.begin()
        times = [self._read(request) for request in self._fast]
        return times[0], self._values.row(times[-1])

    def _read(self, request: bytes) -> float:
        answer = self._link.ask(request)
        self._values.take(CurrentDataReply.from_bytes(answer.payload).data, answer.at_s)
        return answer.at_s

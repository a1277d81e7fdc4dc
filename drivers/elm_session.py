"""A session with a car through an ELM327: set up the adapter, find out what there is, take samples."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import cycle

from drivers.base import DeviceUnavailableError, EcuSilentError, FrameError, LinkCounts
from drivers.can_link import NoAnswerError
from drivers.clock import Clock
from drivers.elm_frames import (
    can_payloads,
    error_in,
    expected_lines,
    iso_checksum,
    j1850_crc,
    legacy_payloads,
)
from drivers.elm_port import ElmPort
from drivers.obd_frames import SUPPORT_PIDS, CurrentDataReply, CurrentDataRequest, supported_pids
from drivers.obd_plan import SLOW_INTERVAL_S, ObdPlan, ObdValues, plan_for

_RESET_S = 3.0  # clones take their time
_SEARCH_S = 12.0  # to try every protocol
_SET_UP = ("ATE0", "ATL0", "ATS0", "ATH1", "ATCAF1", "ATAT2")
_LONG_HEADERS = "79"  # protocols whose identifiers have 29 bits
_CAN = "6789"


class RejectedError(Exception):
    """The adapter tells an error instead of data."""


class ElmSession:
    """``channels`` and ``words`` are known once :meth:`connect` has returned."""

    def __init__(self, port: ElmPort, clock: Clock, counts: LinkCounts, timeout_s: float) -> None:
        self.channels: tuple[str, ...] = ()
        self.words = ""
        self._port = port
        self._slow_interval_s = SLOW_INTERVAL_S / clock.wall_s(1.0)
        self._counts = counts
        self._timeout_s = timeout_s
        self._payloads = partial(can_payloads, long_headers=False)
        self._ecu = ""
        self._counting = True
        self._lines: dict[str, int] = {}

    async def connect(self, protocol: str) -> None:
        """Sets up the adapter and chooses what is read.

        Raises:
            DeviceUnavailableError: no adapter answers, the car does not, or it offers too little.
        """
        try:
            adapter = await self._set_up("0" if protocol == "auto" else protocol)
            plan = plan_for(await self._discover(), f"ECU {self._ecu}")
        except NoAnswerError as error:
            raise DeviceUnavailableError(f"no ELM327 answers: {error}") from error
        if not await self._answers_whole(plan):
            plan = replace(plan, group=1)
        self.channels = plan.channels
        self.words = f"{adapter}, ECU {self._ecu}, {plan.words}"
        self._values = ObdValues(plan)
        self._fast = [_command(pids) for pids in plan.fast]
        self._slow = cycle([_command(pids) for pids in plan.slow])
        self._slow_due_s = self._port.arrived_s if plan.slow else float("inf")

    async def sample(self) -> tuple[float, list[float]] | None:
        """Time, s, and values in the order of ``channels``; None where there is none, and it is counted why.

        Raises:
            DeviceUnavailableError: the link is gone, or the adapter has started anew.
        """
        newest_s = self._port.arrived_s
        if newest_s >= self._slow_due_s:
            self._slow_due_s = newest_s + self._slow_interval_s
            await self._take(next(self._slow))  # a value that cannot be had grows too old
        self._values.begin()
        first, *others = self._fast
        at_s = await self._take(first)
        if at_s is None:
            return None
        for command in others:
            await self._take(command)
        self._counts.samples += 1
        return at_s, self._values.row(self._port.arrived_s)

    async def _set_up(self, protocol: str) -> str:
        """Brings the adapter to known settings; returns its name."""
        try:
            lines = await self._port.command("ATZ", _RESET_S)
        except NoAnswerError:
            lines = []  # one that was busy is back at its prompt now, and takes it
        adapter = next((line for line in lines if "ELM" in line), "") or " ".join(
            await self._port.command("ATI", self._timeout_s)
        )
        for command in (*_SET_UP, f"ATSP{protocol}"):
            await self._port.command(command, self._timeout_s)  # "?" is a setting that it lacks
        return adapter[:30] if adapter and _is_text(adapter) else "adapter without a name"

    async def _discover(self) -> frozenset[int]:
        """Every PID that the chosen ECU has. Chosen is the one that knows fuel trims and air flow."""
        lines = await self._port.command("0100", _SEARCH_S)
        number = (await self._port.command("ATDPN", self._timeout_s) or [""])[0][-1:]
        if number in _CAN:
            self._payloads = partial(can_payloads, long_headers=number in _LONG_HEADERS)
        else:
            checksum = j1850_crc if number in {"1", "2"} else iso_checksum
            self._payloads = partial(legacy_payloads, checksum=checksum)
        found = {ecu: bits for ecu, payload in self._payloads(lines).items() if (bits := _bits(payload, 0))}
        if not found and not _is_text("".join(lines)):
            raise DeviceUnavailableError(
                "what comes is no text of an ELM327: is this its port, is its baud rate another?"
            )
        if not found:
            raise EcuSilentError(
                f"the adapter answers but the car does not: {error_in(lines) or ' / '.join(lines)[:60]}. "
                f"Is the ignition on?"
            )
        self._ecu = max(sorted(found), key=lambda ecu: len({0x06, 0x10} & supported_pids(0, found[ecu])))
        if self._ecu.startswith("7E") and len(self._ecu) == 3:
            await self._port.command(f"ATSH7E{int(self._ecu[2], 16) - 8:X}", self._timeout_s)
        supported = set(supported_pids(0, found[self._ecu]))
        for base in SUPPORT_PIDS[1:]:
            if base not in supported:
                break
            try:
                supported |= supported_pids(base, (await self._ask(_command((base,)))).data.get(base, b""))
            except (NoAnswerError, FrameError, RejectedError):
                break
        return frozenset(supported)

    async def _answers_whole(self, plan: ObdPlan) -> bool:
        """Whether several PIDs at once are answered with all of them: only on CAN, and not by every clone."""
        if len(self._ecu) not in {3, 8}:
            return False
        try:
            for pids in plan.fast:
                if set((await self._ask(_command(pids))).data) != set(pids):
                    return False
        except (NoAnswerError, FrameError, RejectedError):
            return False
        return True

    async def _take(self, command: str) -> float | None:
        """Reads and keeps the values; their time, or None where there were none, and it is counted why."""
        try:
            data = (await self._ask(command)).data
        except NoAnswerError:
            self._counts.unanswered += 1
        except FrameError:
            self._counts.bad_frames += 1
        except RejectedError:
            self._counts.refused += 1
        else:
            at_s = (self._port.sent_s + self._port.arrived_s) / 2.0
            self._values.take(data, at_s)
            return at_s
        return None

    async def _ask(self, command: str) -> CurrentDataReply:
        """The reply of the chosen ECU. The number of lines is told where known: it saves a wait."""
        lines_known = self._lines.get(command) if self._counting else None
        text = f"{command}{lines_known:X}" if lines_known else command
        lines = await self._port.command(text, self._timeout_s)
        if any("ELM" in line for line in lines):
            raise DeviceUnavailableError("the adapter has started anew, as it does when its supply dips")
        payload = self._payloads(lines).get(self._ecu)
        if payload is None:
            if lines_known and error_in(lines) == "?":
                self._counting = False  # an adapter that does not know this
            if (error := error_in(lines)) is not None:
                raise RejectedError(error)
            raise FrameError(f"adapter's response {' / '.join(lines)[:60]!r}: no whole reply in it")
        reply = CurrentDataReply.from_bytes(payload)
        if len(self._ecu) == 3:
            self._lines[command] = expected_lines(len(payload))
        return reply


def _command(pids: tuple[int, ...]) -> str:
    return CurrentDataRequest(pids).to_bytes().hex().upper()


def _bits(payload: bytes, base: int) -> bytes:
    """The bits in a reply to a support PID, empty where it is none."""
    return payload[2:6] if payload[:2] == bytes((0x41, base)) and len(payload) >= 6 else b""


def _is_text(text: str) -> bool:
    """Whether it is something that an adapter says, and not what a wrong baud rate makes of it."""
    return text.isascii() and text.isprintable()

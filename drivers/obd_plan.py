"""What is asked of an OBD-II ECU, how its bytes become channels, and how long a value holds. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from drivers.base import DeviceUnavailableError
from drivers.batches import load_of
from drivers.obd_frames import FUEL_STATUS, MAX_PIDS, fuel_loop
from lowmaf.samples import CHANNELS

NAN = math.nan
SLOW_INTERVAL_S = 0.5
"""Time between requests for channels that change slowly."""


@dataclass(frozen=True, slots=True)
class ObdPid:
    """One PID that is a channel of ours.

    ``held_s`` is None where the value belongs to the sample it was read for; otherwise it is read
    now and then and stands for that long.
    """

    pid: int
    channel: str
    decode: Callable[[bytes], float]
    held_s: float | None = None


def _word(data: bytes) -> int:
    return int.from_bytes(data[:2], "big")


def _trim(data: bytes) -> float:
    return (data[0] - 128) * 100.0 / 128.0


def _celsius(data: bytes) -> float:
    return data[0] - 40.0


def _lambda(data: bytes) -> float:
    return _word(data) * 2.0 / 65536.0


def _flow_of_sensors(data: bytes) -> float:
    """PID 66: one or two sensors; with two, each measures the air of its own bank."""
    flows = [_word(data[1 + 2 * sensor :]) / 32.0 for sensor in (0, 1) if data[0] >> sensor & 1]
    return sum(flows) if flows else NAN


PIDS: tuple[ObdPid, ...] = (
    ObdPid(0x10, "maf_gs", lambda data: _word(data) / 100.0),
    ObdPid(0x66, "maf_gs", _flow_of_sensors),
    ObdPid(0x06, "stft_pct", _trim),
    ObdPid(0x07, "ltft_pct", _trim),
    ObdPid(FUEL_STATUS, "fuel_loop", lambda data: fuel_loop(data[0])),
    ObdPid(0x0C, "rpm", lambda data: _word(data) / 4.0),
    ObdPid(0x34, "lambda_", _lambda),
    ObdPid(0x24, "lambda_", _lambda),
    ObdPid(0x44, "lambda_target", _lambda),
    ObdPid(0x11, "throttle_pct", lambda data: data[0] * 100.0 / 255.0, held_s=4.0),
    ObdPid(0x0D, "speed_kmh", lambda data: float(data[0]), held_s=4.0),
    ObdPid(0x0B, "map_kpa", lambda data: float(data[0]), held_s=4.0),
    ObdPid(0x05, "ect_c", _celsius, held_s=10.0),
    ObdPid(0x0F, "iat_c", _celsius, held_s=10.0),
)
"""PIDs that are read, the most important first; of two with the same channel the first is preferred."""


@dataclass(frozen=True)
class ObdPlan:
    """What is asked: ``pids`` in requests of at most ``group`` PIDs each.

    The requests in ``fast`` make one sample together; those in ``slow`` take turns.
    """

    pids: tuple[ObdPid, ...]
    group: int = MAX_PIDS

    @cached_property
    def fast(self) -> tuple[tuple[int, ...], ...]:
        return self._requests(pid for pid in self.pids if pid.held_s is None)

    @cached_property
    def slow(self) -> tuple[tuple[int, ...], ...]:
        return self._requests(pid for pid in self.pids if pid.held_s is not None)

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Channels of a sample, in the order of its values; engine load is derived."""
        names = [pid.channel for pid in self.pids]
        return (*names, "load_g_rev") if {"maf_gs", "rpm"} <= set(names) else tuple(names)

    @property
    def words(self) -> str:
        together = "" if self.group > 1 else ", one at a time"
        return f"{len(self.pids)} PIDs{together}"

    def _requests(self, pids: Iterable[ObdPid]) -> tuple[tuple[int, ...], ...]:
        numbers = [pid.pid for pid in pids]
        return tuple(tuple(numbers[at : at + self.group]) for at in range(0, len(numbers), self.group))


def plan_for(supported: frozenset[int], ecu: str) -> ObdPlan:
    """What to ask an ECU that has these PIDs.

    Raises:
        DeviceUnavailableError: too little for a sample: no trim, or no air flow.
    """
    chosen: dict[str, ObdPid] = {}
    for pid in PIDS:
        if pid.pid in supported:
            chosen.setdefault(pid.channel, pid)
    if not {"maf_gs", "stft_pct"} <= chosen.keys():
        raise DeviceUnavailableError(
            f"{ecu} offers {', '.join(chosen) or 'nothing that is read'}; "
            f"stft_pct (PID 06) and maf_gs (PID 10 or 66) are needed"
        )
    return ObdPlan(tuple(chosen.values()))


class ObdValues:
    """The newest value of every channel of a plan, and until when it stands."""

    def __init__(self, plan: ObdPlan) -> None:
        self._plan = plan
        self._by_number = {pid.pid: pid for pid in plan.pids}
        self._values: dict[str, float] = {}
        self._until_s: dict[str, float] = {}

    def begin(self) -> None:
        """A new sample: what belongs to one sample only is forgotten."""
        for pid in self._plan.pids:
            if pid.held_s is None:
                self._values.pop(pid.channel, None)

    def take(self, data: Mapping[int, bytes], at_s: float) -> None:
        """Data bytes by PID, read at ``at_s``; PIDs that are not in the plan are passed over."""
        for number, raw in data.items():
            pid = self._by_number.get(number)
            if pid is None:
                continue
            channel = CHANNELS[pid.channel]
            value = pid.decode(raw)
            self._values[pid.channel] = value if channel.low <= value <= channel.high else NAN
            self._until_s[pid.channel] = math.inf if pid.held_s is None else at_s + pid.held_s

    def row(self, now_s: float) -> list[float]:
        """Values in the order of the plan's channels; NaN where one was not read or is too old."""
        values = [
            self._values.get(pid.channel, NAN) if now_s <= self._until_s.get(pid.channel, now_s) else NAN
            for pid in self._plan.pids
        ]
        if len(self._plan.channels) > len(values):
            values.append(load_of(self._values.get("maf_gs", NAN), self._values.get("rpm", NAN)))
        return values

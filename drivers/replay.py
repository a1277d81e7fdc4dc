"""``replay``: a recorded log, or a recording of a link or a CAN bus, as if live."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from drivers.base import DeviceUnavailableError
from drivers.batches import DELIVER_S
from drivers.clock import Clock
from drivers.handoff import Handoff, from_thread
from drivers.logs.errors import LogUnreadableError
from drivers.logs.opening import open_log
from drivers.options import option, parse_options
from drivers.signal_options import DBC_WORDS, NONE, signals_named
from lowmaf.samples import SampleBatch

_LONGEST_WAIT_S = 5.0  # of wall time: holes in a recording are not sat out
_READ_AHEAD = 4


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What the configuration may say for ``driver = "replay"``."""

    file: str = option(
        "drive.csv", "log of any program that lowmaf reads, CAN recording, or raw recording of a link"
    )
    speed: float = option(
        1.0, "recorded time per wall time; 0: as fast as it can be read", low=0.0, high=10_000.0
    )
    dbc: str = option(NONE, f"for a CAN recording of an ECU that broadcasts: {DBC_WORDS}")
    signals: str = option(NONE, "with dbc: which signal is which channel, as can-broadcast has it")


class Replay:
    """Gives the samples of a recording in its time, and ends with it; see ``drivers.base.Driver``.

    It keeps its place: opened again, it goes on after the last sample that was taken.
    """

    name = "replay"

    def __init__(self, options: Mapping[str, object], clock: Clock) -> None:
        self.options = parse_options(ReplayOptions, self.name, options)
        self._clock = clock
        self._words = ""
        self._taken = 0
        named = (self.options.dbc, self.options.signals)
        self._signals = None if named == (NONE, NONE) else signals_named(self.name, *named)

    @property
    def log(self) -> Path:
        """The recording, whose samples are to count once."""
        return Path(self.options.file)

    @property
    def lacks_voltage(self) -> bool:
        """Whether the MAF voltage has to be had back from the flow, as far as the options tell."""
        return self._signals is not None and "maf_v" not in self._signals.channels

    def describe(self) -> str:
        speed = f"{self.options.speed:g} × real time" if self.options.speed else "as fast as it goes"
        return f"replay of {self.options.file}{self._words}, {speed}"

    async def batches(self) -> AsyncGenerator[SampleBatch, None]:
        handoff: Handoff[SampleBatch] = Handoff(_READ_AHEAD, lossless=True)
        pace = _Pace(self.options.speed, self._clock)
        async with aclosing(from_thread(handoff, partial(self._read, handoff), self.name)) as batches:
            try:
                async for batch in batches:
                    for part in pace.parts(batch):
                        await asyncio.sleep(pace.wait_s(part))
                        self._taken += len(part)
                        yield part
            except (LogUnreadableError, OSError) as error:
                if not self._taken:
                    raise DeviceUnavailableError(f"nothing can be replayed: {error}") from error
                self._words += f", ended early: {error}"  # to try again would count the samples again

    def _read(self, handoff: Handoff[SampleBatch], stop: threading.Event) -> None:
        """The thread: reads ahead of what is given."""
        drive = open_log(self.log, signals=self._signals)
        passed = self._taken
        for batch in drive.batches():
            self._words = f" ({drive.summary.format})"
            if passed < len(batch):
                handoff.put(batch.slice(passed, len(batch)))
            passed = max(passed - len(batch), 0)
            if stop.is_set():
                return


class _Pace:
    """When samples are due: as far apart as they were recorded, divided by ``speed``."""

    def __init__(self, speed: float, clock: Clock) -> None:
        self._speed = speed
        self._clock = clock
        self._newest_s: float | None = None
        self._due_s = clock.now()

    def parts(self, batch: SampleBatch) -> Iterator[SampleBatch]:
        """The batch in pieces that are due together."""
        if not self._speed:
            yield batch
            return
        ticks = np.floor(batch.t_s * (1.0 / (self._speed * DELIVER_S)))
        edges = [0, *(np.flatnonzero(np.diff(ticks)) + 1).tolist(), len(batch)]
        for start, stop in itertools.pairwise(edges):
            yield batch.slice(start, stop)

    def wait_s(self, part: SampleBatch) -> float:
        """Wall time until these samples are due, s."""
        if not self._speed:
            return 0.0
        newest_s = float(part.t_s[-1])
        if self._newest_s is not None:
            step_s = max(newest_s - self._newest_s, 0.0) / self._speed
            self._due_s += min(step_s, _LONGEST_WAIT_S)
        self._newest_s = newest_s
        return max(self._clock.wall_s(self._due_s - self._clock.now()), 0.0)

"""A car that drives as a recorded log says, for a simulated ECU: only what it shows is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import chain

from drivers.logs.recorded_drive import RecordedDrive
from lowmaf.samples import CHANNELS, FuelLoop, SampleBatch

_BETWEEN_S = 1.0
"""Time between the end of the log and its beginning, when it is driven again."""


class RecordedCar:
    """Shows what the log showed at the same time after its start, and drives it again at its end.

    ``shown`` are the channels that the log has. A value that was not measured in a row is that of the
    row before; before the first it is 0. The log is read as it is driven, in flat memory.

    Raises:
        LogUnreadableError: the log gives no samples.
    """

    def __init__(self, open_drive: Callable[[], RecordedDrive]) -> None:
        self._open_drive = open_drive
        self._rows = self._read()
        first_s, values = next(self._rows)
        self.shown = frozenset(values)
        self._values = dict.fromkeys(CHANNELS, 0.0)
        self._values["fuel_loop"] = float(FuelLoop.OPEN_COLD)
        self._show(values)
        self._start_s = first_s
        self._t_s = self._newest_s = 0.0
        self._waiting = next(self._rows, None)

    @property
    def t_s(self) -> float:
        """Time since the start, s."""
        return self._t_s

    def advance_to(self, t_s: float) -> None:
        """Drives on to ``t_s``; never back."""
        self._t_s = max(self._t_s, t_s)
        while True:
            if self._waiting is None:
                self._rows = self._read()
                self._waiting = next(self._rows)
                self._start_s = self._waiting[0] - self._newest_s - _BETWEEN_S
            at_s, values = self._waiting
            if at_s - self._start_s > self._t_s:
                return
            self._newest_s = at_s - self._start_s
            self._show(values)
            self._waiting = next(self._rows, None)

    def value(self, channel: str) -> float:
        """What is shown now, in the channel's unit; see ``lowmaf.samples.CHANNELS``."""
        return self._values[channel]

    def _show(self, values: dict[str, float]) -> None:
        self._values.update((name, value) for name, value in values.items() if math.isfinite(value))

    def _read(self) -> Iterator[tuple[float, dict[str, float]]]:
        return chain.from_iterable(map(_rows, self._open_drive().batches()))


def _rows(batch: SampleBatch) -> Iterator[tuple[float, dict[str, float]]]:
    """Time and values by channel of each sample."""
    names = list(batch.channels)
    columns = [column.tolist() for column in batch.channels.values()]
    for t_s, *values in zip(batch.t_s.tolist(), *columns, strict=True):
        yield t_s, dict(zip(names, values, strict=True))

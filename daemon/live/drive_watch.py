"""When a drive begins and when it is over, from nothing but the samples and the time.

A drive begins with the first sample of a running engine (:data:`RUNNING_RPM` or more). It is over when
the engine was off for :data:`ENGINE_OFF_S`, or when no sample came for :data:`LINK_GONE_S`: a stalled engine,
a stop at a red light with the engine off and a link that drops out belong to the drive. A source without
engine speed has a running engine as long as samples come.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import Enum

import numpy as np

from lowmaf.filters import Mask
from lowmaf.samples import Floats, SampleBatch

RUNNING_RPM = 300.0
"""Above cranking, below any idle, 1/min."""
ENGINE_OFF_S = 120.0
LINK_GONE_S = 120.0
RPM_SILENT_S = 10.0
"""Engine speed that was not measured for so long is treated as one that the source has not."""
_LEAST_STEP_S = 1e-3


class DriveStep(Enum):
    """What becomes of samples, in the order of time."""

    BEGINS = "a drive begins: the samples are its first"
    GOES_ON = "the samples belong to the drive"
    ENDS = "the drive is over: there are no samples"
    IDLE = "the samples belong to no drive"


class DriveWatch:
    """Says of every sample whether it belongs to a drive, the same in any chunking.

    ``newest_s`` is the drive's time, s: it goes on where the link was lost and a source began anew, so it
    rises through the whole drive.
    """

    def __init__(self) -> None:
        self.driving = False
        self.newest_s = -math.inf
        self._newest_at_s = -math.inf
        self._running_s = -math.inf
        self._rpm_known_s = -math.inf
        self._rpm_runs = False
        self._joins = True
        self._shift_s = 0.0

    def connected(self) -> None:
        """A source was opened: its time may begin anywhere."""
        self._joins = True

    def resume(self, newest_s: float, newest_at_s: float) -> None:
        """A drive that another run of the program had begun goes on.

        Its newest sample has the time ``newest_s`` in the drive and came ``newest_at_s``.
        """
        self.driving = True
        self.newest_s = self._running_s = newest_s
        self._newest_at_s = newest_at_s
        self._joins = True

    def stop(self) -> None:
        """The drive is over for another reason: the source has ended, or the user wants a pause."""
        self.driving = False

    def quiet_s(self, now_s: float) -> float:
        """Time since the newest sample, s."""
        return now_s - self._newest_at_s

    def gone(self, now_s: float) -> bool:
        """Whether the drive is over because no sample came for so long."""
        return self.driving and self.quiet_s(now_s) >= LINK_GONE_S

    def follow(self, batch: SampleBatch, now_s: float) -> Iterator[tuple[DriveStep, SampleBatch]]:
        """Splits samples that came ``now_s``; their time is the drive's."""
        if not len(batch):
            return
        batch = self._in_drive_time(batch, now_s)
        self._newest_at_s = now_s
        if self._goes_on(batch):
            yield DriveStep.GOES_ON, batch
            return
        running = self._running(batch)
        start, stop = 0, len(batch)
        while start < stop:
            if self.driving:
                end = self._end(batch.t_s, running, start)
                if end > start:
                    yield DriveStep.GOES_ON, batch.slice(start, end)
                if end < stop:
                    self.driving = False
                    yield DriveStep.ENDS, batch.slice(end, end)
            else:
                end = stop if not running[start:].any() else start + int(running[start:].argmax())
                if end > start:
                    yield DriveStep.IDLE, batch.slice(start, end)
                if end < stop:
                    self.driving = True
                    self.newest_s = self._running_s = float(batch.t_s[end])
                    last = self._end(batch.t_s, running, end)
                    yield DriveStep.BEGINS, batch.slice(end, last)
                    end = last
            start = end

    def _in_drive_time(self, batch: SampleBatch, now_s: float) -> SampleBatch:
        if self._joins:
            self._joins = False
            began_s = float(batch.t_s[0])
            self._rpm_known_s = -math.inf
            self._shift_s = 0.0
            if self.driving:
                self._shift_s = self.newest_s + max(self.quiet_s(now_s), _LEAST_STEP_S) - began_s
        if self._shift_s:
            batch = SampleBatch(batch.t_s + self._shift_s, batch.channels)
        if self._rpm_known_s == -math.inf:
            self._rpm_known_s, self._rpm_runs = float(batch.t_s[0]), self.driving
        return batch

    def _goes_on(self, batch: SampleBatch) -> bool:
        """Whether these are nothing but more samples of a running engine, as nearly all are."""
        first_s, last_s = float(batch.t_s.min()), float(batch.t_s.max())
        whole = self.driving and max(last_s, self.newest_s) - min(first_s, self.newest_s) < LINK_GONE_S
        if not whole or ("rpm" in batch.channels and not batch["rpm"].min() >= RUNNING_RPM):
            return False
        self.newest_s, self._running_s = max(self.newest_s, last_s), max(self._running_s, last_s)
        if "rpm" in batch.channels:
            self._rpm_runs, self._rpm_known_s = True, float(batch.t_s[-1])
        return True

    def _running(self, batch: SampleBatch) -> Mask:
        """Whether the engine runs, per sample; what is not measured is as it was."""
        if "rpm" not in batch.channels:
            return np.ones(len(batch), dtype=np.bool_)
        rpm = batch["rpm"]
        known = np.isfinite(rpm)
        newest = np.maximum.accumulate(np.where(known, np.arange(len(batch)), -1))
        runs = np.where(newest >= 0, rpm[newest] >= RUNNING_RPM, self._rpm_runs)
        known_s = np.where(newest >= 0, batch.t_s[newest], self._rpm_known_s)
        self._rpm_runs, self._rpm_known_s = bool(runs[-1]), float(known_s[-1])
        running: Mask = runs | (batch.t_s - known_s >= RPM_SILENT_S)
        return running

    def _end(self, t_s: Floats, running: Mask, start: int) -> int:
        """First sample from ``start`` on that does not belong to the drive any more."""
        times = t_s[start:]
        ran_s = np.fmax.accumulate(np.append(self._running_s, np.where(running[start:], times, -np.inf)))
        came_s = np.fmax.accumulate(np.append(self.newest_s, times))
        over = (times - ran_s[1:] >= ENGINE_OFF_S) | (times - came_s[:-1] >= LINK_GONE_S)
        end = int(over.argmax()) if over.any() else over.size
        self._running_s, self.newest_s = float(ran_s[end]), float(came_s[end])
        return start + end

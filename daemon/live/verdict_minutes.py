"""What became of the samples, minute by minute: kept with the drive, and shown for the last hour."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from lowmaf.judge import Judged
from lowmaf.verdicts import LABELS, Verdict
from web.board import VerdictMinute

MINUTE_S = 60.0
SHOWN_MINUTES = 60


class VerdictMinutes:
    """Counts of final verdicts per minute of a drive's time.

    Samples whose time does not rise have no place in time: they are in the drive's totals only.
    """

    def __init__(self) -> None:
        self._session = 0
        self._open: dict[int, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
        self._recent: deque[VerdictMinute] = deque(maxlen=SHOWN_MINUTES)

    def begin(self, session: int) -> None:
        """Verdicts from now on belong to this drive; the one before was finished."""
        self._session = session

    def add(self, judged: Judged) -> None:
        """Verdicts that became final; mostly there are none, for samples are judged in slices."""
        if not judged.t_s.size:
            return
        minutes = np.floor(judged.t_s / MINUTE_S).astype(np.int64)
        for minute in sorted(set(minutes.tolist())):  # np.unique would load masked arrays: 2 MB
            counts = np.bincount(judged.verdicts[minutes == minute], minlength=len(Verdict))
            self._open[minute] = self._open.get(minute, 0) + counts

    def take(self, *, finished: bool) -> Mapping[int, Mapping[str, int]]:
        """Minutes that are over, each given once; all of them where the drive has finished."""
        newest = max(self._open, default=0)
        over = [minute for minute in sorted(self._open) if finished or minute < newest]
        taken = {minute: _labelled(self._open.pop(minute)) for minute in over}
        self._recent.extend(VerdictMinute(self._session, minute, counts) for minute, counts in taken.items())
        return taken

    def recent(self) -> tuple[VerdictMinute, ...]:
        """The newest hour of driving, oldest first; the last minute is the one that goes on."""
        going_on = (
            VerdictMinute(self._session, minute, _labelled(self._open[minute]))
            for minute in sorted(self._open)
        )
        return (*self._recent, *going_on)[-SHOWN_MINUTES:]


def _labelled(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> dict[str, int]:
    return {label: count for label, count in zip(LABELS, counts.tolist(), strict=True) if count}

"""The time of each row: numbers or clock text, that wraps, changes its form, stands still or goes back."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

import numpy as np

from lowmaf.samples import Floats

DAY_S = 86400.0
HOUR_S = 3600.0
BACK_S = 2.0
"""Time that goes back by more than this is another drive stitched on; by less it is a disturbed row."""
STITCH_GAP_S = 60.0
"""What is put between two stitched drives: long enough for every rule that looks at neighbours."""

LARGEST_GROUP = 1000
"""More rows than this on one stamp are a clock that stands."""
WIDEST_STAMP_S = 2.0

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CLOCK = re.compile(
    r"(?:(?P<h>\d{1,4}):)?(?P<m>\d{1,2}):(?P<s>\d{1,2})(?P<f>[.,]\d+)?\s*(?P<half>[AaPp][Mm])?"
    r"(?:Z|\s*(?P<zone>[+-])(?P<zh>\d{2}):?(?P<zm>\d{2}))?$"
)
_YEAR_LAST = re.compile(
    r"[A-Za-z]{3},? (?P<mo>[A-Za-z]{3}) +(?P<d>\d{1,2}) (?P<clock>[\d:.]+)"
    r"(?: [A-Za-z]{1,5}(?P<zone>[+-]\d{2}:?\d{2})?)? (?P<y>\d{4})$"
)
"""``Sat Aug 02 11:34:40 GMT+02:00 2026``: Java's way, met as Torque's GPS time."""
_DATES = (
    re.compile(r"(?P<y>\d{4})[-/.](?P<mo>\d{1,2})[-/.](?P<d>\d{1,2})[T ]\s*"),
    re.compile(r"(?P<d>\d{1,2})[- ](?P<mo>[A-Za-z]{3})[a-z]*[- ,]+(?P<y>\d{4})[T ]\s*"),
    re.compile(r"(?P<d>\d{1,2})\.(?P<mo>\d{1,2})\.(?P<y>\d{4})[T ]\s*"),
    re.compile(r"(?P<mo>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})[T ]\s*"),
)


def clock_stamp(text: str) -> tuple[float, float]:
    """Seconds that a clock text stands for, and the period after which it begins anew.

    ``53:35.7`` is minutes and seconds and wraps after an hour, ``1:05:11 PM`` after a day; with a
    date it never wraps (period infinite). (NaN, NaN) where the text is no time.
    """
    text = text.strip()
    if last := _YEAR_LAST.match(text):
        text = f"{last['d']}-{last['mo']}-{last['y']} {last['clock']}{last['zone'] or ''}"
    days = 0.0
    dated = False
    for pattern in _DATES:
        if found := pattern.match(text):
            ordinal = _ordinal(found["y"], found["mo"], found["d"])
            if ordinal is None:
                return np.nan, np.nan
            days, dated, text = float(ordinal), True, text[found.end() :]
            break
    clock = _CLOCK.match(text)
    if clock is None or int(clock["m"]) > 59 or int(clock["s"]) > 60:
        return np.nan, np.nan
    hours = int(clock["h"] or 0)
    if clock["half"]:
        if not 1 <= hours <= 12:
            return np.nan, np.nan
        hours = hours % 12 + (12 if clock["half"].casefold() == "pm" else 0)
    fraction = float("0" + clock["f"].replace(",", ".")) if clock["f"] else 0.0
    seconds = hours * HOUR_S + int(clock["m"]) * 60.0 + int(clock["s"]) + fraction
    if dated:
        if clock["zone"]:
            ahead = int(clock["zh"]) * HOUR_S + int(clock["zm"]) * 60.0
            seconds += ahead if clock["zone"] == "-" else -ahead
        return days * DAY_S + seconds, np.inf
    return seconds, DAY_S if clock["h"] is not None else HOUR_S


def _ordinal(year: str, month: str, day: str) -> int | None:
    name = month[:3].casefold()
    number = _MONTHS.index(name) + 1 if name in _MONTHS else int(month) if month.isdigit() else 0
    try:
        return datetime.date(int(year), number, int(day)).toordinal()
    except ValueError:
        return None


class TimeLine:
    """Turns stamps into ``t_s``: from 0 at the first row, across wraps and stitched drives.

    ``stitches`` counts where time went back and another drive begins.
    """

    def __init__(self) -> None:
        self.stitches = 0
        self._offset_s: float | None = None
        self._stamp_s = 0.0
        self._period_s = np.inf

    def place(self, stamp_s: Floats, period_s: Floats | None) -> Floats:
        """``t_s`` of consecutive rows, from finite stamps and the periods in which they wrap, None: never."""
        if not stamp_s.size:
            return np.empty(0)
        if period_s is None:
            if self._offset_s is None:
                self._offset_s, self._stamp_s = -float(stamp_s[0]), float(stamp_s[0])
            offset_s = None if np.isfinite(self._period_s) else self._offset_s
            if offset_s is not None and steps_from(self._stamp_s, stamp_s).min() >= -BACK_S:
                self._stamp_s = float(stamp_s[-1])
                onward: Floats = stamp_s + offset_s
                return onward
            period_s = np.full(stamp_s.size, np.inf)
        if self._offset_s is None:
            self._offset_s, self._stamp_s = -float(stamp_s[0]), float(stamp_s[0])
            self._period_s = float(period_s[0])
        step = steps_from(self._stamp_s, stamp_s)
        periods = np.concatenate(([self._period_s], period_s))
        shared = np.minimum(periods[1:], periods[:-1])
        restarted = (step < 0.0) | (step >= shared) | (periods[1:] != periods[:-1])
        restarted &= np.isfinite(shared)
        jump = np.zeros(stamp_s.size)
        if restarted.any():
            period = shared[restarted]
            wrapped = np.mod(step[restarted], period)
            wrapped = np.where(wrapped > period / 2.0, wrapped - period, wrapped)
            jump[restarted] = wrapped - step[restarted]
            step[restarted] = wrapped
        back = step < -BACK_S
        jump[back] += STITCH_GAP_S - step[back]
        self.stitches += int(np.count_nonzero(back))
        offsets = np.cumsum(np.concatenate(([self._offset_s], jump)))
        self._offset_s = float(offsets[-1])
        self._stamp_s, self._period_s = float(stamp_s[-1]), float(period_s[-1])
        placed: Floats = stamp_s + offsets[1:]
        return placed


def steps_from(before_s: float, t_s: Floats) -> Floats:
    """From each time's predecessor to it, s; ``before_s`` precedes the first."""
    steps = np.empty_like(t_s)
    steps[:1] = t_s[:1] - before_s
    np.subtract(t_s[1:], t_s[:-1], out=steps[1:])
    return steps


@dataclass(frozen=True, slots=True)
class StampGroup:
    """Rows that share one stamp, the last that were looked at."""

    t_s: float
    rows: int


def spread(t_s: Floats, next_t_s: float | None, previous: StampGroup | None) -> tuple[Floats, StampGroup]:
    """Times of rows of which many share one stamp, spread evenly over it.

    A clock with whole seconds gives ten rows the same stamp: they were taken evenly within it. Three
    or more rows on a stamp, or two on each of two stamps in a row, are taken for such; a single
    doubled stamp is left as it is. Groups above :data:`LARGEST_GROUP` rows are a clock that stands.

    Args:
        t_s: consecutive rows, at least one; complete groups only.
        next_t_s: the stamp that follows, None at the end of the log.
        previous: the group before these rows, None at the beginning.

    Returns:
        The times, and the last group, to pass on.
    """
    steps = t_s[1:] - t_s[:-1]
    if steps.all():
        return t_s, StampGroup(float(t_s[-1]), 1)
    starts = np.concatenate(([0], np.flatnonzero(steps) + 1))
    sizes = np.diff(np.concatenate((starts, [t_s.size])))
    last = StampGroup(float(t_s[-1]), int(sizes[-1]))
    placed = t_s.copy()
    before = previous
    for group, (begin, size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True)):
        stamp = float(t_s[begin])
        doubled_again = size == 2 and before is not None and before.rows >= 2
        if 3 <= size <= LARGEST_GROUP or doubled_again:
            following = float(t_s[starts[group + 1]]) if group + 1 < starts.size else next_t_s
            placed[begin : begin + size] += _width(stamp, following, before) * np.arange(size) / size
        before = StampGroup(stamp, size)
    return placed, last


def _width(stamp: float, following: float | None, before: StampGroup | None) -> float:
    """How long a stamp lasts, s: to the next one, or as long as the last, where a hole follows."""
    if following is not None and 0.0 < following - stamp <= WIDEST_STAMP_S:
        return following - stamp
    if before is not None and 0.0 < stamp - before.t_s <= WIDEST_STAMP_S:
        return stamp - before.t_s
    return 1.0

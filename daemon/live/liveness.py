"""How lively the source is: link state, sample rate, and why nothing is counted."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from lowmaf.filters import Filters
from lowmaf.samples import CHANNELS
from lowmaf.verdicts import Verdict
from web.board import LinkEvent, LinkStatus, LiveReading

STALE_S = 10.0
"""A link that is said to run but brought no sample for this long is unhealthy."""
QUIET_S = 5.0
"""After this long without an accepted sample the page says why."""

ARRIVALS = 256
"""Batches, at most, that the rate is taken from."""

HISTORY = 20
"""Changes of the link's state that are remembered."""


class Liveness:
    """What is known of the source's pulse. ``now_s`` is a clock that never goes back."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._started_s = now_s()
        self._arrivals_s: deque[tuple[float, int]] = deque()
        self._arrived = 0
        self._accepted_s = self._started_s
        self._link = LinkStatus("connecting", "starting", "", 0.0)
        self._link_since_s = self._started_s
        self._history: deque[tuple[float, str, str]] = deque(maxlen=HISTORY)

    def arrived(self, samples: int) -> None:
        """Samples came."""
        self._arrivals_s.append((self._now_s(), samples))
        self._arrived += samples
        if len(self._arrivals_s) > ARRIVALS:
            self._forget_oldest()

    def accepted(self) -> None:
        """At least one sample was accepted."""
        self._accepted_s = self._now_s()

    def set_link(self, state: str, words: str, driver: str, *, reconnected: bool) -> None:
        """The connection's state in words; counts reconnections."""
        if state != self._link.state:
            self._link_since_s = self._now_s()
            self._history.append((self._link_since_s, state, words))
        self._link = LinkStatus(state, words, driver, 0.0, self._link.reconnects + int(reconnected))

    @property
    def uptime_s(self) -> float:
        return self._now_s() - self._started_s

    @property
    def link(self) -> LinkStatus:
        """The connection, with how long it has been so."""
        now_s = self._now_s()
        history = tuple(LinkEvent(state, words, now_s - at_s) for at_s, state, words in self._history)
        return replace(self._link, since_s=now_s - self._link_since_s, history=history)

    @property
    def running(self) -> bool:
        return self._link.state == "running"

    @property
    def last_sample_age_s(self) -> float | None:
        """Time since the newest sample came, s; None before the first."""
        return self._now_s() - self._arrivals_s[-1][0] if self._arrivals_s else None

    @property
    def sample_rate_hz(self) -> float | None:
        """Samples per second of wall time over the last seconds; None where there are too few."""
        arrivals, now_s = self._arrivals_s, self._now_s()
        while len(arrivals) > 1 and now_s - arrivals[0][0] > STALE_S:
            self._forget_oldest()
        if not self.running or len(arrivals) < 2:
            return None
        first_s, first = arrivals[0]
        span_s = arrivals[-1][0] - first_s
        return (self._arrived - first) / span_s if span_s > 0.0 else None

    def _forget_oldest(self) -> None:
        self._arrived -= self._arrivals_s.popleft()[1]

    @property
    def nothing_accepted_s(self) -> float | None:
        """How long the running source has brought nothing that counts; None where that is short."""
        waiting_s = self._now_s() - self._accepted_s
        return waiting_s if self.running and waiting_s > QUIET_S else None

    @property
    def unhealthy_because(self) -> str | None:
        """Why the pipeline does not move although the link is up; None where it does."""
        age_s = self.last_sample_age_s
        silent_s = age_s if age_s is not None else self._now_s() - self._link_since_s
        if self.running and silent_s > STALE_S:
            return f"no sample for {silent_s:.0f} s although the link is up"
        return None


def why_not_counted(verdict: Verdict | None, live: LiveReading | None, filters: Filters) -> str:
    """The newest sample's reason, with the value and the limit where there is one."""
    if verdict is None or live is None:
        return "no sample yet"
    if verdict is Verdict.ACCEPTED:
        return "samples wait for the mixture to be seen"
    detail = {
        Verdict.COLD_ENGINE: ("ect_c", filters.min_ect_c, "needs"),
        Verdict.HOT_INTAKE: ("iat_c", filters.max_iat_c, "allowed is"),
        Verdict.LOW_LOAD: ("load_g_rev", filters.min_load_g_rev, "needs"),
    }.get(verdict)
    if detail is None:
        return verdict.words
    name, limit, needs = detail
    unit = CHANNELS[name].unit
    return f"{verdict.words}: {live.values.get(name, math.nan):.0f} {unit}, {needs} {limit:.0f} {unit}"

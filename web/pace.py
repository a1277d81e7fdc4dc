"""When the next event may go out: at most so many a second, and as soon after its change as that allows."""

from __future__ import annotations

EARLY_S = 0.05
"""An event may go out this much before its turn. A source of as many a second would otherwise wait for the
latest of its own changes that ever was, again and again."""

HELD_AT_MOST = 10
"""So many changes may wait for their turns one after the other while none came between."""


class Pace:
    """Turns of one every ``interval_s``; the times are those of one clock, s.

    A source that changes as often as there are turns may be out of step with them, because one event was sent
    late or one more than it has changes: each of its changes would wait for its turn from then on. Then one
    change is left for the next, which goes out when it comes, and so do those after it.
    """

    def __init__(self, interval_s: float, now_s: float) -> None:
        self._interval_s = interval_s
        self._turn_s = now_s
        self._held = 0

    @property
    def due_s(self) -> float:
        """From when on the next event may go out."""
        return self._turn_s - EARLY_S

    def go(self, now_s: float) -> None:
        """An event goes out."""
        self._turn_s = max(self._turn_s, now_s) + self._interval_s

    def leaves_out(self, changes: int, *, waited: bool) -> bool:
        """Whether the next event should wait for one more change.

        ``changes`` came since the last event; ``waited``: we waited for the first of them, not it for us.
        """
        self._held = 0 if waited or changes > 1 else self._held + 1
        if self._held <= HELD_AT_MOST:
            return False
        self._held = 0
        return True

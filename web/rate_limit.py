"""How often an address may do something: a bucket of attempts for each, which fills again with time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

MOST_ADDRESSES = 2048


class RateLimit:
    """``burst`` attempts at once, then ``per_s`` in a second, for each address by itself.

    Of :data:`MOST_ADDRESSES` addresses the longest unseen is forgotten, so memory is bounded. ``clock``
    gives seconds that never jump.
    """

    def __init__(self, *, per_s: float, burst: float, clock: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> float:
        """Takes one attempt; 0 where there was one, otherwise how long until there is one, s."""
        left = self._left(address)
        if left >= 1.0:
            left -= 1.0
            wait_s = 0.0
        else:
            wait_s = (1.0 - left) / self._per_s
        self._buckets[address] = (left, self._clock())
        self._buckets.move_to_end(address)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return wait_s

    def forgive(self) -> None:
        """Every address begins anew."""
        self._buckets.clear()

    def _left(self, address: str) -> float:
        left, since_s = self._buckets.get(address, (self._burst, 0.0))
        return min(self._burst, left + (self._clock() - since_s) * self._per_s)

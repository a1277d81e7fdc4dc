"""Timing of rivals in turn, so that a busy machine slows all of them alike: ratios of medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def medians_s(rivals: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU time of each rival, s, over rounds in which all take their turn; one warm-up each."""
    spent: dict[str, list[float]] = {name: [] for name in rivals}
    for rival in rivals.values():
        rival()
    for _ in range(rounds):
        for name, rival in rivals.items():
            started_s = time.process_time()
            rival()
            spent[name].append(time.process_time() - started_s)
    return {name: statistics.median(times) for name, times in spent.items()}


def print_ratios(title: str, medians: Mapping[str, float], baseline: str) -> None:
    """One line per rival, with its time as a multiple of the baseline's."""
    print(title)
    for name, spent_s in medians.items():
        print(f"  {name:<36} {1e3 * spent_s:9.2f} ms   {spent_s / medians[baseline]:6.2f} x {baseline}")

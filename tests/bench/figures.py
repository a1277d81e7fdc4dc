"""One measured figure beside its peer and its target: printed, and kept for the page of all of them.

A benchmark calls :func:`report` for each figure and :func:`not_measured` for what cannot be had here. Where
``BENCH_FIGURES`` names a file, as ``run.py`` does, each is a line of JSON in it as well.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

RECORD = "BENCH_FIGURES"


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` in ``unit``; beside it what the ``peer`` reached in the same run, in the same unit.

    ``ratio`` is value / peer. A target is a limit on the value or, where it has a peer and is meant so, on
    the ratio; ``met`` is None where there is no target.
    """

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float | None
    ratio: float | None
    target: str
    met: bool | None

    def line(self) -> str:
        """The figure as it is printed."""
        beside = ""
        if self.peer_value is not None:
            times = "          " if self.ratio is None else f"{self.ratio:9.2f} x"  # a peer of 0 has no ratio
            beside = f"{times} {self.peer} ({shown(self.peer_value)})"
        held = f"   (target: {self.target}, {'met' if self.met else 'MISSED'})" if self.target else ""
        return f"  {self.name:<52} {shown(self.value):>10} {self.unit:<14}{beside}{held}".rstrip()


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """A figure or a peer that could not be had, and why."""

    name: str
    why: str


def report(
    name: str,
    value: float,
    unit: str = "",
    *,
    peer: tuple[str, float] | None = None,
    at_most: float | None = None,
    at_least: float | None = None,
    ratio_at_most: float | None = None,
    ratio_at_least: float | None = None,
) -> Figure:
    """Prints and keeps a figure. ``peer``: its name, and what it reached. Limits are the targets."""
    peer_name, peer_value = peer or ("", None)
    ratio = value / peer_value if peer_value else None  # of nothing there is none
    limits = [
        (words, met)
        for words, met in (
            _limit("at most", value, at_most, unit),
            _limit("at least", value, at_least, unit),
            _limit("at most", ratio, ratio_at_most, f"× {peer_name}"),
            _limit("at least", ratio, ratio_at_least, f"× {peer_name}"),
        )
        if words
    ]
    figure = Figure(
        name,
        value,
        unit,
        peer_name,
        peer_value,
        ratio,
        " and ".join(words for words, _ in limits),
        all(met for _, met in limits) if limits else None,
    )
    print(figure.line(), flush=True)
    _keep(asdict(figure))
    return figure


def not_measured(name: str, why: str) -> None:
    """Prints and keeps what could not be measured here."""
    print(f"  {name}: not measured ({why})", flush=True)
    _keep(asdict(NotMeasured(name, why)))


def shown(value: float) -> str:
    """A value with as many digits as a person reads."""
    size = abs(value)
    if size >= 1000.0:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value == int(value) else f"{value:.3g}"


def _limit(side: str, value: float | None, limit: float | None, unit: str) -> tuple[str, bool]:
    """The target in words and whether it is met; no words without a limit."""
    if limit is None or value is None:
        return "", True
    return f"{side} {shown(limit)} {unit}".rstrip(), value <= limit if side == "at most" else value >= limit


def _keep(record: dict[str, object]) -> None:
    if path := os.environ.get(RECORD):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

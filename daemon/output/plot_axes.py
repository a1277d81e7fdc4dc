"""Scales, ticks and panels for plots, as SVG elements. Nothing here knows what is plotted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

INK, FAINT, GRID = "#1f2933", "#6b7680", "#e3e7eb"
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps ``low`` … ``high`` to pixels ``start`` … ``stop``; ``low`` is below ``high``."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        """Pixels of a value, held to the panel."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self, about: int) -> list[float]:
        """Round values within the scale, roughly ``about`` of them."""
        step = round_step((self.high - self.low) / about)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def round_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that is not below ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= rough * (1.0 - 1e-9))


def covering(values: Iterable[float], least: float) -> tuple[float, float]:
    """Round limits around all values, at least ``least`` apart."""
    known = list(values)
    low, high = min(known, default=0.0), max(known, default=0.0)
    if high - low < least:
        middle = (high + low) / 2.0
        low, high = middle - least / 2.0, middle + least / 2.0
    step = round_step((high - low) / 5.0)
    return math.floor(low / step) * step, math.ceil(high / step) * step


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot area with its two scales."""

    x: Scale
    y: Scale

    def frame(self, label: str, unit: str, ticks: int, *, signed: bool = False) -> list[str]:
        """Grid, tick labels and the name of the upright axis."""
        left, right = self.x.start, self.x.stop
        parts = []
        for value in self.y.ticks(ticks):
            y = self.y.at(value)
            heavy = signed and value == 0.0
            parts.append(line((left, y), (right, y), FAINT if heavy else GRID, 1.2 if heavy else 1.0))
            parts.append(text(left - 8, y + 4, number(value, signed=signed), anchor="end"))
        for value in self.x.ticks(10):
            x = self.x.at(value)
            parts.append(line((x, self.y.start), (x, self.y.stop), GRID, 1.0))
        parts.append(text(left, self.y.stop - 10, f"{label}, {unit}", color=INK, weight="600"))
        return parts

    def volts(self) -> list[str]:
        """Tick labels and name of the lying axis, below the panel."""
        parts = [
            text(self.x.at(value), self.y.start + 18, number(value), anchor="middle")
            for value in self.x.ticks(10)
        ]
        middle = (self.x.start + self.x.stop) / 2.0
        return [*parts, text(middle, self.y.start + 38, "MAF sensor voltage, V", color=INK, anchor="middle")]

    def points(self, xs: Sequence[float], ys: Sequence[float]) -> list[Point]:
        """Pixels of points."""
        return [(self.x.at(x), self.y.at(y)) for x, y in zip(xs, ys, strict=True)]


def line(a: Point, b: Point, color: str, width: float, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}" stroke="{color}" '
        f'stroke-width="{width:g}"{dashed}/>'
    )


def path(points: Sequence[Point], color: str, width: float, dash: str = "") -> str:
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<polyline points="{steps}" fill="none" stroke="{color}" stroke-width="{width:g}" '
        f'stroke-linejoin="round"{dashed}/>'
    )


def area(upper: Sequence[Point], lower: Sequence[Point], color: str, opacity: float) -> str:
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in (*upper, *reversed(lower)))
    return f'<polygon points="{steps}" fill="{color}" fill-opacity="{opacity:g}"/>'


def bar(left: float, top: float, right: float, bottom: float, color: str) -> str:
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
        f'height="{max(bottom - top, 0.0):.1f}" fill="{color}"/>'
    )


def dot(at: Point, radius: float, color: str, *, filled: bool = True) -> str:
    fill = color if filled else "#ffffff"
    return (
        f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius:g}" fill="{fill}" stroke="{color}" '
        f'stroke-width="1.6"/>'
    )


def text(
    x: float, y: float, words: str, *, color: str = FAINT, anchor: str = "start", size: float = 12.0,
    weight: str = "400",
) -> str:  # fmt: skip
    """Words at a place; whatever they hold, they stay words."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-size="{size:g}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{_words(words)}</text>'
    )


def number(value: float, *, signed: bool = False) -> str:
    """A tick label with a true minus sign."""
    words = f"{value:+.6g}" if signed and value else f"{abs(value) if value == 0.0 else value:.6g}"
    return words.replace("-", "−")


def document(width: int, height: int, parts: Iterable[str], title: str, description: str) -> str:
    """A whole SVG file on a white ground; ``title`` and ``description`` are for those who do not see it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, Segoe UI, Roboto, DejaVu Sans, Arial, sans-serif" '
        f'role="img"><title>{_words(title)}</title><desc>{_words(description)}</desc>\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _words(words: str) -> str:
    """Any text as text of an XML file, which can hold no control characters."""
    return escape("".join(sign if sign.isprintable() else " " for sign in words))

"""The table as a picture: correction with its 95 % band, evidence, current and proposed curve; SVG or PNG."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from daemon.errors import UsageError, WorkError
from daemon.output.plot_axes import (
    INK,
    Panel,
    Scale,
    area,
    bar,
    covering,
    document,
    dot,
    line,
    path,
    text,
)

SUFFIXES = (".svg", ".png")
BLUE, ORANGE, GREY, PALE = "#0b6bb0", "#c8500a", "#9aa5b1", "#ccd3da"
"""Told apart by everyone, also in print."""
WIDTH, LEFT, RIGHT = 960, 78.0, 936.0
BAND_SHOWN_PCT = 6.0
"""So far beyond the corrections the band is shown; a cell that knows nothing would hide all others."""
CELLS_BEYOND = 4
"""So many cells above the last one with evidence are shown."""
FEW = 0.01
"""Cells with a smaller share of the hits than the fullest one has are not worth the room."""
_TOP = 86.0
_HEIGHTS = (300.0, 110.0, 250.0)
_BETWEEN = 46.0
_FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")

Cell = Mapping[str, Any]


def check_plot(target: Path) -> None:
    """Sees to it, before any work, that such a picture can be made.

    Raises:
        UsageError: another suffix, or a PNG where what draws it is absent.
    """
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"--plot {target}: the name must end in {' or '.join(SUFFIXES)}")
    if suffix == ".png":
        _rasteriser(target)


def plot_bytes(table: Mapping[str, Any], target: Path) -> bytes:
    """The picture of a ``lowmaf.table/1`` document in the format that the name of ``target`` asks for.

    Raises:
        UsageError: as :func:`check_plot`.
        WorkError: the PNG could not be drawn.
    """
    svg = plot_svg(table)
    if target.suffix.lower() != ".png":
        return svg.encode()
    try:
        drawn: bytes = _rasteriser(target).svg_to_bytes(svg_string=svg, zoom=2, font_family="DejaVu Sans")
    except ValueError as error:
        raise WorkError(f"--plot {target}: {error}") from error
    return bytes(drawn)


def _rasteriser(target: Path) -> Any:
    try:
        module = importlib.import_module("resvg_py")
    except ImportError:
        raise UsageError(
            f"--plot {target}: PNG needs the extra lowmaf[png] (in a clone: pip install '.[png]'); "
            ".svg needs nothing"
        ) from None
    folders = [Path(folder).expanduser() for folder in _FONT_FOLDERS]
    if sys.platform == "linux" and not any(next(folder.rglob("*.[ot]tf"), None) for folder in folders):
        raise UsageError(
            f"--plot {target}: PNG needs a font (sudo apt install fonts-dejavu-core); .svg does not"
        )
    return module


def plot_svg(table: Mapping[str, Any]) -> str:
    """The picture of a ``lowmaf.table/1`` document as SVG text."""
    cells = _shown(table["cells"])
    volts = [cell["maf_v"] for cell in cells]
    x = Scale(volts[0], volts[-1], LEFT, RIGHT)
    has_flow = any(cell["flow_gs"] is not None for cell in cells)
    heights = _HEIGHTS if has_flow else _HEIGHTS[:2]
    parts = _heading(table)
    top = _TOP + 28.0
    panels = []
    for height in heights:
        panels.append((top, top + height))
        top += height + _BETWEEN
    parts += _corrections(cells, x, *panels[0])
    parts += _evidence(cells, x, *panels[1])
    if has_flow:
        parts += _curves(cells, x, *panels[2])
    parts += Panel(x, Scale(0.0, 1.0, panels[-1][1], panels[-1][0])).volts()
    height = round(top + 12.0)
    samples = table["samples"]
    description = (
        f"{samples['accepted']} of {samples['seen']} samples counted, estimator {table['estimator']}"
    )
    return document(WIDTH, height, parts, f"MAF correction: {table['maf_table']['name']}", description)


def _shown(cells: Sequence[Cell]) -> Sequence[Cell]:
    """Cells from the first to a few beyond the last that has an estimate or its share of the evidence."""
    least = FEW * max(cell["hits"] for cell in cells)
    known = [
        index
        for index, cell in enumerate(cells)
        if cell["correction_pct"] is not None or (cell["hits"] and cell["hits"] >= least)
    ]
    return cells[: max(known[-1] + 1 + CELLS_BEYOND, 3)] if known else cells


def _heading(table: Mapping[str, Any]) -> list[str]:
    samples, held_out = table["samples"], table["held_out"]
    logs = [log["name"].replace("\\", "/").rpartition("/")[2] for log in table["logs"]]
    named = ", ".join(logs[:3]) + (f" and {len(logs) - 3} more" if len(logs) > 3 else "")
    facts = f"{samples['accepted']:,} of {samples['seen']:,} samples counted".replace(",", " ")
    facts += f", estimator {table['estimator']}"
    if held_out is not None:
        facts += (
            f", held-out trims {held_out['rms_pct']:.2f} % instead of {held_out['rms_uncorrected_pct']:.2f} %"
        )
    changed = [cell["maf_v"] for cell in _changed(table["cells"])]
    if changed:
        named += f" · nothing changes above {changed[-1]:.3g} V"
    name = table["maf_table"]["name"]
    return [
        text(LEFT, 36, _cut(f"MAF correction: {name}", 80), color=INK, size=20, weight="600"),
        text(LEFT, 58, facts, size=13),
        text(LEFT, 77, _cut(named, 120), size=13),
    ]


def _corrections(cells: Sequence[Cell], x: Scale, top: float, bottom: float) -> list[str]:
    known = [cell for cell in cells if cell["correction_pct"] is not None]
    shown = [0.0, *(cell["correction_pct"] for cell in known)]
    low, high = min(shown) - BAND_SHOWN_PCT, max(shown) + BAND_SHOWN_PCT
    shown += [min(max(limit, low), high) for cell in known for limit in cell["ci95_pct"] or ()]
    panel = Panel(x, Scale(*covering(shown, 4.0), bottom, top))
    parts = panel.frame("correction", "%", 7, signed=True)
    for run in _runs(known, lambda cell: cell["ci95_pct"] is not None):
        volts = [cell["maf_v"] for cell in run]
        upper = panel.points(volts, [cell["ci95_pct"][1] for cell in run])
        lower = panel.points(volts, [cell["ci95_pct"][0] for cell in run])
        parts.append(area(upper, lower, BLUE, 0.16))
    for run in _runs(cells, lambda cell: cell["correction_pct"] is not None):
        parts.append(path(_places(panel, run, "correction_pct"), BLUE, 2.0))
    for cell in known:
        at = panel.points([cell["maf_v"]], [cell["correction_pct"]])[0]
        if cell["state"] != "interpolated":
            parts.append(dot(at, 3.4, BLUE, filled=cell["state"] == "measured"))
    if not known:
        parts.append(
            text((x.start + x.stop) / 2, (top + bottom) / 2, "no cell has evidence yet", anchor="middle")
        )
    y = top - 14
    return [
        *parts, dot((RIGHT - 330, y), 3.4, BLUE), text(RIGHT - 320, y + 4, "measured"),
        dot((RIGHT - 240, y), 3.4, BLUE, filled=False), text(RIGHT - 230, y + 4, "weak"),
        bar(RIGHT - 168, y - 6, RIGHT - 148, y + 6, "#d8e6f2"),
        text(RIGHT - 140, y + 4, "95 % interval of each"),
    ]  # fmt: skip


def _evidence(cells: Sequence[Cell], x: Scale, top: float, bottom: float) -> list[str]:
    most = max((cell["hits"] for cell in cells), default=0)
    panel = Panel(x, Scale(0.0, covering([0.0, float(most)], 4.0)[1], bottom, top))
    parts = panel.frame("samples counted", "per cell", 3)
    volts = [cell["maf_v"] for cell in cells]
    edges = [volts[0], *((a + b) / 2.0 for a, b in pairwise(volts)), volts[-1]]
    for cell, (low, high) in zip(cells, pairwise(edges), strict=True):
        if cell["hits"]:
            color = GREY if cell["state"] == "measured" else PALE
            parts.append(bar(x.at(low) + 0.4, panel.y.at(cell["hits"]), x.at(high) - 0.4, bottom, color))
    return parts


def _curves(cells: Sequence[Cell], x: Scale, top: float, bottom: float) -> list[str]:
    flows = [cell[name] for cell in cells for name in ("flow_gs", "proposed_gs") if cell[name] is not None]
    panel = Panel(x, Scale(*covering([*flows, 0.0], 1.0), bottom, top))
    parts = panel.frame("air flow", "g/s", 5)
    parts.append(path(_places(panel, cells, "flow_gs"), PALE, 5.0))
    changed = _changed(cells)
    if changed:
        parts.append(path(_places(panel, cells, "proposed_gs"), ORANGE, 1.6))
        parts += [dot(at, 2.6, ORANGE) for at in _places(panel, changed, "proposed_gs")]
    y = top - 14
    return [
        *parts,
        line((RIGHT - 228, y), (RIGHT - 204, y), PALE, 5.0), text(RIGHT - 196, y + 4, "in the ECU now"),
        line((RIGHT - 86, y), (RIGHT - 62, y), ORANGE, 1.6), text(RIGHT, y + 4, "proposed", anchor="end"),
    ]  # fmt: skip


def _changed(cells: Sequence[Cell]) -> list[Cell]:
    """Cells for which another flow is proposed."""
    return [cell for cell in cells if cell["proposed_gs"] not in (None, cell["flow_gs"])]


def _places(panel: Panel, cells: Sequence[Cell], name: str) -> list[tuple[float, float]]:
    return panel.points([cell["maf_v"] for cell in cells], [cell[name] for cell in cells])


def _runs(cells: Sequence[Cell], belongs: Any) -> list[list[Cell]]:
    """Neighbouring cells that belong, as runs."""
    runs: list[list[Cell]] = [[]]
    for cell in cells:
        if belongs(cell):
            runs[-1].append(cell)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _cut(words: str, characters: int) -> str:
    return words if len(words) <= characters else words[: characters - 1] + "…"

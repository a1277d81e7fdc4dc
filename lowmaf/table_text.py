"""MAF tables as text: what tuners copy, paste and save, read and written without loss.

Read: RomRaider/EcuFlash clipboard text (a ``[Table2D]`` block or its bare two rows), two-column
CSV with or without a header, two-row CSV, JSON. Written: the same clipboard text, CSV. Numbers are
written with as many digits as it takes to read the same double again, never with an exponent.

RomRaider on Linux and macOS takes CRLF as an extra row and pastes volts over the flow, and it
collapses runs of tabs: what is written here has LF only and no empty cell.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowmaf.maf_table import MAX_CELLS, MafTable, MafTableError
from lowmaf.samples import Floats
from lowmaf.table_json import is_json, rows_from_json

MAX_TEXT_CHARS = 1_000_000
"""A longer text is not a MAF table: 1024 cells of 20 characters twice are 43 000."""

GS_PER_KGH = 1.0 / 3.6
GS_PER_LB_MIN = 453.59237 / 60.0

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_BLOCK = re.compile(r"\[(?:Table|Selection)[123]D\]", re.IGNORECASE)
_VOLTS = re.compile(r"volt|maf_v\b|\bmafv\b|\(v\)|\[v\]|(?:^|[\s_])v$", re.IGNORECASE)
_FLOW = re.compile(
    r"flow_gs|flow_kgh|g/s|g_per_s|gram|kg/h|kg_per_h|lb/min|air ?flow|\bflow|\bmass", re.IGNORECASE
)
_KGH = re.compile(r"kg ?/ ?h|kg_per_h|kg_h|kgh", re.IGNORECASE)
_LB_MIN = re.compile(r"lbs? ?/ ?min|lbs?_per_min", re.IGNORECASE)


def parse_table(text: str, name: str) -> MafTable:
    """The MAF table that ``text`` holds, called ``name``.

    Flow is in g/s unless a header or label says kg/h or lb/min. A decimal comma is understood
    wherever the comma is not the separator. Line ends may be LF, CRLF or CR.

    Raises:
        MafTableError: text that is no such table; says which line and cell, and what was met.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise MafTableError(
            f"{len(text)} characters are no MAF table (at most {MAX_TEXT_CHARS} characters are read)"
        )
    text = text.removeprefix("\ufeff")
    if is_json(text):
        volts, flow, unit = rows_from_json(text)
        return _table(name, volts, flow, unit)
    lines = [
        _Line(number, line)
        for number, line in enumerate(re.split(r"\r*\n|\r", text), start=1)
        if line.strip().strip(",;\t ") and not line.lstrip().startswith("#")
    ]
    block = _BLOCK.match(lines[0].text.strip()) if lines else None
    if block is None:
        return _from_lines(name, lines, rows_first=bool(lines) and "\t" in lines[0].text)
    if block.group().casefold() != "[table2d]":
        raise MafTableError(
            f"{block.group()} has no volts to go with the flow: copy the whole table, "
            "which begins with [Table2D]"
        )
    rest = lines[0].text.strip()[block.end() :].strip()
    return _from_lines(name, ([_Line(lines[0].number, rest)] if rest else []) + lines[1:], rows_first=True)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class _Row:
    """Cells of one line; ``label`` is text before the numbers, '' where there is none."""

    number: int
    label: str
    cells: tuple[str, ...]


def _from_lines(name: str, lines: Sequence[_Line], *, rows_first: bool) -> MafTable:
    if not lines:
        raise MafTableError("the text is empty: a row of volts and a row of flow (g/s) are needed")
    separator = _separator([line.text for line in lines])
    split = [_Row(line.number, "", tuple(_cells(line.text, separator))) for line in lines]
    header, rows = _without_header(split)
    if not any(_NUMBER.fullmatch(cell.replace(",", ".")) for row in rows for cell in row.cells):
        raise MafTableError("no line of numbers: a row of volts and a row of flow (g/s) are needed")
    if header is None and all(row.cells and _is_text(row.cells[0]) for row in rows):
        rows = [_Row(row.number, row.cells[0], row.cells[1:]) for row in rows]
    width = max(len(row.cells) for row in rows)
    if separator == "," and width == 4 and len(rows) != 2 and (header is None or len(header.cells) == 2):
        raise MafTableError(
            f"line {rows[0].number} has 4 cells: a decimal comma and a comma between cells cannot be "
            "told apart; separate the cells by semicolons or tabs"
        )
    named_columns = header is not None and len(header.cells) == width
    if len(rows) == 2 and not named_columns and (rows_first or width > 2):
        return _from_two_rows(name, header, rows)
    if width < 2:
        raise MafTableError(
            f"only one {'row' if len(rows) == 1 else 'column'} of numbers: "
            "volts and flow (g/s) are both needed"
        )
    if len(rows) == 1:
        raise MafTableError(f"only one row of numbers, line {rows[0].number}: the flow row (g/s) is missing")
    if rows_first and width > 2:
        raise MafTableError(f"{len(rows)} rows of numbers: a MAF table has a row of volts and a row of flow")
    return _from_columns(name, header, rows)


def _from_two_rows(name: str, header: _Row | None, rows: Sequence[_Row]) -> MafTable:
    volts, flow = rows
    if volts.label and _is_flow(volts.label) and not _is_flow(flow.label):
        volts, flow = flow, volts
    if len(volts.cells) != len(flow.cells):
        raise MafTableError(
            f"line {volts.number} has {len(volts.cells)} volts but line {flow.number} has "
            f"{len(flow.cells)} flow values"
        )
    unit = flow.label or (" ".join(header.cells) if header else "")
    return _table(name, _numbers(volts), _numbers(flow), unit)


def _from_columns(name: str, header: _Row | None, rows: Sequence[_Row]) -> MafTable:
    volts_at, flow_at, unit = _columns(header, max(len(row.cells) for row in rows), rows[0].number)
    volts, flow = [], []
    for row in rows:
        if len(row.cells) <= max(volts_at, flow_at):
            raise MafTableError(f"line {row.number} has {len(row.cells)} value(s): volts and flow are needed")
        volts.append(_number(row.cells[volts_at], row.number, volts_at))
        flow.append(_number(row.cells[flow_at], row.number, flow_at))
    return _table(name, volts, flow, unit)


def _columns(header: _Row | None, width: int, line: int) -> tuple[int, int, str]:
    """Which columns are volts and flow, and the header of the flow."""
    if header is None:
        if width != 2:
            raise MafTableError(f"line {line} has {width} values: two columns, volts and flow, are needed")
        return 0, 1, ""
    flow = [at for at, cell in enumerate(header.cells) if _is_flow(cell)]
    volts = [at for at, cell in enumerate(header.cells) if _VOLTS.search(cell) and at not in flow]
    if len(header.cells) == 2:
        if not flow:
            flow = [0] if volts == [1] else [1]
        return 1 - flow[0] if len(flow) == 1 else 0, flow[0] if len(flow) == 1 else 1, header.cells[flow[0]]
    if not volts or not flow:
        missing = "volts" if not volts else "flow (g/s)"
        raise MafTableError(
            f"line {header.number}: no column says that it is {missing}; "
            f"columns found: {', '.join(header.cells)}"
        )
    return volts[0], flow[0], header.cells[flow[0]]


def _is_flow(cell: str) -> bool:
    return bool(_FLOW.search(cell) or _KGH.search(cell) or _LB_MIN.search(cell)) and not re.search(
        r"volt", cell, re.IGNORECASE
    )


def _separator(lines: Sequence[str]) -> str:
    for separator in ("\t", ";"):
        if any(separator in line for line in lines):
            return separator
    numbers = [line for line in lines if _NUMBER.match(line.strip().strip('"'))]
    if any(re.search(r"[0-9]\s+[-+.0-9]", line) for line in numbers) and not any(
        re.search(r",\s", line) for line in numbers
    ):
        return " "
    return ","


def _cells(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()
    cells = [cell.strip() for cell in next(csv.reader(io.StringIO(line), delimiter=separator), [])]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _is_text(cell: str) -> bool:
    return bool(re.match(r"[^\W\d_]", cell)) and cell.casefold() not in ("nan", "inf", "infinity", "x", "na")


def _without_header(rows: Sequence[_Row]) -> tuple[_Row | None, list[_Row]]:
    """The line of names above the numbers, if there is one, and the lines of numbers."""
    first = rows[0]
    texts = sum(_is_text(cell) for cell in first.cells)
    if texts and (texts == len(first.cells) or texts > 1):
        return first, list(rows[1:])
    return None, list(rows)


def _numbers(row: _Row) -> list[float]:
    return [_number(cell, row.number, at) for at, cell in enumerate(row.cells)]


def _number(cell: str, line: int, at: int) -> float:
    plain = cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell
    if not _NUMBER.fullmatch(plain):
        met = f"{cell[:40]!r} is not a number" if cell else "is missing"
        raise MafTableError(f"line {line}, cell {at + 1}: the value {met}")
    return float(plain)


def _table(name: str, volts: Sequence[float], flow: Sequence[float] | None, unit: str) -> MafTable:
    if len(volts) > MAX_CELLS:
        raise MafTableError(f"a MAF table has 2 to {MAX_CELLS} cells, not {len(volts)}")
    if flow is None:
        return MafTable(name, np.array(volts, dtype=np.float64))
    gs = np.array(flow, dtype=np.float64)
    if _KGH.search(unit):
        gs = gs * GS_PER_KGH
    elif _LB_MIN.search(unit):
        gs = gs * GS_PER_LB_MIN
    return MafTable(name, np.array(volts, dtype=np.float64), gs)


def format_romraider(maf_v: Floats, flow_gs: Floats, *, decimal_comma: bool = False) -> str:
    """The table as RomRaider and EcuFlash paste it: ``[Table2D]``, volts row, flow row; no last line end.

    Raises:
        MafTableError: rows of different length, or a value that is not finite.
    """
    if len(maf_v) != len(flow_gs):
        raise MafTableError(f"{len(maf_v)} volts but {len(flow_gs)} flow values")
    rows = ("\t".join(_written(row, decimal_comma)) for row in (maf_v, flow_gs))
    return "\n".join(("[Table2D]", *rows))


def format_romraider_selection(
    flow_gs: Floats, keep: Sequence[bool] | np.ndarray[Any, Any], *, decimal_comma: bool = False
) -> str:
    """The flow row for RomRaider's paste into a selection; ``x`` where ``keep`` says the cell stays.

    Raises:
        MafTableError: ``keep`` of another length, or a value to be written that is not finite.
    """
    if len(keep) != len(flow_gs):
        raise MafTableError(f"{len(flow_gs)} flow values but {len(keep)} marks of cells to keep")
    stays = np.asarray(keep, dtype=np.bool_)
    written = _written(np.where(stays, 0.0, flow_gs), decimal_comma)
    return "[Selection1D]\n" + "\t".join(
        "x" if kept else cell for kept, cell in zip(stays, written, strict=True)
    )


def format_csv(maf_v: Floats, flow_gs: Floats | None) -> str:
    """Two columns with a header, ``maf_v`` in V and ``flow_gs`` in g/s; only ``maf_v`` without flow."""
    volts = _written(maf_v, decimal_comma=False)
    if flow_gs is None:
        return "\n".join(("maf_v", *volts)) + "\n"
    flow = _written(flow_gs, decimal_comma=False)
    return "\n".join(("maf_v,flow_gs", *(f"{v},{g}" for v, g in zip(volts, flow, strict=True)))) + "\n"


def format_cells_csv(document: Mapping[str, Any]) -> str:
    """The cells of a ``lowmaf.table/1`` document as CSV with a header; an unknown value is an empty cell.

    The interval is given as two columns, ``ci95_low_pct`` and ``ci95_high_pct``.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = (
        "maf_v", "flow_gs", "correction_pct", "stderr_pct", "ci95_low_pct", "ci95_high_pct", "hits",
        "effective_hits", "state", "proposed_gs",
    )  # fmt: skip
    writer.writerow(names)
    for cell in document["cells"]:
        low, high = cell["ci95_pct"] or (None, None)
        writer.writerow({**cell, "ci95_low_pct": low, "ci95_high_pct": high}.get(name) for name in names)
    return text.getvalue()


def _written(row: Floats, decimal_comma: bool) -> list[str]:
    values = np.asarray(row, dtype=np.float64)
    if not np.isfinite(values).all():
        cell = int(np.flatnonzero(~np.isfinite(values))[0])
        raise MafTableError(f"cell {cell + 1} has no finite value, and an empty cell must not be written")
    cells = [np.format_float_positional(value, unique=True, trim="0") for value in values]
    return [cell.replace(".", ",") for cell in cells] if decimal_comma else cells

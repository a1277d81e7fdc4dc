"""The newest table as bytes: made once per revision and representation, then served to everybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np

from lowmaf.document import cells_document, flash_refusals, same_cells, table_document
from lowmaf.snapshot import CellState, Snapshot
from lowmaf.table_text import format_cells_csv, format_romraider, format_romraider_selection
from web.board import Board
from web.documents import encode_json
from web.errors import ApiError
from web.rendition import Renditions


class TableFormat(StrEnum):
    """What ``?format=`` takes."""

    JSON = "json"
    CSV = "csv"
    ROMRAIDER = "romraider"
    ROMRAIDER_SELECTION = "romraider-selection"


class CurrentTable:
    """Renders the board's newest snapshot, keeping the JSON of the last one."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._key: tuple[int, int | None] | None = None
        self._json = Renditions(b"", "", 0)
        self._cells: tuple[Snapshot, msgspec.Raw] | None = None

    def newest(self) -> tuple[Snapshot, Renditions]:
        """The newest snapshot and its JSON, format ``lowmaf.table/1``."""
        snapshot = self._board.snapshot()
        session = self._board.session()
        key = (snapshot.revision, session)
        if key != self._key:
            body = encode_json(table_document(snapshot, session=session, cells=self._cells_json(snapshot)))
            self._json = Renditions(body, "application/json", snapshot.revision)
            self._key = key
        return snapshot, self._json

    def _cells_json(self, snapshot: Snapshot) -> msgspec.Raw:
        """The cells, nearly all of the table: they change once a second, the counts with each sample."""
        if self._cells is None or not same_cells(snapshot, self._cells[0]):
            self._cells = snapshot, msgspec.Raw(encode_json(cells_document(snapshot)))
        return self._cells[1]

    def newest_json(self) -> Renditions:
        """The same without the snapshot."""
        return self.newest()[1]

    def document(self) -> tuple[Mapping[str, Any], Sequence[str]]:
        """The newest table, and why it is not fit to be flashed; nothing where it is."""
        snapshot = self._board.snapshot()
        return table_document(snapshot, session=self._board.session()), flash_refusals(snapshot)

    def renditions(self, table_format: TableFormat, *, unchecked: bool = False) -> Renditions:
        """The newest table in ``table_format``; see :func:`formatted_table`."""
        if table_format is TableFormat.JSON:
            return self.newest()[1]
        document, refusals = self.document()
        return formatted_table(document, refusals, table_format, unchecked=unchecked)


def formatted_table(
    document: Mapping[str, Any], refusals: Sequence[str], table_format: TableFormat, *, unchecked: bool
) -> Renditions:
    """A table, given as JSON sees it, in a format other than JSON.

    Raises:
        ApiError: 409 where a table to flash is asked for and there are ``refusals`` (``unchecked``
            passes over them), or where there is no flow to write.
    """
    revision = document["revision"]
    if table_format is TableFormat.CSV:
        return Renditions(format_cells_csv(document).encode(), "text/csv; charset=utf-8", revision)
    text = _table_to_flash(document["cells"], [] if unchecked else refusals, table_format)
    return Renditions(text.encode(), "text/plain; charset=utf-8", revision)


def _table_to_flash(
    cells: Sequence[Mapping[str, Any]], refusals: Sequence[str], table_format: TableFormat
) -> str:
    flow_gs = np.array([cell["proposed_gs"] for cell in cells], dtype=np.float64)
    if np.isnan(flow_gs).any():
        raise ApiError(
            409,
            "no_flow",
            "there is no MAF table with flow (g/s) to correct: only its axis is known. Name the car's table "
            "in the configuration",
        )
    if refusals:
        raise ApiError(
            409,
            "not_fit_to_flash",
            f"this table is not fit to be flashed: {'; '.join(refusals)}. unchecked=1 gives it all the same",
            {"reasons": list(refusals)},
        )
    if table_format is TableFormat.ROMRAIDER:
        return format_romraider(np.array([cell["maf_v"] for cell in cells]), flow_gs)
    keep = np.array([cell["state"] != str(CellState.MEASURED) for cell in cells])
    return format_romraider_selection(flow_gs, keep)

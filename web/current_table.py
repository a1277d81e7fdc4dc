"""The newest table as bytes: made once per revision and representation, then served to everybody."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lowmaf.document import flash_refusals, table_document
from lowmaf.snapshot import CellState, Snapshot
from lowmaf.table_text import format_cells_csv, format_romraider, format_romraider_selection
from web.board import Board
from web.documents import encode_json
from web.errors import ApiError

RawHeaders = list[tuple[bytes, bytes]]


class TableFormat(StrEnum):
    """What ``?format=`` takes."""

    JSON = "json"
    CSV = "csv"
    ROMRAIDER = "romraider"
    ROMRAIDER_SELECTION = "romraider-selection"


@dataclass(frozen=True, slots=True)
class Rendition:
    """One representation of one table. ``etag`` is strong: other bytes, other tag."""

    body: bytes
    etag: str
    headers: RawHeaders
    unchanged_headers: RawHeaders

    @classmethod
    def of(cls, body: bytes, media_type: str, revision: int) -> Rendition:
        etag = f'"{revision}-{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
        unchanged = [(b"etag", etag.encode()), (b"cache-control", b"no-cache")]
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            *unchanged,
        ]
        return cls(body, etag, headers, unchanged)

    def answer(self, if_none_match: str | None) -> tuple[int, RawHeaders, bytes]:
        """Status, headers and body for a request: 304 and nothing where the client has it already."""
        if if_none_match is not None and self.matches(if_none_match):
            return 304, self.unchanged_headers, b""
        return 200, self.headers, self.body

    def matches(self, if_none_match: str) -> bool:
        """Whether the client has this one; RFC 9110, 13.1.2: a list of tags, compared weakly, or ``*``."""
        if if_none_match == self.etag:
            return True
        tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
        return self.etag in tags or "*" in tags


class CurrentTable:
    """Renders the board's newest snapshot, keeping the JSON of the last one."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._key: tuple[int, int | None] | None = None
        self._json = Rendition.of(b"", "", 0)

    def newest(self) -> tuple[Snapshot, Rendition]:
        """The newest snapshot and its JSON, format ``lowmaf.table/1``."""
        snapshot = self._board.snapshot()
        session = self._board.session()
        key = (snapshot.revision, session)
        if key != self._key:
            body = encode_json(table_document(snapshot, session=session))
            self._json = Rendition.of(body, "application/json", snapshot.revision)
            self._key = key
        return snapshot, self._json

    def rendition(self, table_format: TableFormat, *, unchecked: bool = False) -> Rendition:
        """The newest table in ``table_format``.

        Raises:
            ApiError: 409 where a table to flash is asked for and the checks do not pass
                (``unchecked`` skips them), or where there is no flow to write.
        """
        snapshot, as_json = self.newest()
        if table_format is TableFormat.JSON:
            return as_json
        if table_format is TableFormat.CSV:
            text = format_cells_csv(table_document(snapshot, session=self._board.session()))
            return Rendition.of(text.encode(), "text/csv; charset=utf-8", snapshot.revision)
        text = _table_to_flash(snapshot, table_format, unchecked=unchecked)
        return Rendition.of(text.encode(), "text/plain; charset=utf-8", snapshot.revision)


def _table_to_flash(snapshot: Snapshot, table_format: TableFormat, *, unchecked: bool) -> str:
    flow_gs = snapshot.proposed_gs
    if flow_gs is None:
        raise ApiError(
            409,
            "no_flow",
            "there is no MAF table with flow (g/s) to correct: only its axis is known. Name the car's table "
            "in the configuration",
        )
    refusals = [] if unchecked else flash_refusals(snapshot)
    if refusals:
        raise ApiError(
            409,
            "not_fit_to_flash",
            f"this table is not fit to be flashed: {'; '.join(refusals)}. unchecked=1 gives it all the same",
            {"reasons": refusals},
        )
    if table_format is TableFormat.ROMRAIDER:
        return format_romraider(snapshot.table.maf_v, flow_gs)
    keep = np.array([state is not CellState.MEASURED for state in snapshot.states])
    return format_romraider_selection(flow_gs, keep)

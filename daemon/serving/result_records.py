"""A published result as a row of the database."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Sequence
from typing import Any

from daemon.store.rows import checksum
from web.results import Result, ResultHead

RESULT_COLUMNS = ("id", "name", "published_wall_s", "refusals", "document")
"""What the checksum of a row covers."""


def result_row(head: ResultHead, table: bytes, refusals: Sequence[str]) -> tuple[Any, ...]:
    """A row of ``published_results``: :data:`RESULT_COLUMNS` and the checksum."""
    row = (head.id, head.name, head.published_wall_s, json.dumps(list(refusals)), zlib.compress(table))
    return (*row, checksum(*row))


def result_of(row: sqlite3.Row) -> Result | None:
    """The result in a row; None if it was damaged."""
    if checksum(*(row[column] for column in RESULT_COLUMNS)) != row["crc32"]:
        return None
    head = ResultHead(row["id"], row["name"], row["published_wall_s"])
    return Result(head, zlib.decompress(row["document"]), json.loads(row["refusals"]))

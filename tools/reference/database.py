"""The tables of the database, as SQLite itself keeps their documented definitions."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from daemon.store.schema import APPLICATION_ID, VERSION, upgrade
from tools.reference.markdown import block, page


def database_page() -> str:
    """Every table with its columns and what they mean."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        upgrade(connection, 0)
        tables = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql IS NOT NULL "
            "AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
        ).fetchall()
    return page(
        "Database",
        f"""One SQLite file, readable with plain `sqlite3`. This is schema version {VERSION} (`PRAGMA
        user_version`); `PRAGMA application_id` is {APPLICATION_ID}. A newer program brings an older file
        forward by itself. Look, but change nothing: rows carry checksums.""",
        *(_table(name, sql) for name, sql in tables),
    )


def _table(name: str, sql: str) -> Iterator[str]:
    yield f"## `{name}`"
    yield ""
    yield from block(sql, "sql")

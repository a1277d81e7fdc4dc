"""A MAF table in a file, for the configuration and for the command line."""

from __future__ import annotations

from pathlib import Path

from daemon.errors import UsageError
from lowmaf.maf_table import MafTable, MafTableError
from lowmaf.table_text import parse_table

MAX_BYTES = 1_000_000


def read_table(path: Path, given_as: str) -> MafTable:
    """The MAF table in a file, in any form that :func:`lowmaf.table_text.parse_table` knows.

    ``given_as`` says in errors where the name of the file comes from.

    Raises:
        UsageError: no such file, not text, or not a MAF table; says which file and why.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{given_as}: {path}: {error.strerror or error}") from None
    if len(content) > MAX_BYTES:
        raise UsageError(f"{given_as}: {path}: more than {MAX_BYTES} bytes: that is no MAF table")
    try:
        return parse_table(content.decode("utf-8-sig", "replace"), path.stem)
    except MafTableError as error:
        raise UsageError(f"{given_as}: {path}: {error}") from None

"""``lowmaf backup``: a copy of the database in one file, also while the daemon writes it."""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
from pathlib import Path

from daemon.config.config import load_config
from daemon.errors import UsageError, WorkError
from daemon.installed import INSTALLED_CONFIG, is_there
from daemon.store.copying import put_in_place
from daemon.store.opening import MAGIC, error_words
from daemon.store.schema import APPLICATION_ID

_BUSY_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf backup``."""
    parser.epilog = (
        "example: lowmaf backup /media/stick/car.sqlite3 --database lowmaf.sqlite3\n"
        "The copy is a database itself: name it in [storage] to go on from it."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the copy; an earlier one is replaced")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--database", type=Path, metavar="FILE", help="the database")
    which.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"the configuration that names it, by default {INSTALLED_CONFIG}",
    )


def run(options: argparse.Namespace) -> int:
    """Makes the copy, whole or not at all, and says how large it is.

    Raises:
        UsageError: no database is named, or the copy's name is that of something else.
        WorkError: the database cannot be read, or the copy not be written.
    """
    database, copy = _database(options), options.file.resolve()
    _refuse_other_files(database, copy)
    back_up(database, copy)
    print(f"{copy}: {copy.stat().st_size / 1e6:.1f} MB, a copy of {database}")
    return 0


def back_up(database: Path, copy: Path) -> None:
    """Copies what was committed by this moment to ``copy``, which gets its name only when all is on the disk.

    Raises:
        WorkError: the database cannot be read or is damaged, or the copy cannot be written.
    """
    part = copy.with_name(f"{copy.name}.part")
    try:
        part.unlink(missing_ok=True)
        source = sqlite3.connect(
            f"{database.as_uri()}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None
        )
        with contextlib.closing(source):
            source.execute("PRAGMA trusted_schema = OFF")
            _refuse_another_programs(database, source)
            source.execute("VACUUM INTO ?", (str(part),))
        _refuse_damaged(part)
        put_in_place(part, copy)
    except OSError as error:
        raise WorkError(f"{copy}: {error.strerror or error}") from None
    except sqlite3.DatabaseError as error:
        raise WorkError(f"{database}: cannot be copied to {copy}: {error_words(error)}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _database(options: argparse.Namespace) -> Path:
    if options.database is not None:
        database: Path = options.database
    elif options.config is None and not is_there(INSTALLED_CONFIG):
        raise UsageError(f"--database or --config is needed: there is no {INSTALLED_CONFIG} here")
    else:
        database = load_config(options.config or INSTALLED_CONFIG, os.environ).storage.database
    if not (is_there(database) and database.is_file()):
        raise UsageError(f"{database}: there is no such database")
    return database.resolve()


def _refuse_other_files(database: Path, copy: Path) -> None:
    """What is there under the copy's name may only be an earlier copy."""
    try:
        if not copy.parent.is_dir():
            raise UsageError(f"{copy}: there is no folder {copy.parent}")
        if not copy.exists():
            return
        if not copy.is_file():
            raise UsageError(f"{copy}: not a file")
        if copy.samefile(database):
            raise UsageError(f"{copy}: that is the database itself")
        if copy.with_name(f"{copy.name}-lock").exists():
            raise UsageError(f"{copy}: another database of lowmaf, not a copy; name another file")
        with copy.open("rb") as stream:
            start = stream.read(100)
    except OSError as error:
        raise UsageError(f"{copy}: {error.strerror or error}") from None
    if not start.startswith(MAGIC) or start[68:72] != APPLICATION_ID.to_bytes(4, "big"):
        raise UsageError(f"{copy}: there already, and not a copy of a database of lowmaf; name another file")


def _refuse_another_programs(database: Path, source: sqlite3.Connection) -> None:
    (application,) = source.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise WorkError(f"{database}: not a database of lowmaf")


def _refuse_damaged(copy: Path) -> None:
    with contextlib.closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True)) as connection:
        (complaint,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if complaint != "ok":
        raise WorkError(f"{copy}: the copy is not whole: {' '.join(complaint.split())}")

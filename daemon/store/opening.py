"""Opening a database file: whose it is, whether it is whole, and one program at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from pathlib import Path

from daemon.store.copying import PAGE_BYTES, sync_folder
from daemon.store.kept_twice import altered_facts, restore
from daemon.store.records import DatabaseInUseError, StoreError, StoreNotice
from daemon.store.recovery import finish_recovery, recover
from daemon.store.reserve import give_up_reserve
from daemon.store.schema import APPLICATION_ID, VERSION, is_whole, upgrade

MAGIC = b"SQLite format 3\0"
_FIRST_PAGE_HEAD_BYTES = 108
"""The file's own head, and that of its first page, the root of the table of its tables."""
OLDEST_SQLITE = (3, 37)
"""The first with STRICT tables."""

_DAMAGE_CODES = frozenset(
    {
        sqlite3.SQLITE_ERROR,  # a table or column is not there: its definition was damaged
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
        sqlite3.SQLITE_IOERR_DATA,
    }
)
_DISK_FULL_CODES = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE})


class ReadOnlyError(StoreError):
    """The disk takes no writes, such as one that Linux left read-only after a power cut."""


class _DamagedError(Exception):
    """The file was ours and is not whole."""


class DatabaseLock:
    """Keeps a second program away from a database, by a lock on the file ``<database>-lock``.

    The kernel lets go of it when the program ends, however that happens. The lock file stays: that it is
    there says that the database beside it is one of ours.
    """

    def __init__(self, database: Path) -> None:
        """Raises :class:`StoreError` if the folder is not writable or another program has the lock."""
        self.database = database
        self._path = lock_path(database)
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(
                f"{database}: the folder {database.parent} is not writable: {error.strerror}"
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note = os.pread(self._descriptor, 512, 0).decode("ascii", "replace")
            holder, _, address = note.partition("\n")
            os.close(self._descriptor)
            raise DatabaseInUseError(
                f"{database}: in use by another lowmaf (process {holder or 'unknown'}); stop it or name "
                "another database",
                address.strip() or None,
            ) from None
        except OSError as error:
            os.close(self._descriptor)
            raise StoreError(f"{database}: cannot be locked: {error.strerror}") from None
        self._note("")

    def announce(self, address: str) -> None:
        """Tells those who find the database in use where the program that has it answers."""
        self._note(f"{address}\n")

    def _note(self, address: str) -> None:
        with contextlib.suppress(OSError):  # on a full disk; it is only for those who find it in use
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n{address}".encode(), 0)

    def release(self, *, remove: bool = False) -> None:
        """Lets others have the database. ``remove`` it where the database turned out not to be ours."""
        if remove:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def check_place(path: Path) -> bool:
    """Whether there is a database of ours at ``path`` already. Changes nothing.

    Raises:
        StoreError: a database cannot be there: no folder, not writable, or somebody else's file.
    """
    try:
        if not path.parent.is_dir():
            raise StoreError(f"{path}: there is no folder {path.parent}; make it or name another database")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            read_only = os.statvfs(path.parent).f_flag & os.ST_RDONLY
            kind = ReadOnlyError if read_only else StoreError
            raise kind(f"{path}: the folder {path.parent} is not writable")
        if path.exists() and not path.is_file():
            raise StoreError(f"{path}: not a file")
        with path.open("rb") as file:
            start = file.read(_FIRST_PAGE_HEAD_BYTES)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from None
    ours = lock_path(path).exists() or start[68:72] == APPLICATION_ID.to_bytes(4, "big")
    if start and not start.startswith(MAGIC) and not ours:
        raise StoreError(f"{path}: not a SQLite database; name another file")
    if start and not ours and not _is_unused(start):
        raise StoreError(f"{path}: not a database of lowmaf (it is another program's); name another file")
    return ours


def check_writable(path: Path) -> bool:
    """As :func:`check_place`, and the file may be written if it is there.

    Raises:
        ReadOnlyError: it may only be read.
        StoreError: as :func:`check_place`.
    """
    ours = check_place(path)
    if path.exists() and not os.access(path, os.W_OK):
        raise ReadOnlyError(f"{path}: the file may only be read")
    return ours


def _is_unused(start: bytes) -> bool:
    """Whether a SQLite file was made and never used: no version, and nothing in the table of its tables."""
    return start[60:64] == bytes(4) and start[100:101] == b"\x0d" and start[103:105] == bytes(2)


def lock_path(database: Path) -> Path:
    """The file whose lock says that a program has the database."""
    return database.with_name(f"{database.name}-lock")


def prepare(path: Path) -> tuple[DatabaseLock, tuple[StoreNotice, ...]]:
    """Makes sure that ``path`` is a whole database of this program's version, and locks it. Blocks.

    A damaged one is set aside under a name with the date, never deleted, and a new one is made of what can
    be recovered; the notices say so. Sessions that were left open are marked.

    Raises:
        ReadOnlyError: the disk is mounted read-only, or the file may only be read.
        StoreError: not writable, no such folder, somebody else's file, made by a newer lowmaf, in use;
            or this Python's SQLite is too old.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise StoreError(f"SQLite {needed} or newer is needed; this Python has {sqlite3.sqlite_version}")
    path = path.resolve()
    ours, locked_before = check_writable(path), lock_path(path).exists()
    lock = DatabaseLock(path)
    try:
        try:
            notice = _made_whole(path, ours=ours)
        except StoreError:
            if not give_up_reserve(path):
                raise
            notice = _made_whole(path, ours=ours)
    except BaseException:
        lock.release(remove=not locked_before)
        raise
    return lock, () if notice is None else (notice,)


def _made_whole(path: Path, *, ours: bool) -> StoreNotice | None:
    notice = finish_recovery(path)
    try:
        _make_ready(path)
    except _DamagedError as damage:
        if not ours:
            raise StoreError(f"{path}: not a database of lowmaf ({damage}); name another file") from None
        notice = recover(path, str(damage))
        try:
            _make_ready(path)
        except _DamagedError as again:
            raise StoreError(f"{path}: what was recovered was damaged at once: {again}") from None
    return notice


def verify(path: Path, connection: sqlite3.Connection) -> int:
    """Schema version of a whole database of ours; 0 of an empty one. Changes nothing.

    Raises:
        StoreError: damaged, another program's, or made by a newer lowmaf.
        sqlite3.Error: it cannot be read.
    """
    try:
        return _version(path, connection)
    except _DamagedError as damage:
        raise StoreError(f"{path}: damaged ({damage})") from None


def stored_text(stored: bytes) -> str:
    """Text as stored; where it was damaged on the disk, the checksum of its row does not fit."""
    return stored.decode("utf-8", "replace")


def is_disk_full(error: sqlite3.Error) -> bool:
    """Whether there was no room for a write, or the disk did not take it."""
    return getattr(error, "sqlite_errorcode", None) in _DISK_FULL_CODES


def error_words(error: sqlite3.Error) -> str:
    """What an SQLite error means for the owner."""
    words = {
        sqlite3.SQLITE_FULL: "no room left on the disk",
        sqlite3.SQLITE_IOERR_WRITE: "the disk takes no writes: read-only, broken, or at a limit of size",
    }
    return words.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR), str(error))


def _make_ready(path: Path) -> None:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=5.0, isolation_level=None)) as connection:
            connection.text_factory = stored_text
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA synchronous = FULL")
            version = _version(path, connection)
            if version == 0:
                connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            upgrade(connection, version)
            restore(connection)
            connection.execute(
                "UPDATE sessions SET closed_how = 'closed_incorrect' WHERE closed_how = 'open'"
            )
        sync_folder(path.parent)
    except UnicodeDecodeError:  # SQLite quotes a table's damaged definition in its error
        raise _DamagedError("the definition of a table is not text") from None
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) in _DAMAGE_CODES:
            raise _DamagedError(str(error)) from None
        raise StoreError(f"{path}: {error_words(error)}") from None


def _version(path: Path, connection: sqlite3.Connection) -> int:
    """Schema version of a whole database that is ours; 0 of an empty one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not names and version == 0:
        return 0
    if "meta" not in names or application != APPLICATION_ID:
        raise _DamagedError("it is another program's")
    (complaint,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if complaint != "ok":
        raise _DamagedError(" ".join(complaint.replace("*** in database main ***", "").split()))
    noted = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    if noted is None or noted[0] != str(version):
        raise _DamagedError("its version is not the one that was noted")
    if version > VERSION:
        raise StoreError(
            f"{path}: made by a newer lowmaf (schema {version}, this one knows {VERSION}); update lowmaf or "
            "name another database"
        )
    if not is_whole(connection, version):
        raise _DamagedError("its tables are not as they were made")
    for key in altered_facts(connection):
        raise _DamagedError(f"what it says of the {key} was altered")
    return int(version)

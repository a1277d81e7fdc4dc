"""What becomes of a damaged database: it is set aside, and a new one made of what can still be had.

What the damaged file still holds comes first, row by row, as far as the checksums fit; what is missing comes
from the newest snapshot that can be read. The damaged file is kept as it is.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from shutil import disk_usage
from typing import Any

from daemon.store.copying import columns, key_columns, new_copy, put_in_place, sync_folder, tables
from daemon.store.kept_twice import read_sealed, restore
from daemon.store.records import StoreError, StoreNotice
from daemon.store.rows import CHUNKS_PER_SESSION, checksum, sealed, sealed_table
from daemon.store.salvage import DamagedFile
from daemon.store.snapshots import LEFT_OUT, snapshots

SAMPLES_S = 3.0
"""So long raw samples are recovered, newest first; the car is waiting. Cells are always tried to the end."""
_ROOM_LEFT_BYTES = 50_000_000
_LAST_KEY = (1 << 63) - 1

_HIDDEN_LOSSES_MATTER = frozenset(
    {
        "meta",
        "maf_tables",
        "cell_locks",
        "sessions",
        "cell_blocks",
        "verdict_counts",
        "verdict_minutes",
        "boots",
    }
)
"""Damage may hide rows without a trace. What the table is made of is looked for in the snapshot all the same;
of the rest that would only bring back what the user has deleted."""

_NEVER_BROUGHT_BACK = frozenset({"devices"})
"""Who was revoked since the snapshot must not be let in again; who is lost is paired again."""

_WORDS: Mapping[str, str] = {
    "sessions": "drives",
    "cell_blocks": "blocks of learned cells",
    "maf_tables": "MAF tables",
    "sample_chunks": "stretches of samples",
}
"""What the owner is told about, and how it is called there."""


def recover(database: Path, damage: str) -> StoreNotice:
    """Sets the damaged database aside and puts a new one with what was recovered in its place. Blocks.

    May be cut off at any moment: :func:`finish_recovery` then goes on at the next start, or it begins anew.

    Raises:
        StoreError: the disk does not allow it. The damaged file is still there then.
    """
    part = database.with_name(f"{database.name}.recovered-part")
    try:
        with closing(new_copy(part)) as copy:
            words = _Recovery(copy, database).run()
        put_in_place(part, _recovered(database))
        aside = _set_aside(database)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{database}: damaged ({damage}), and cannot be recovered: {error}") from None
    finally:
        part.unlink(missing_ok=True)
    return StoreNotice(
        "database_damaged", f"The database was damaged ({damage}). It was kept as {aside.name}. {words}"
    )


def finish_recovery(database: Path) -> StoreNotice | None:
    """Ends a recovery that was cut off before what was recovered had its place; None if there is none.

    Raises:
        StoreError: the disk does not allow it.
    """
    try:
        if not _recovered(database).exists():
            return None
        aside = _set_aside(database)
    except OSError as error:
        raise StoreError(f"{database}: cannot be recovered: {error}") from None
    return StoreNotice(
        "database_damaged",
        f"The database was damaged. It was kept as {aside.name}; what could be recovered is in its place.",
    )


def _recovered(database: Path) -> Path:
    return database.with_name(f"{database.name}.recovered")


def _set_aside(database: Path) -> Path:
    """Renames the damaged database with its log and gives its name to what was recovered. The log goes
    first: alone it would be replayed into the new file."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    aside, number = database.with_name(f"{database.name}.damaged-{stamp}"), 1
    while aside.exists():
        number += 1
        aside = database.with_name(f"{database.name}.damaged-{stamp}-{number}")
    log = database.with_name(f"{database.name}-wal")
    if log.exists() and log.stat().st_size:
        log.rename(aside.with_name(f"{aside.name}-wal"))
    for index in ("-wal", "-shm"):  # an empty log, and the log's index, which hold nothing
        database.with_name(database.name + index).unlink(missing_ok=True)
    if database.exists():
        database.rename(aside)
    sync_folder(database.parent)
    _recovered(database).rename(database)
    sync_folder(database.parent)
    return aside


class _Recovery:
    """Fills a new database from a damaged one and its snapshots."""

    def __init__(self, copy: sqlite3.Connection, database: Path) -> None:
        self._copy = copy
        self._database = database
        self._tables = [table for table in tables(copy) if not table.startswith("sqlite_")]
        self._had: Counter[str] = Counter()
        self._last_session = 0

    def run(self) -> str:
        """Returns in words what was recovered and what was not."""
        self._copy.execute("BEGIN")
        learned = [table for table in self._tables if table != LEFT_OUT]
        with DamagedFile(self._database) as damaged:
            for table in learned:
                self._take(damaged, table)
            self._take_sequence(damaged)
            left_out = self._take_samples(damaged)
            missing = damaged.incomplete
        sentences = [f"Recovered from it: {self._words(self._had)}."]
        before = self._had.copy()
        wanted = [table for table in learned if table in missing or table in _HIDDEN_LOSSES_MATTER]
        wanted = [table for table in wanted if table not in _NEVER_BROUGHT_BACK]
        snapshot = self._take_snapshot(wanted, sessions_missing="sessions" in missing)
        if added := self._had - before:
            sentences.append(f"Added from {snapshot}: {self._words(added)}.")
        if named := [words for table, words in _WORDS.items() if table in missing]:
            sentences.append(f"Some {' and '.join(named)} could not be read.")
        if "verdict_counts" in missing and not added["verdict_counts"]:
            sentences.append(
                "Some counts of samples could not be read: lowmaf sessions rebuild makes them anew."
            )
        self._settle(epoch_known="meta" not in missing or snapshot is not None)
        self._copy.execute("COMMIT")
        return " ".join([*sentences, *left_out])

    def _words(self, counts: Mapping[str, int]) -> str:
        return ", ".join(f"{counts[table]} {words}" for table, words in _WORDS.items() if counts[table]) or (
            "nothing"
        )

    def _take(
        self, source: DamagedFile, table: str, wanted: Callable[[Mapping[str, Any]], bool] = lambda _: True
    ) -> None:
        """Adds the rows that are wanted and not here yet."""
        keys = key_columns(self._copy, table)
        low = {} if keys[0][1] != "INTEGER" else {"low": 0, "high": _LAST_KEY}
        rows = source.rows(table, columns(self._copy, table), [name for name, _ in keys], **low)
        self._add(table, filter(wanted, rows))

    def _add(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        added = 0
        for row in rows:
            sql = f"INSERT OR IGNORE INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"  # noqa: S608
            try:
                added += self._copy.execute(sql, tuple(row.values())).rowcount
            except sqlite3.IntegrityError:
                continue  # a value of a kind that was never written: the row was altered
        self._had[table] += added

    def _take_sequence(self, source: DamagedFile) -> None:
        for row in source.rows("sqlite_sequence", ("name", "seq"), ("name",)):
            if row["name"] == "sessions" and isinstance(row["seq"], int):
                self._last_session = max(self._last_session, row["seq"])

    def _take_samples(self, damaged: DamagedFile) -> list[str]:
        """Samples of the drives that are known, newest first, while there are time and room for them."""
        until_s = time.monotonic() + SAMPLES_S
        room_bytes = disk_usage(self._database.parent).free - _ROOM_LEFT_BYTES
        names = columns(self._copy, LEFT_OUT)
        sessions = self._copy.execute("SELECT id FROM sessions ORDER BY id DESC").fetchall()
        for (session,) in sessions:
            first = session * CHUNKS_PER_SESSION
            for row in damaged.rows(LEFT_OUT, names, ("id",), low=first, high=first + CHUNKS_PER_SESSION - 1):
                room_bytes -= len(row["data"])
                if time.monotonic() > until_s or room_bytes < 0:
                    return ["Older samples were left in the damaged file, so that driving need not wait."]
                self._add(LEFT_OUT, [row])
        return []

    def _take_snapshot(self, learned: Iterable[str], *, sessions_missing: bool) -> str | None:
        """Adds what is not here from the newest snapshot that can be read; returns its name.

        A drive that is not here was deleted by the user where nothing of it is left and the drives could all
        be read.
        """
        left = self._copy.execute(
            "SELECT id FROM sessions UNION SELECT session FROM cell_blocks "
            "UNION SELECT session FROM verdict_counts"
        )
        known = {session for (session,) in left}
        for snapshot in snapshots(self._database):
            with DamagedFile(snapshot) as source:
                anew = self._learned_anew(source)
                wanted = {
                    "sessions": lambda row: sessions_missing or row["id"] in known,
                    "cell_blocks": lambda row: row["session"] not in anew,  # noqa: B023 - used in this turn
                }
                for table in learned:
                    self._take(source, table, wanted.get(table, lambda _: True))
                self._take_sequence(source)
                if "meta" not in source.incomplete:
                    return snapshot.name
        return None

    def _learned_anew(self, snapshot: DamagedFile) -> set[int]:
        """Drives whose cells were made anew after the snapshot: old and new ones must not be mixed."""
        kept = {
            (session, block): crc32
            for session, block, crc32 in self._copy.execute("SELECT session, block, crc32 FROM cell_blocks")
        }
        rows = snapshot.rows(
            "cell_blocks", columns(self._copy, "cell_blocks"), ("session", "block"), low=0, high=_LAST_KEY
        )
        return {
            row["session"]
            for row in rows
            if kept.get((row["session"], row["block"]), row["crc32"]) != row["crc32"]
        }

    def _settle(self, *, epoch_known: bool) -> None:
        """Makes sure that what is missing cannot make what is here say something else."""
        self._keep_numbers_of_lost_tables()
        self._settle_current_table()
        restore(self._copy)
        for table in self._tables:
            for key in self._copy.execute(f"PRAGMA foreign_key_list({table})").fetchall():
                parent, column = key[2], key[3]
                ((parent_key, _),) = key_columns(self._copy, parent)
                self._copy.execute(
                    f"DELETE FROM {table} WHERE {column} NOT IN (SELECT {parent_key} FROM {parent})"  # noqa: S608
                )
        self._settle_epoch(known=epoch_known)
        self._copy.execute("DELETE FROM sqlite_sequence WHERE name = 'sessions'")
        self._copy.execute("INSERT INTO sqlite_sequence VALUES ('sessions', ?)", (self._newest_session(),))

    def _keep_numbers_of_lost_tables(self) -> None:
        """What was learned with a lost MAF table must not count for the next that gets its number."""
        naming = [table for table in self._tables if "maf_table_revision" in columns(self._copy, table)]
        named = " UNION ".join(f"SELECT maf_table_revision FROM {table}" for table in naming)  # noqa: S608
        known = {revision for (revision,) in self._copy.execute("SELECT revision FROM maf_tables")}
        for (revision,) in self._copy.execute(named).fetchall():
            if revision is not None and revision not in known:
                wrong = checksum(revision, "[]", None) ^ 1  # readers leave the row out and say so
                self._copy.execute(
                    "INSERT INTO maf_tables (revision, name, maf_v, crc32, created_wall_s) "
                    "VALUES (?, 'lost', '[]', ?, 0.0)",
                    (revision, wrong),
                )

    def _settle_current_table(self) -> None:
        """A snapshot may say that a table is current which was replaced since."""
        kept = read_sealed(self._copy, "maf_table")
        row = self._copy.execute(
            "SELECT revision, name, maf_v, flow_gs, created_wall_s, crc32 FROM maf_tables "
            "ORDER BY revision DESC LIMIT 1"
        ).fetchone()
        if row is None or (kept is not None and kept["revision"] >= row[0]):
            return
        revision, name, maf_v, flow_gs, created_wall_s, crc32 = row
        self._copy.execute("DELETE FROM meta WHERE key = 'maf_table'")
        if checksum(revision, maf_v, flow_gs) == crc32:
            text = sealed_table(revision, name, maf_v, flow_gs, created_wall_s)
            self._copy.execute("INSERT INTO meta VALUES ('maf_table', ?)", (text,))

    def _settle_epoch(self, *, known: bool) -> None:
        """Where it is not known since when learning counts, nothing of before may."""
        kept = read_sealed(self._copy, "epoch")
        ((newest, sessions),) = self._copy.execute("SELECT coalesce(max(epoch), 1), count(*) FROM sessions")
        if newest > (1 if kept is None else kept["epoch"]):
            ((first,),) = self._copy.execute("SELECT min(id) FROM sessions WHERE epoch = ?", (newest,))
            self._put_epoch(newest, first)
        elif kept is None and not known and sessions:
            self._put_epoch(newest + 1, self._newest_session() + 1)

    def _put_epoch(self, epoch: int, session: int) -> None:
        text = sealed({"epoch": epoch, "session": session, "block": 0})
        self._copy.execute("INSERT OR REPLACE INTO meta VALUES ('epoch', ?)", (text,))

    def _newest_session(self) -> int:
        """The highest number that a drive ever had, as far as is known: none is used again."""
        ((newest,),) = self._copy.execute("SELECT coalesce(max(id), 0) FROM sessions")
        epoch = read_sealed(self._copy, "epoch")
        return max(int(newest), self._last_session, 0 if epoch is None else epoch["session"] - 1)

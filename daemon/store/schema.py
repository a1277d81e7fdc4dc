"""The database's schema, documented where ``sqlite3 FILE .schema`` shows it, and its versions.

To change it, keep a small database of the version before (``python tests/make_database.py
tests/databases/schema_N.db``) and append one text of SQL to :data:`_STEPS`: the tests bring every kept
database forward. A step and its version number are one transaction, so a program killed in the middle
begins it anew.
"""

from __future__ import annotations

import contextlib
import sqlite3

from daemon.store.rows import checksum, sealed_table

APPLICATION_ID = 0x4C4D4146
"""``LMAF``: tells our databases from those of other programs."""

_VERSION_1 = """
CREATE TABLE meta (
    -- facts about the file: schema_version (also in PRAGMA user_version), epoch
    -- of learning (JSON: its number, its first session and block)
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE maf_tables (
    -- every MAF table that was in the ECU; the highest revision is the one that is there now
    revision INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    maf_v TEXT NOT NULL,           -- breakpoints, V: a JSON array
    flow_gs TEXT,                  -- flow, g/s: a JSON array as long; NULL where only the axis is known
    crc32 INTEGER NOT NULL,        -- of revision, maf_v and flow_gs
    created_wall_s REAL NOT NULL   -- seconds since 1970, UTC, by this machine's clock
) STRICT;

CREATE TABLE cell_locks (
    -- cells that the user locked: their flow stays as it is
    maf_table_revision INTEGER NOT NULL REFERENCES maf_tables,
    cell INTEGER NOT NULL,         -- index into maf_v, from 0
    PRIMARY KEY (maf_table_revision, cell)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    -- one drive, or one recorded log
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    driver TEXT NOT NULL,
    name TEXT,                     -- given by the user
    started_wall_s REAL NOT NULL,  -- seconds since 1970, UTC, by this machine's clock
    clock TEXT NOT NULL CHECK (clock IN ('synced', 'unsynced')),  -- is that clock known to be right?
    started_monotonic_s REAL NOT NULL,  -- seconds since boot_id began; never jumps
    ended_monotonic_s REAL,
    boot_id TEXT,
    closed_how TEXT NOT NULL CHECK (closed_how IN ('open', 'closed', 'closed_incorrect')),
    maf_table_revision INTEGER REFERENCES maf_tables,
    epoch INTEGER NOT NULL,        -- what was learned counts from the last epoch on
    estimator TEXT NOT NULL,
    settings TEXT NOT NULL,        -- filters and constants: a JSON object
    crc32 INTEGER NOT NULL,        -- of what does not change: all but name, ended, closed_how, included
    included INTEGER NOT NULL DEFAULT 1 CHECK (included IN (0, 1))  -- does it count in the table?
) STRICT;

CREATE TABLE sample_chunks (
    -- samples as they came, compressed: column after column of n doubles, t_s first
    id INTEGER PRIMARY KEY,        -- session * 4294967296 + number of the chunk in it, from 0
    session INTEGER GENERATED ALWAYS AS (id >> 32) VIRTUAL,
    n INTEGER NOT NULL,
    first_t_s REAL NOT NULL,       -- seconds since the session's source started
    last_t_s REAL NOT NULL,
    channels TEXT NOT NULL,        -- columns after t_s: a JSON array
    data BLOB NOT NULL,            -- zlib of (1 + channels) * n little-endian doubles
    crc32 INTEGER NOT NULL         -- of id, n, channels and data
) STRICT;

CREATE TABLE cell_blocks (
    -- what was learned, as sums over blocks of time: they add up, in any order, to the table
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    block INTEGER NOT NULL,
    state BLOB NOT NULL,           -- zlib of the block's sums
    crc32 INTEGER NOT NULL,        -- of session, block and state
    PRIMARY KEY (session, block)
) STRICT, WITHOUT ROWID;

CREATE TABLE verdict_counts (
    -- what became of the session's samples: accepted, or the reason against them
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    verdict TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (session, verdict)
) STRICT, WITHOUT ROWID;
"""

_VERSION_2 = """
CREATE TABLE verdict_minutes (
    -- what became of the samples of each minute, written when the minute is over
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    minute INTEGER NOT NULL,       -- whole minutes of t_s
    counts TEXT NOT NULL,          -- verdict -> number of samples, those above 0: a JSON object
    crc32 INTEGER NOT NULL,        -- of session, minute and counts
    PRIMARY KEY (session, minute)
) STRICT, WITHOUT ROWID;

CREATE TABLE boots (
    -- by how much the two clocks differed once the wall clock was known: dates sessions of a
    -- machine that began without one
    boot_id TEXT PRIMARY KEY,
    wall_minus_monotonic_s REAL NOT NULL,
    clock TEXT NOT NULL CHECK (clock IN ('synced', 'unsynced')),  -- unsynced: somebody set it by hand
    crc32 INTEGER NOT NULL         -- of the other columns
) STRICT, WITHOUT ROWID;

CREATE TABLE link_events (
    -- the newest changes of the connection to the car
    id INTEGER PRIMARY KEY,
    boot_id TEXT,
    monotonic_s REAL NOT NULL,     -- seconds since boot_id began
    driver TEXT NOT NULL,
    state TEXT NOT NULL,           -- connecting, running, waiting, paused, ended
    words TEXT NOT NULL
) STRICT;
"""

_VERSION_3 = """
CREATE TABLE uploaded_logs (
    -- logs that were uploaded for analyses; the file is <id> in the folder <database>-uploads
    number INTEGER PRIMARY KEY,    -- in the order of arrival
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,            -- as the sender calls it; only shown, never a path
    bytes INTEGER NOT NULL,
    recognised TEXT NOT NULL,      -- what its beginning says it is: a JSON object
    uploaded_wall_s REAL NOT NULL, -- seconds since 1970, UTC, by this machine's clock
    crc32 INTEGER NOT NULL         -- of id, name, bytes and recognised
) STRICT;

CREATE TABLE analyses (
    -- runs that were asked for: one estimator and its filters over one or more uploaded logs
    number INTEGER PRIMARY KEY,    -- in the order in which they were asked for
    id TEXT NOT NULL UNIQUE,
    logs TEXT NOT NULL,            -- ids of the logs: a JSON array
    estimator TEXT NOT NULL,
    filters TEXT NOT NULL,         -- every filter with its limit: a JSON object
    maf_table_revision INTEGER REFERENCES maf_tables,
    webhook_url TEXT,              -- where the output is pushed to
    asked_wall_s REAL NOT NULL,    -- seconds since 1970, UTC, by this machine's clock
    status TEXT NOT NULL CHECK (status IN (  -- a run that is being processed is still unstarted here
        'unstarted', 'completed', 'completed_and_sent', 'failed', 'cancelled')),
    error TEXT,                    -- why it failed
    next_sequence INTEGER NOT NULL DEFAULT 0,   -- of the next chunk that is pushed
    push TEXT NOT NULL CHECK (push IN ('none', 'pending', 'delivered', 'given_up')),
    push_attempts INTEGER NOT NULL DEFAULT 0,   -- without success, one after another
    push_error TEXT,               -- what the last of them met
    crc32 INTEGER NOT NULL         -- of id, logs, estimator, filters, maf_table_revision, webhook_url
) STRICT;

CREATE TABLE analysis_tables (
    -- what a run gave
    analysis INTEGER PRIMARY KEY REFERENCES analyses ON DELETE CASCADE,
    document BLOB NOT NULL,        -- zlib of JSON: {"table": ..., "notes": [...]}
    crc32 INTEGER NOT NULL         -- of analysis and document
) STRICT;

CREATE TABLE analysis_pushes (
    -- output that is to be delivered: kept before it is sent, so that a sequence number always
    -- means the same chunk
    analysis INTEGER NOT NULL REFERENCES analyses ON DELETE CASCADE,
    first_sequence INTEGER NOT NULL,  -- of its first chunk
    final INTEGER NOT NULL CHECK (final IN (0, 1)),
    body BLOB NOT NULL,            -- zlib of the JSON that is cut into chunks
    crc32 INTEGER NOT NULL,        -- of analysis, first_sequence, final and body
    PRIMARY KEY (analysis, first_sequence)
) STRICT, WITHOUT ROWID;
"""

_VERSION_4 = """
CREATE TABLE devices (
    -- phones that were paired and tokens of scripts: who may change something from the network. One that
    -- was revoked is not here any more
    id TEXT PRIMARY KEY,           -- the public part of its credential
    kind TEXT NOT NULL CHECK (kind IN ('device', 'token')),
    name TEXT NOT NULL,            -- given by the user; only shown
    secret_sha256 TEXT NOT NULL,   -- SHA-256 of the secret part, which is 32 random bytes; hexadecimal
    added_wall_s REAL NOT NULL,    -- seconds since 1970, UTC, by this machine's clock
    last_used_wall_s REAL,         -- the same; within an hour
    crc32 INTEGER NOT NULL         -- of id, kind, name and secret_sha256
) STRICT, WITHOUT ROWID;
"""

_VERSION_5 = """
CREATE TABLE published_results (
    -- tables as they stood when somebody published them under a lasting address
    id TEXT PRIMARY KEY,           -- the last part of the address
    name TEXT NOT NULL,            -- given by the user; '' without one
    published_wall_s REAL NOT NULL,  -- seconds since 1970, UTC, by this machine's clock
    refusals TEXT NOT NULL,        -- why it is not fit to be flashed: a JSON array, empty where it is
    document BLOB NOT NULL,        -- zlib of the table as JSON, format lowmaf.table/1
    crc32 INTEGER NOT NULL         -- of the other columns
) STRICT, WITHOUT ROWID;
"""

_VERSION_6 = """
CREATE TEMP TABLE counts_of_before AS
    SELECT session, json_group_object(verdict, n) AS counts FROM verdict_counts WHERE n > 0 GROUP BY session;
DROP TABLE verdict_counts;
CREATE TABLE verdict_counts (
    -- what became of the session's samples: accepted, or the reason against them
    session INTEGER PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    counts TEXT NOT NULL,          -- verdict -> number of samples, those above 0: a JSON object
    crc32 INTEGER NOT NULL         -- of session and counts
) STRICT;
INSERT INTO verdict_counts
    SELECT session, counts, lowmaf_checksum(session, counts) FROM counts_of_before;
DROP TABLE counts_of_before;

-- the table that is in the ECU, a second time: a lost row must not let an earlier table pass for it
INSERT INTO meta SELECT 'maf_table', lowmaf_sealed_table(revision, name, maf_v, flow_gs, created_wall_s)
    FROM (SELECT * FROM maf_tables ORDER BY revision DESC LIMIT 1)
    WHERE crc32 = lowmaf_checksum(revision, maf_v, flow_gs);
"""

_VERSION_7 = """
INSERT OR REPLACE INTO meta VALUES (
    'sample_chunks',
    'data from version 7 on: 0x01 and zlib of daemon/store/column_packing.py; before: zlib of doubles'
);
"""

_STEPS = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5, _VERSION_6, _VERSION_7)
"""Step i leads from version i to version i + 1. A step that was released is never changed."""

VERSION = len(_STEPS)


def upgrade(connection: sqlite3.Connection, version: int, until: int = VERSION) -> None:
    """Brings a database of an older ``version`` (0: a new file) to ``until``, step by whole step."""
    connection.create_function("lowmaf_checksum", -1, checksum, deterministic=True)
    connection.create_function("lowmaf_sealed_table", -1, sealed_table, deterministic=True)
    for number, step in enumerate(_STEPS[version:until], start=version + 1):
        connection.executescript(
            f"""
            BEGIN IMMEDIATE;
            {step}
            INSERT OR REPLACE INTO meta VALUES ('schema_version', '{number}');
            PRAGMA application_id = {APPLICATION_ID};
            PRAGMA user_version = {number};
            COMMIT;
            """  # noqa: S608 - only our own constants
        )


def is_whole(connection: sqlite3.Connection, version: int) -> bool:
    """Whether every table of ``version`` is as it was made; what others have added does not matter."""
    with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        upgrade(fresh, 0, until=version)
        return _definitions(fresh) <= _definitions(connection)


def _definitions(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    return set(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))

"""Runs in the virtual machine: prints what the database has committed, as soon as it has.

A reader sees a commit only after SQLite has synced it (WAL, synchronous=FULL): what is said here is
acknowledged. Lines are ``session samples newest_t_s``.
"""

import contextlib
import sqlite3
import sys
import time

READ = """
SELECT session, sum(n), max(last_t_s) FROM sample_chunks WHERE id >= (SELECT max(id) FROM sessions) << 32
GROUP BY session
"""


def watch(database: str) -> None:
    """Until the machine ends."""
    said = None
    while True:
        with (
            contextlib.suppress(sqlite3.OperationalError),  # not there yet
            contextlib.closing(
                sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5.0)
            ) as connection,
        ):
            while True:
                row = connection.execute(READ).fetchone()
                if row is not None and row != said:
                    said = row
                    print(*row, flush=True)
                time.sleep(0.1)
        time.sleep(0.2)


watch(sys.argv[1])

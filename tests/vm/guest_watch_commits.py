"""Runs in the virtual machine: says on a virtio port what the database has committed, as soon as it has.

A reader sees a commit only after SQLite has synced it (WAL, synchronous=FULL): what is said here is
acknowledged. Lines are ``session samples newest_t_s``.
"""

import sqlite3
import sys
import time

READ = """
SELECT session, sum(n), max(last_t_s) FROM sample_chunks WHERE id >= (SELECT max(id) FROM sessions) << 32
GROUP BY session
"""


def main(database: str, port: str) -> None:
    """Until the machine ends."""
    with open(port, "wb", buffering=0) as lines:  # noqa: PTH123 - pathlib would seek in it
        said = None
        while True:
            try:
                connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5.0)
                while True:
                    row = connection.execute(READ).fetchone()
                    if row is not None and row != said:
                        said = row
                        lines.write(f"{row[0]} {row[1]} {row[2]!r}\n".encode())
                    time.sleep(0.1)
            except sqlite3.OperationalError:  # not there yet
                time.sleep(0.2)


main(*sys.argv[1:])

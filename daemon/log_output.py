"""Messages of the daemon: one line each on stderr, in the form that the journal understands."""

from __future__ import annotations

import logging
import os
import sys

_JOURNAL_PRIORITY = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


class _JournalFormatter(logging.Formatter):
    """The priority in front as ``<N>``, which systemd reads (sd-daemon(3)), and no time: it has its own."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record).replace("\n", f"\n<{_JOURNAL_PRIORITY[record.levelname]}>")
        return f"<{_JOURNAL_PRIORITY[record.levelname]}>{text}"


def set_up_logging(level: str) -> None:
    """Sends messages of at least ``level`` (a name of :mod:`logging`, any case) to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    # uvicorn tells of its every start and stop under the name of errors.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    if _stderr_is_journal():
        handler.setFormatter(_JournalFormatter("%(name)s: %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _stderr_is_journal() -> bool:
    """Whether stderr is the stream that systemd connected to the journal (systemd.exec(5))."""
    try:
        device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
        status = os.fstat(sys.stderr.fileno())
        return (int(device), int(inode)) == (status.st_dev, status.st_ino)
    except (ValueError, OSError):
        return False

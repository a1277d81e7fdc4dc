"""What the daemon tells the service manager that started it: ready, alive, how it goes, ending.

The protocol is sd_notify(3): datagrams of ``NAME=value`` lines to the Unix socket that ``NOTIFY_SOCKET``
names. Without that variable (no systemd, or a shell) everything here does nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import time
from collections.abc import Callable, Mapping

from web.board import Status

logger = logging.getLogger(__name__)

LOOK_INTERVAL_S = 1.0
"""A ping that was held back goes out at most this long after what was stuck moves again."""
STATUS_INTERVAL_S = 5.0


class ServiceManager:
    """The end of the line to systemd. Sending never waits and never fails: who cannot be told is not told."""

    def __init__(self, environment: Mapping[str, str], *, process_id: int | None = None) -> None:
        """``environment`` as systemd gave it; ``process_id`` is this process unless a test says otherwise."""
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = _watchdog_s(environment, os.getpid() if process_id is None else process_id)
        self._failed = False

    @property
    def present(self) -> bool:
        """Whether there is a service manager that wants to be told."""
        return bool(self._address)

    @property
    def watchdog_s(self) -> float | None:
        """The service is restarted after so long without a ping; None where nobody watches."""
        return self._watchdog_s if self._address else None

    def ready(self) -> None:
        """The daemon serves: after the start, and again after each :meth:`reloading`."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The configuration is being read anew; :meth:`ready` says that it was."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon ends because it was told to."""
        self._send("STOPPING=1")

    def status(self, words: str) -> None:
        """One line for ``systemctl status``."""
        self._send("STATUS=" + " ".join(words.split()))

    def ping(self) -> bool:
        """All is well: the watchdog starts to count anew. False where that was not heard."""
        return self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> bool:
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
                line.setblocking(False)
                line.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._failed:  # the journal need not hear it every second
                logger.warning("the service manager does not hear us: %s", error.strerror)
            self._failed = True
            return False
        self._failed = False
        return True


def _watchdog_s(environment: Mapping[str, str], process_id: int) -> float | None:
    """What ``WATCHDOG_USEC`` asks for; None where it is another process that is watched, or none."""
    if environment.get("WATCHDOG_PID", str(process_id)) != str(process_id):
        return None
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isascii() and text.isdigit() and int(text) > 0 else None


async def feed_watchdog(service: ServiceManager, why_stuck: Callable[[], str | None]) -> None:
    """Pings twice per watchdog period while nothing is stuck; until cancelled. Returns where nobody watches.

    Runs on the event loop that does the work, so that it pings only while that loop turns. While
    ``why_stuck`` has a reason no ping goes out, and once the period is over systemd restarts the daemon.
    """
    if service.watchdog_s is None:
        return
    pinged_s, told = -math.inf, False
    while True:
        now_s = time.monotonic()
        why = why_stuck()
        if why is not None and not told:
            logger.warning("the watchdog is not fed: %s", why)
        told = why is not None
        if why is None and now_s - pinged_s >= service.watchdog_s / 2.0 and service.ping():
            pinged_s = now_s
        await asyncio.sleep(min(LOOK_INTERVAL_S, service.watchdog_s / 4.0))


async def tell_status(service: ServiceManager, status: Callable[[], Status]) -> None:
    """Keeps the line in ``systemctl status`` true; until cancelled. Returns where nobody reads it."""
    while service.present:
        service.status(status_line(status()))
        await asyncio.sleep(STATUS_INTERVAL_S)


def status_line(status: Status) -> str:
    """How it goes, in one line: the link in words, samples per second, what was counted, what is stuck."""
    parts = [status.link.words]
    if status.sample_rate_hz is not None:
        parts.append(f"{status.sample_rate_hz:.1f} samples/s")
    if seen := sum(status.counts.values()):
        parts.append(f"{status.counts['accepted']} of {seen} samples counted")
    if status.unhealthy_because is not None:
        parts.append(status.unhealthy_because)
    return "; ".join(parts)

"""How many connections are taken, from whom, and how long each may dawdle."""

from __future__ import annotations

import ipaddress
import logging
import resource
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

FILES_FOR_OTHERS = 256
"""Of the files that the process may have open, so many are kept for what is no connection."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLimits:
    """Connections in all and from one client; this machine itself is exempt from what is said of one client.

    ``idle_s``: an open connection on which nothing is asked; longer than a script's pause between two looks.
    ``head_s``: from the first byte of a request to the end of its head. ``stalled_s``: a client that takes
    nothing of what it asked for. ``head_bytes``: the head of a request.
    """

    connections: int = 16_000
    connections_per_client: int = 200
    idle_s: float = 30.0
    head_s: float = 10.0
    stalled_s: float = 60.0
    head_bytes: int = 16_000


class Refusal(Enum):
    """Why a connection or what came on it is not served: status, stable code, words."""

    FULL = 503, "too_many_connections", "as many connections are open as are allowed; try again in a moment"
    CLIENT = (
        429,
        "too_many_connections",
        "this client has as many connections open as one may ([web] max_connections_per_client)",
    )
    HEAD = 431, "head_too_large", "the head of the request is longer than is allowed ([limits] head_kb)"
    MALFORMED = 400, "malformed_request", "what came is no HTTP request"


@dataclass(slots=True)
class ConnectionCount:
    """The open connections, in all and by client."""

    limits: WebLimits
    connections: int = 0
    by_client: Counter[str] = field(default_factory=Counter)

    def add(self, client: str | None) -> Refusal | None:
        """One more connection, from ``client`` (None: from this machine); why it is refused, if it is."""
        self.connections += 1
        if client is not None:
            self.by_client[client] += 1
            if self.by_client[client] > self.limits.connections_per_client:
                return Refusal.CLIENT
        return Refusal.FULL if self.connections > self.limits.connections else None

    def remove(self, client: str | None) -> None:
        """One connection less."""
        self.connections -= 1
        if client is not None:
            self.by_client[client] -= 1
            if not self.by_client[client]:
                del self.by_client[client]


def client_of(address: str) -> str | None:
    """Who is counted as one client at a peer's address: None for this machine itself, which is exempt.

    Of IPv6 the first 64 bits count: whoever has one such address has them all.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None  # not a network at all
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


def allowed_connections(wanted: int) -> int:
    """As many of the ``wanted`` connections as the system lets this process have files for.

    Raises the process's own limit where the system allows that, and says what came of it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + FILES_FOR_OTHERS
    if soft < needed:
        soft = min(needed, hard) if hard != resource.RLIM_INFINITY else needed
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allowed = max(1, min(wanted, soft - FILES_FOR_OTHERS))
    if allowed < wanted:
        logger.warning(
            "%d connections are taken at once, not %d: this process may have %d files open (LimitNOFILE= of "
            "the service, or ulimit -n)",
            allowed,
            wanted,
            soft,
        )
    else:
        logger.info("up to %d connections are taken at once, of %d files", allowed, soft)
    return allowed

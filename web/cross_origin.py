"""Which pages of other origins may use the OpenEJ service: its web client is served from elsewhere.

Only the two OpenEJ paths, and only for origins that are named; no wildcard and no credentials.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

SERVICE_PATHS = frozenset({"/api/analyze/0", "/api/analyze/0/"})
PATHS = SERVICE_PATHS | {"/heartbeat/0", "/heartbeat/0/"}

_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?")
_PREFLIGHT_AGE_S = 600


class OpenEjOrigins:
    """The origins that may call the OpenEJ paths, such as ``https://openej.example``.

    Raises:
        ValueError: one of them is not an origin: scheme, host and maybe a port, nothing more.
    """

    def __init__(self, origins: Iterable[str] = ()) -> None:
        self._origins = frozenset(_checked(origin) for origin in origins)

    def allows(self, path: str, origin: str) -> bool:
        """Whether a page of ``origin``, as the browser names it, may call ``path``."""
        return path in PATHS and origin.lower() in self._origins

    def concerns(self, path: str) -> bool:
        """Whether answers to ``path`` differ by origin, so that caches must keep them apart."""
        return bool(self._origins) and path in PATHS


def allowing_headers(origin: str) -> dict[str, str]:
    """What lets the page of an allowed origin read the answer."""
    return {"access-control-allow-origin": origin}


def preflight_headers(path: str, request: Mapping[str, str]) -> dict[str, str]:
    """The answer to what a browser asks before it sends the page's own request (Fetch, CORS preflight)."""
    headers = {
        "access-control-allow-methods": "POST" if path.startswith("/api/") else "GET, HEAD",
        "access-control-allow-headers": "content-type",
        "access-control-max-age": str(_PREFLIGHT_AGE_S),
    }
    if request.get("access-control-request-private-network") == "true":
        headers["access-control-allow-private-network"] = "true"  # a public page, a server at home
    return headers


def _checked(origin: str) -> str:
    lowered = origin.lower()
    if _ORIGIN.fullmatch(lowered) is None:
        raise ValueError(
            f"OpenEJ origin {origin!r}: http:// or https://, a host and maybe a port are needed, "
            "without a path or a last slash, like https://openej.example"
        )
    return lowered

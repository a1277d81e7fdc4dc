"""What stands before every route: which names this server answers to, and who may change things.

A page on the phone's hotspot is plain http, where browsers send no Sec-Fetch headers. What they
do send is Host with every request and Origin with every unsafe one, and that is what is checked:
Host against DNS rebinding, Origin against foreign pages that post here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.cross_origin import OpenEjOrigins, allowing_headers, preflight_headers
from web.errors import error_response

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "manifest-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)

SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}

RAW_SECURITY_HEADERS = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?")


class HostRule:
    """Host must be an IP address, ``localhost``, a name under ``.local`` or one of ``host_names``."""

    def __init__(self, host_names: Iterable[str] = ()) -> None:
        self._host_names = frozenset(name.lower().rstrip(".") for name in host_names)

    def allows(self, host: str) -> bool:
        """Whether the server answers to this Host header, in lower case, with or without a port."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match.group(1).rstrip(".")
        if name == "localhost" or name.endswith(".local") or name in self._host_names:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


class Guard:
    """ASGI middleware: the Host rule, the Origin rule, and the security headers of every response.

    Pages of ``openej_origins`` are foreign too, but may use the OpenEJ paths.
    """

    def __init__(
        self, app: ASGIApp, host_rule: HostRule, openej_origins: OpenEjOrigins | None = None
    ) -> None:
        self._app = app
        self._host_rule = host_rule
        self._openej_origins = openej_origins or OpenEjOrigins()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        extra = self._cross_origin_headers(scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *RAW_SECURITY_HEADERS, *extra]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            status, code, words = refusal
            await error_response(status, code, words)(scope, receive, send_guarded)
            return
        preflight = self._preflight(scope)
        if preflight is not None:
            await preflight(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _cross_origin_headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        if not self._openej_origins.concerns(scope["path"]):
            return []
        headers = {"vary": "Origin"}
        origin = Headers(scope=scope).get("origin", "")
        if self._openej_origins.allows(scope["path"], origin):
            headers |= allowing_headers(origin)
        return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]

    def _preflight(self, scope: Scope) -> Response | None:
        """The answer to a CORS preflight of an allowed origin, None for any other request."""
        request = Headers(scope=scope)
        allowed = self._openej_origins.allows(scope["path"], request.get("origin", ""))
        if scope["method"] != "OPTIONS" or "access-control-request-method" not in request or not allowed:
            return None
        return Response(status_code=204, headers=preflight_headers(scope["path"], request))

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        """Status, code and words of why this request is not served, None where it is."""
        hosts: list[bytes] = []
        origins: list[bytes] = []
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                origins.append(value)
        if len(hosts) != 1:
            return 400, "host_missing", f"exactly one Host header is needed, met {len(hosts)}"
        host = hosts[0].decode("latin-1").lower()
        if not self._host_rule.allows(host):
            words = (
                f"this server does not answer to {host!r}; use its IP address, localhost, a name that ends "
                "in .local, or add the name to the host names in the configuration"
            )
            return 403, "host_not_allowed", words
        if scope["method"] not in _SAFE_METHODS:
            for raw in origins:
                origin = raw.decode("latin-1").lower()
                own = origin in (f"http://{host}", f"https://{host}")
                if not own and not self._openej_origins.allows(scope["path"], origin):
                    words = f"a page of {origin!r} may not change anything here; only pages of {host!r} may"
                    return 403, "origin_not_allowed", words
        return None

"""Who may do what: the machine's own user everything, paired devices everything, others look at most.

Stands behind :class:`web.security.Guard`, which has refused foreign names and foreign pages already, and
before every route, so that a new route is protected without saying so.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.cross_origin import SERVICE_PATHS
from web.device_shelf import Device, DeviceKind, DeviceShelf
from web.errors import ApiError, error_response, is_stream
from web.rate_limit import RateLimit
from web.request_body import BodyLimits, keep_to

COOKIE = "lowmaf_device"
COOKIE_AGE_S = 400 * 24 * 3600
"""As long as browsers keep any (RFC 6265bis, 5.5); each visit begins it anew."""

PAIR_PATH = "/api/v1/pair"
DEVICES_PATH = "/api/v1/devices"
_CALLER = "lowmaf.caller"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWNERS_ONLY = (DEVICES_PATH, "/api/v1/diagnosis")
_ALWAYS_READ = frozenset({"/", "/heartbeat/0", "/heartbeat/0/"})
_FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"})
_SERVICE_AT_ONCE = 2
"""Bodies of the OpenEJ service have up to 100 MB, and are held whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """What the owner has decided. ``openej_per_min`` and ``requests_per_s`` are for each address.

    ``encrypted``: whether it is all over https, so that the cookie is never sent otherwise.
    """

    read_requires_pairing: bool = False
    openej_offered: bool = True
    openej_per_min: float = 60.0
    openej_max_bytes: int = 100_000_000
    requests_per_s: float = 100.0
    bodies: BodyLimits = field(default_factory=BodyLimits)
    encrypted: bool = False


def request_limit(settings: AccessSettings) -> RateLimit:
    """Counts the requests of each address, the ordinary ones and those that :mod:`web.hot_paths` answers."""
    per_s = settings.requests_per_s
    return RateLimit(per_s=per_s, burst=5.0 * per_s, clock=time.monotonic)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. ``local``: somebody at this machine. ``device``: one that was paired, or a token."""

    address: str
    local: bool
    device: Device | None

    @property
    def trusted(self) -> bool:
        """Whether it may change things."""
        return self.local or self.device is not None


def caller_of(scope: Scope) -> Caller:
    """Who asks, as :class:`Access` has found out."""
    caller: Caller = scope[_CALLER]
    return caller


class Access:
    """ASGI middleware: lets through what the caller may do; says to others what they need."""

    def __init__(
        self, app: ASGIApp, settings: AccessSettings, requests: RateLimit, devices: DeviceShelf | None = None
    ) -> None:
        """``requests`` counts those of each address. Without ``devices`` nobody can be paired, and only
        somebody at this machine changes things."""
        self._app = app
        self._settings = settings
        self._devices = devices
        self._requests = requests
        per_min = settings.openej_per_min
        self._service = RateLimit(per_s=per_min / 60.0, burst=max(1.0, per_min), clock=time.monotonic)
        self._service_running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = self._caller(scope)
        scope[_CALLER] = caller
        keep_to(self._settings.bodies, scope)
        try:
            self._refuse(scope, caller)
            with self._serving(scope, caller):
                await self._app(scope, self._until_revoked(scope, caller, receive), _renewing(scope, send))
        except ApiError as error:
            refusal = error_response(error.status, error.code, error.message, error.detail, error.headers)
            await refusal(scope, receive, send)

    def _caller(self, scope: Scope) -> Caller:
        address = (scope.get("client") or ("", 0))[0]
        credential = _credential(Headers(scope=scope))
        device = None
        if credential and self._devices is not None:
            device = self._devices.recognise(credential)
        return Caller(address, _is_local(scope), device)

    def _refuse(self, scope: Scope, caller: Caller) -> None:
        """Raises :class:`ApiError` where the caller may not do this."""
        method, path = scope["method"], scope["path"]
        if _is_service(scope):
            self._refuse_service(caller)
        elif method not in _SAFE_METHODS:
            if path != PAIR_PATH or method != "POST":
                _refuse_untrusted(scope, caller, "to change anything")
        elif path.startswith(_OWNERS_ONLY):
            _refuse_untrusted(scope, caller, "for this")
        elif self._settings.read_requires_pairing and not _is_page(path):
            _refuse_untrusted(scope, caller, "to look at anything, as its owner has configured")
        if path.startswith(DEVICES_PATH) and caller.device is not None and not caller.local:
            _refuse_token(caller.device)
        if not caller.local:
            wait_s = self._requests.take(caller.address)
            if wait_s > 0.0:
                raise _too_often(f"more than {self._settings.requests_per_s:g} requests a second", wait_s)

    def _refuse_service(self, caller: Caller) -> None:
        if not self._settings.openej_offered:
            raise ApiError(403, "service_off", "the OpenEJ service is switched off ([web] openej_service)")
        if not caller.trusted:
            wait_s = self._service.take(caller.address)
            if wait_s > 0.0:
                raise _too_often(f"more than {self._settings.openej_per_min:g} analyses a minute", wait_s)

    @contextlib.contextmanager
    def _serving(self, scope: Scope, caller: Caller) -> Iterator[None]:
        """Only so many strangers use the OpenEJ service at once."""
        if not _is_service(scope) or caller.trusted:
            yield
            return
        if self._service_running >= _SERVICE_AT_ONCE:
            raise _too_often(f"more than {_SERVICE_AT_ONCE} analyses at once", 1.0)
        self._service_running += 1
        try:
            yield
        finally:
            self._service_running -= 1

    def _until_revoked(self, scope: Scope, caller: Caller, receive: Receive) -> Receive:
        """Streams that only paired devices may read end when the device is revoked."""
        devices, device = self._devices, caller.device
        if devices is None or device is None or caller.local or not is_stream(scope["path"]):
            return receive
        if not self._settings.read_requires_pairing:
            return receive

        async def receive_or_revoked() -> Message:
            received = asyncio.ensure_future(receive())
            gone = asyncio.ensure_future(devices.revoked(device.id))
            try:
                await asyncio.wait((received, gone), return_when=asyncio.FIRST_COMPLETED)
                return received.result() if received.done() else {"type": "http.disconnect"}
            finally:
                received.cancel()
                gone.cancel()

        return receive_or_revoked


def device_cookie(credential: str, *, encrypted: bool) -> str:
    """The Set-Cookie header that pairs a browser: no script can read it, no other site can send it, and one
    that came over https is sent over nothing else."""
    cookie = f"{COOKIE}={credential}; Path=/; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Strict"
    return f"{cookie}; Secure" if encrypted else cookie


def is_encrypted(scope: Scope) -> bool:
    """Whether the request came over https to this server."""
    return bool(scope["scheme"] == "https")


def _renewing(scope: Scope, send: Send) -> Send:
    """A paired browser that opens the page keeps its cookie for as long again."""
    credential = cookie_credential(Headers(scope=scope).get("cookie", ""))
    if not credential or scope["path"] != "/" or caller_of(scope).device is None:
        return send

    async def send_renewed(message: Message) -> None:
        if message["type"] == "http.response.start":
            cookie = device_cookie(credential, encrypted=is_encrypted(scope)).encode("latin-1")
            message["headers"] = [*message.get("headers", ()), (b"set-cookie", cookie)]
        await send(message)

    return send_renewed


def _refuse_untrusted(scope: Scope, caller: Caller, what_for: str) -> None:
    if caller.trusted:
        return
    presented = bool(_credential(Headers(scope=scope)))
    words = (
        "this device or token is not known here, or was revoked: pair it again"
        if presented
        else f"this device must be paired {what_for}"
    )
    raise ApiError(
        401,
        "credential_unknown" if presented else "pairing_needed",
        f"{words}. On the machine in the car, lowmaf pair shows a code for a phone, and lowmaf token create "
        "makes a token for a script",
        headers={"www-authenticate": 'Bearer realm="lowmaf"'},
    )


def _refuse_token(device: Device) -> None:
    """A token that has leaked must not make itself a successor."""
    if device.kind is DeviceKind.TOKEN:
        raise ApiError(
            403,
            "not_for_tokens",
            "a token may not see, add or revoke devices; use a paired device, or lowmaf pair and lowmaf "
            "token on the machine in the car",
        )


def _too_often(words: str, wait_s: float) -> ApiError:
    headers = {"retry-after": str(max(1, math.ceil(wait_s)))}
    return ApiError(429, "too_many_requests", f"{words} from one address; wait {wait_s:.1f} s", None, headers)


def _is_service(scope: Scope) -> bool:
    """Whether the OpenEJ service is asked to work, which it does for everybody."""
    return scope["method"] == "POST" and scope["path"] in SERVICE_PATHS


def _is_page(path: str) -> bool:
    """Whether it is the page itself, which a phone needs to be paired; it says nothing of the car."""
    return path in _ALWAYS_READ or path.startswith("/static/")


def _credential(headers: Headers) -> str:
    """What the caller presents: a bearer token (RFC 6750, 2.1), or else the cookie; empty where nothing."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return cookie_credential(headers.get("cookie", ""))


def cookie_credential(cookies: str) -> str:
    """The credential in a Cookie header, empty where there is none."""
    for pair in cookies.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def _is_local(scope: Scope) -> bool:
    """Whether somebody at this machine asks it by an address of its own, not through a proxy.

    The name that was asked for counts too: a name under ``.local`` may be anybody's, who points it at
    this machine once his page is open in a browser here.
    """
    if any(name in _FORWARDED for name, _ in scope["headers"]):
        return False
    server = scope.get("server") or ("", None)
    host = Headers(scope=scope).get("host", "").lower()
    own_name = is_own_name(host) or _name_of(host) == server[0]
    return own_name and is_loopback((scope.get("client") or ("", 0))[0])


def is_own_name(host: str) -> bool:
    """Whether a Host header, in lower case, has a name that every machine has for itself."""
    name = _name_of(host)
    return name == "localhost" or is_loopback(name)


@lru_cache(maxsize=1024)
def is_loopback(text: str) -> bool:
    """Whether it is an address of this machine that no other machine can have."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _name_of(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]

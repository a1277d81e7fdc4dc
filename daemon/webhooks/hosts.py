"""Which hosts may be pushed to, and at which addresses: by configuration only.

A name that the configuration allows may be made to lead elsewhere by whoever answers for the name, so
what it resolves to is checked each time a connection is made, and the connection goes to the address that
was checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

LONGEST_URL = 2000
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:(?P<port>[0-9]{1,5}))?")
_TRANSLATED = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))
"""Addresses that stand for IPv4 ones, which may be private."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class HostForbiddenError(Exception):
    """A push there is not allowed; the message says what is."""


class HostUnknownError(Exception):
    """The name of the host cannot be resolved now."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where pushes go to: one server. ``host`` is in lower case and without brackets."""

    scheme: str
    host: str
    port: int


class AllowedHosts:
    """The hosts that the configuration names, as ``host`` (ports 80 and 443) or ``host:port``.

    A host that is named by its address may be pushed to at that address. One that is named by a name may
    be pushed to where the name leads to a public address, or to one in ``networks``.

    Raises:
        ValueError: an entry is neither; says which and what is needed.
    """

    def __init__(self, hosts: Iterable[str] = (), networks: Iterable[str] = ()) -> None:
        self._entries = frozenset(_entry(host) for host in hosts)
        self._networks = tuple(_network(network) for network in networks)

    def receiver(self, url: str) -> Receiver:
        """The server that a URL names.

        Raises:
            HostForbiddenError: no URL for pushes, or a host that is not allowed.
        """
        if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
            raise HostForbiddenError(
                f"a webhook URL has at most {LONGEST_URL} printable ASCII characters and no spaces"
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise HostForbiddenError(f"{url!r:.100} is no URL: {error}") from None
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise HostForbiddenError(
                f"{url!r:.100} is no URL that begins with http:// or https:// and a host"
            )
        if "@" in parts.netloc or parts.fragment:
            raise HostForbiddenError("a webhook URL has no user, password or fragment")
        receiver = Receiver(parts.scheme, _plain(parts), port or _DEFAULT_PORTS[parts.scheme])
        if not self._allows(receiver):
            named = ", ".join(sorted(self._words())) or "none"
            raise HostForbiddenError(
                f"pushes to {receiver.host} port {receiver.port} are not allowed; [webhooks] hosts allows "
                f"{named}"
            )
        return receiver

    def _allows(self, receiver: Receiver) -> bool:
        port = None if receiver.port in _DEFAULT_PORTS.values() else receiver.port
        return bool({(receiver.host, port), (receiver.host, receiver.port)} & self._entries)

    def _words(self) -> list[str]:
        return [host if port is None else f"{host}:{port}" for host, port in self._entries]

    async def address(self, receiver: Receiver) -> str:
        """The address to connect to, checked.

        Raises:
            HostForbiddenError: the name leads to addresses that are not allowed, and to no other.
            HostUnknownError: the name cannot be resolved.
        """
        if _is_address(receiver.host):
            return receiver.host
        try:
            found = await _resolved(receiver)
        except (OSError, UnicodeError) as error:
            raise HostUnknownError(f"{receiver.host} cannot be resolved: {error}") from None
        addresses = [address.partition("%")[0] for address in found]
        for address in addresses:
            if self._leads_out(ipaddress.ip_address(address)):
                return address
        raise HostForbiddenError(
            f"{receiver.host} leads to {', '.join(dict.fromkeys(addresses))}, which is no public address; "
            "[webhooks] networks can allow it"
        )

    def _leads_out(self, address: Address) -> bool:
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            return self._leads_out(address.ipv4_mapped)
        if any(address in network for network in self._networks):
            return True
        if any(address in network for network in _TRANSLATED):
            return False
        return address.is_global and not address.is_multicast


async def _resolved(receiver: Receiver) -> list[str]:
    """Addresses of a host. In a thread of its own: where the network is down this may hang for long, and
    neither the threads that others share nor the end of the program are to wait for it."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(found: list[str] | OSError | UnicodeError) -> None:
        if answer.done():
            return
        if isinstance(found, list):
            answer.set_result(found)
        else:
            answer.set_exception(found)

    def resolve() -> None:
        found: list[str] | OSError | UnicodeError
        try:
            infos = socket.getaddrinfo(receiver.host, receiver.port, type=socket.SOCK_STREAM)
            found = [str(info[4][0]) for info in infos]
        except (OSError, UnicodeError) as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, found)

    threading.Thread(target=resolve, daemon=True, name="resolver").start()
    return await answer


def _entry(text: str) -> tuple[str, int | None]:
    match = _HOST.fullmatch(text.lower())
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        raise ValueError(
            f"host {text!r}: a name or an address is needed, and maybe a port, without http:// and without a "
            'path, such as "nas.local:8123"'
        )
    return match["host"].strip("[]").rstrip("."), int(match["port"]) if match["port"] else None


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"network {text!r}: {error}; one looks like 192.168.0.0/16") from None


def _plain(parts: SplitResult) -> str:
    return (parts.hostname or "").rstrip(".")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

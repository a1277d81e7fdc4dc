"""The addresses by which a phone on the network reaches this machine."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import socket
import struct
from pathlib import Path

_SIOCGIFADDR = 0x8915
_INTERFACES = Path("/sys/class/net")
_ADDRESS_AT = 20
"""Of the IPv4 address in struct ifreq (netdevice(7)), behind name, family and port."""


def own_addresses(interfaces: Path = _INTERFACES) -> list[str]:
    """IPv4 addresses of this machine on its networks, those of this machine only left out."""
    try:
        names = sorted(entry.name for entry in interfaces.iterdir())
    except OSError:
        return []
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for name in names:
            with contextlib.suppress(OSError):  # one without an address
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                address = ipaddress.IPv4Address(answer[_ADDRESS_AT : _ADDRESS_AT + 4])
                if not address.is_loopback:
                    found.append(str(address))
    return found


def is_listening(host: str, port: int, *, timeout_s: float = 1.0) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection((host, port), timeout_s).close()
    except OSError:
        return False
    return True

"""A pairing code as the owner sees it: to type, and as a QR code for the phone's camera."""

from __future__ import annotations

import io
import ipaddress
import sys
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from daemon.serving.own_addresses import own_addresses
from web.device_shelf import DeviceShelf
from web.pairing import Pairing, pairing_link


def invite_first_device(
    shelf: DeviceShelf, pairing: Pairing, host: str, url: str, tell_owner: Callable[[str], None]
) -> None:
    """Shows a code where others can reach the page and nobody was paired yet: who reads it is the owner.

    ``host`` is what is listened on, ``url`` the address to open on this machine.
    """
    if shelf.devices() or _is_this_machine_only(host):
        return
    invitation = pairing.invite()
    origins = phone_origins([host] if _is_address(host) else own_addresses(), url)
    tell_owner(
        f"no phone is paired yet: open {' or '.join(origins) or url} and enter {invitation.code} under "
        f"Setup, within {invitation.valid_s / 60.0:g} min; later: lowmaf pair"
    )
    if origins and sys.stderr.isatty():
        tell_owner("\n" + qr_text(pairing_link(origins[0], invitation.link_secret)))


def phone_origins(addresses: Sequence[str], url: str) -> list[str]:
    """What to open on a phone, for each address of this machine, which itself opens ``url``."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return [
        f"{parts.scheme}://{f'[{address}]' if ':' in address else address}:{port}" for address in addresses
    ]


def qr_text(link: str) -> str:
    """A link as a QR code of half blocks, for a terminal."""
    import segno  # noqa: PLC0415 - 30 ms that the start need not wait for

    drawn = io.StringIO()
    segno.make(link, micro=False).terminal(drawn, border=2, compact=True)
    return drawn.getvalue()


def _is_address(host: str) -> bool:
    """Whether ``host`` is one address, neither a name nor all of them."""
    try:
        return not ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _is_this_machine_only(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)

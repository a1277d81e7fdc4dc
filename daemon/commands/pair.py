"""``lowmaf pair``: a code, also as a QR code, that lets one phone change things."""

from __future__ import annotations

import argparse
from urllib.parse import urlsplit

from daemon.daemon_client import ask_daemon
from daemon.serving.own_addresses import is_listening, own_addresses
from daemon.serving.pairing_notice import phone_origins, qr_text
from web.access import DEVICES_PATH
from web.pairing import pairing_link

ADDRESS = "http://127.0.0.1:8000/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf pair``."""
    parser.epilog = "example: lowmaf pair   (on the machine in the car, while lowmaf runs there)"
    add_address(parser)


def add_address(parser: argparse.ArgumentParser) -> None:
    """The argument that says where the running lowmaf answers."""
    parser.add_argument(
        "--address", default=ADDRESS, metavar="URL", help=f"where lowmaf answers on this machine ({ADDRESS})"
    )


def run(options: argparse.Namespace) -> int:
    """Asks the running lowmaf for a code and shows it."""
    invitation = ask_daemon(options.address, "POST", DEVICES_PATH, {"kind": "device"})
    parts = urlsplit(options.address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    reached = [address for address in own_addresses() if is_listening(address, port)]
    origins = phone_origins(reached, options.address)
    if origins:
        print(qr_text(pairing_link(origins[0], invitation["link_secret"])))
        print(f"Point the phone's camera at it, or open {' or '.join(origins)} and enter under Setup:")
    else:
        print('No phone can reach this lowmaf: it wants [web] host = "0.0.0.0" and a network. The code is:')
    print(f"\n    {invitation['code']}\n")
    print(f"It pairs one phone, within {invitation['valid_s'] / 60.0:g} min.")
    return 0

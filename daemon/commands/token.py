"""``lowmaf token``: tokens by which scripts change things from the network, and who else is let in."""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from typing import Any
from urllib.parse import quote

from daemon.commands.pair import add_address
from daemon.daemon_client import ask_daemon
from daemon.output.printable import printable
from web.access import DEVICES_PATH


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf token``."""
    parser.epilog = (
        "examples:\n"
        "  lowmaf token create logger\n"
        '  curl -H "Authorization: Bearer TOKEN" --data-binary @drive.csv http://lowmaf.local:8000/api/v1/logs\n'
        "  lowmaf token revoke 1f3a90c2"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=type(parser))
    create = actions.add_parser("create", help="make one; it is shown this once")
    create.add_argument("name", metavar="NAME", help="what it is for")
    listing = actions.add_parser("list", help="tokens and paired phones")
    listing.add_argument("--json", action="store_true", help="as JSON")
    revoke = actions.add_parser("revoke", help="let a token or a phone in no more")
    revoke.add_argument("id", metavar="ID", help="as lowmaf token list shows it")
    for action in (create, listing, revoke):
        add_address(action)


def run(options: argparse.Namespace) -> int:
    """Asks the running lowmaf to do it."""
    return {"create": _create, "list": _list, "revoke": _revoke}[options.action](options)


def _create(options: argparse.Namespace) -> int:
    made = ask_daemon(options.address, "POST", DEVICES_PATH, {"kind": "token", "name": options.name})
    print(made["token"])
    return 0


def _list(options: argparse.Namespace) -> int:
    devices = ask_daemon(options.address, "GET", DEVICES_PATH)["devices"]
    if options.json:
        print(json.dumps({"devices": devices}))
        return 0
    print(f"{'id':10}{'kind':8}{'added':18}{'last used':18}name")
    for device in devices:
        times = f"{_moment(device['added_wall_s']):18}{_moment(device['last_used_wall_s']):18}"
        print(f"{device['id']:10}{device['kind']:8}{times}{printable(device['name'])}")
    return 0


def _revoke(options: argparse.Namespace) -> int:
    ask_daemon(options.address, "DELETE", f"{DEVICES_PATH}/{quote(options.id, safe='')}")
    return 0


def _moment(wall_s: Any) -> str:
    return "–" if wall_s is None else datetime.fromtimestamp(wall_s).astimezone().strftime("%Y-%m-%d %H:%M")

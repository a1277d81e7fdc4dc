"""The service as ``lowmaf doctor`` sees it: what systemd says of it, and whether its dashboard answers."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from daemon.config.sections import WebSettings
from daemon.daemon_client import connection_to
from daemon.doctor.findings import Finding, good, note, wrong
from daemon.doctor.port_owner import port_owner
from daemon.installed import SERVICE

SYSTEMD = Path("/run/systemd/system")
_SYSTEMCTL_S = 10.0
_ANSWER_S = 5.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on


def service_findings(unit: Mapping[str, str]) -> Iterator[Finding]:
    """What systemd says; ``unit`` holds its properties, none where it does not run here."""
    if unit.get("LoadState") != "loaded":
        yield good("service", "not installed as a service here")
        return
    active, result = unit.get("ActiveState", ""), unit.get("Result", "")
    restarts = int(unit.get("NRestarts") or 0)
    if active == "active":
        yield good("service", f"runs: {unit.get('StatusText') or 'no status yet'}")
    elif active == "failed":
        wanted = (
            "lowmaf check says what is wrong" if unit.get("ExecMainStatus") == "2" else "the journal says why"
        )
        yield wrong("service", f"failed ({result})", f"{wanted}: journalctl --unit {SERVICE} --lines 50")
    else:
        yield note("service", f"does not run ({active})", f"sudo systemctl start {SERVICE}")
    if restarts:
        yield note("service", f"was restarted {restarts} times", f"journalctl --unit {SERVICE} says why")
    if unit.get("UnitFileState") == "disabled":
        yield note("service", "does not start with the machine", f"sudo systemctl enable {SERVICE}")


def unit_properties() -> Mapping[str, str]:
    """What systemd knows of the unit; nothing where it does not run this machine."""
    program = shutil.which("systemctl")
    if program is None or not SYSTEMD.is_dir():
        return {}
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and nothing of it from outside
            [program, "show", SERVICE], capture_output=True, text=True, timeout=_SYSTEMCTL_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def port_findings(
    web: WebSettings, *, running: bool, owner: Callable[[int], str | None] = port_owner
) -> Iterator[Finding]:
    """The dashboard's port: free, or a ``running`` lowmaf answers there."""
    if web.port == 0:
        yield good("dashboard", f"any free port of {web.host}")
        return
    where = f"port {web.port} of {web.host}"
    if (complaint := _cannot_listen(web.host, web.port)) is None:
        if running:
            yield wrong(
                "dashboard",
                f"lowmaf runs, but nobody listens on {where}",
                "restart it: it was started with another configuration",
            )
        else:
            yield good("dashboard", f"{where} is free")
        return
    scheme = "http" if web.tls_certificate is None else "https"
    answer = health(_EVERYWHERE.get(web.host, web.host), web.port, scheme)
    if answer is not None:
        status, words = answer
        if status == http.client.OK:
            yield good("dashboard", f"lowmaf answers on {where}")
        else:
            yield wrong("dashboard", f"lowmaf on {where} says: {words}", "its page and its journal say more")
        return
    by = owner(web.port)
    yield wrong(
        "dashboard",
        f"{where}: {complaint}{f' by {by}' if by else ''}",
        "stop that, or change [web] host and port",
    )


def health(host: str, port: int, scheme: str = "http") -> tuple[int, str] | None:
    """Status and body of ``/healthz``; None where it is no lowmaf that answers."""
    connection = connection_to(scheme, host, port, _ANSWER_S)
    try:
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        body = response.read(4096).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return (response.status, body) if '"status"' in body else None


def _cannot_listen(host: str, port: int) -> str | None:
    """Why nobody can listen there now, None where one can."""
    try:
        (family, kind, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind(address)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None

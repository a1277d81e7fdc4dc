"""The link to the car as ``lowmaf doctor`` sees it, without opening it: device, rights, CAN interface."""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from daemon.config.sections import SourceSettings
from daemon.doctor.findings import Finding, good, note, wrong
from daemon.setup.source import CAR_BITRATE
from drivers.clock import WallClock
from drivers.registry import create

BY_ID = Path("/dev/serial/by-id")
NETWORK = Path("/sys/class/net")
PROC = Path("/proc")
SERIAL_GROUP = "dialout"
_IP_S = 5.0


def link_findings(source: SourceSettings, user: str | None, *, network: Path = NETWORK) -> Iterator[Finding]:
    """What leads to the car. ``user`` is who will open it, None for whoever asks now."""
    options = create(source.driver, source.options, WallClock()).options  # type: ignore[attr-defined]
    interface = getattr(options, "interface", None)
    if interface == "socketcan":
        yield from can_findings(options.channel, network)
    elif interface is not None and interface != "slcan":
        yield note("adapter", f"{options.channel} ({interface}): only lowmaf probe can tell")
    elif (port := getattr(options, "channel" if interface else "port", None)) is None:
        simulated = source.driver == "simulator"
        words = "a SIMULATED car: nothing of yours is read" if simulated else f"{source.driver}: no adapter"
        yield note("adapter", words, "lowmaf setup finds out what is plugged in")
    elif "://" in port:
        yield note("adapter", f"{port}, in the network: only lowmaf probe can tell")
    else:
        yield from serial_findings(Path(port), user)


def serial_findings(
    port: Path, user: str | None, *, by_id: Path = BY_ID, proc: Path = PROC
) -> Iterator[Finding]:
    """A serial port: there, for the right people, nobody else's."""
    try:
        status = port.stat()
    except OSError as error:
        yield wrong("adapter", f"{port}: {error.strerror}", "plug it in; lowmaf ports lists what is there")
        return
    if not stat.S_ISCHR(status.st_mode):
        yield wrong("adapter", f"{port} is no device", "lowmaf ports lists what is there")
        return
    yield good("adapter", f"{port} is there")
    if not _may_open(port, status, user):
        group, who = _group(status.st_gid), user or _me()
        advice = f"sudo usermod --append --groups {group} {who}, then log in anew or restart the service"
        yield wrong("rights", f"{who} may not open {port}", advice)
    else:
        yield good("rights", f"{user or _me()} may open it")
    for link in sorted(by_id.glob("*")) if port.parent != by_id and by_id.is_dir() else ():
        if link.resolve() == port.resolve() and not port.is_symlink():
            yield note("adapter", f"{port} may have another name tomorrow", f'write port = "{link}"')
    if (holder := _holder(port.resolve(), proc)) is not None:
        yield wrong("adapter", f"{holder} has {port} open", "stop it: two cannot read one port")


def can_findings(
    channel: str, network: Path = NETWORK, details: Callable[[str], Mapping[str, Any]] | None = None
) -> Iterator[Finding]:
    """A CAN interface of the system: there, up, on the bus, at a rate."""
    try:
        state = (network / channel / "operstate").read_text(encoding="ascii").strip()
    except OSError:
        yield wrong("can", f"there is no interface {channel}", "plug it in; lowmaf ports lists what is there")
        return
    info = (details or _ip_details)(channel)
    bitrate, bus = info.get("bittiming", {}).get("bitrate"), info.get("state")
    if state == "down":
        advice = (
            f"sudo ip link set {channel} up type can bitrate {CAR_BITRATE}, or for good: "
            "sudo systemctl enable --now systemd-networkd"
        )
        yield wrong("can", f"{channel} is down", advice)
    elif bus == "BUS-OFF":
        advice = f"check wires and bitrate, then: sudo ip link set {channel} type can restart"
        yield wrong("can", f"{channel} is off the bus after too many errors", advice)
    elif bus == "ERROR-PASSIVE":
        yield note("can", f"{channel} sees many errors", "is the ignition on, is the bitrate the car's?")
    else:
        yield good("can", f"{channel} is up")
    if bitrate is not None and bitrate != CAR_BITRATE:
        yield note("can", f"{channel} runs at {bitrate} bit/s", f"diagnostic buses run at {CAR_BITRATE}")
    elif bitrate is not None:
        yield good("can", f"{channel} runs at {bitrate} bit/s")


def _ip_details(channel: str) -> Mapping[str, Any]:
    """What ``ip`` tells of a CAN interface; nothing where it is not installed."""
    program = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        return {}
    command = [program, "-details", "-json", "link", "show", "dev", channel]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_IP_S, check=True)  # noqa: S603 - no shell
        (link,) = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
    info: Mapping[str, Any] = link.get("linkinfo", {}).get("info_data", {})
    return info


def _may_open(port: Path, status: os.stat_result, user: str | None) -> bool:
    if user is None:
        return os.access(port, os.R_OK | os.W_OK)
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return False
    groups = {*os.getgrouplist(user, account.pw_gid), *_service_groups()}
    both = stat.S_IROTH | stat.S_IWOTH
    if status.st_uid == account.pw_uid:
        both = stat.S_IRUSR | stat.S_IWUSR
    elif status.st_gid in groups:
        both = stat.S_IRGRP | stat.S_IWGRP
    return status.st_mode & both == both


def _service_groups() -> set[int]:
    """Groups that the unit adds to those of its user."""
    try:
        return {grp.getgrnam(SERIAL_GROUP).gr_gid}
    except KeyError:
        return set()


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _me() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def _holder(device: Path, proc: Path) -> str | None:
    """The program other than lowmaf that has a device open; None where nobody has, as far as can be seen."""
    for process in proc.glob("[0-9]*"):
        try:
            held = any(
                (process / "fd" / name.name).readlink() == device for name in (process / "fd").iterdir()
            )
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0") if held else []
        except OSError:
            continue  # another user's, or one that has just ended
        if held and not any("lowmaf" in word or word == "daemon" for word in words):
            return f"{' '.join(words).strip()[:80]} (pid {process.name})"
    return None

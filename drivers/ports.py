"""What is plugged in: serial ports and CAN interfaces, each with a hint which driver fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from serial.tools import list_ports

_BY_ID = Path("/dev/serial/by-id")
_NETWORK = Path("/sys/class/net")
_CAN_TYPE = "280"  # ARPHRD_CAN

_UNKNOWN = "n/a"  # pyserial's word for a port of which the system knows nothing


class DriverHint(StrEnum):
    """Which drivers fit a port, in words for the configuration."""

    CABLE = 'driver = "ssm-kline" for a K-line cable, "elm327" for an OBD adapter'
    SLCAN = 'driver = "ssm-can" or "obd-can" with interface = "slcan"'
    ELM = 'driver = "elm327"'
    SOCKETCAN = 'driver = "ssm-can" or "obd-can" with interface = "socketcan"'


_SLCAN_DEVICES = frozenset({(0x16D0, 0x117E), (0xAD50, 0x60C4), (0x04D8, 0x0053)})
"""Vendor and product of adapters that are slcan and nothing else."""
_ELM_WORDS = ("obd", "elm", "stn", "vlink", "vgate")


@dataclass(frozen=True, slots=True)
class FoundPort:
    """``path`` is what to write in the configuration; ``words`` say what it is."""

    path: str
    words: str
    hint: DriverHint


def serial_ports(by_id: Path = _BY_ID) -> Iterator[FoundPort]:
    """Serial ports of real devices, by the name that stays the same where there is one."""
    stable = {link.resolve(): link for link in sorted(by_id.glob("*"))} if by_id.is_dir() else {}
    for port in sorted(list_ports.comports(), key=lambda port: port.device):
        path = stable.get(Path(port.device).resolve())
        described = "" if port.description == _UNKNOWN else port.description
        words = " ".join(filter(None, (port.manufacturer, port.product))) or described or "serial port"
        also = f" (now {port.device})" if path else ""
        yield FoundPort(
            str(path or port.device),
            f"{words}{also}",
            serial_hint(port.vid, port.pid, f"{words} {port.device}"),
        )


def serial_hint(vid: int | None, pid: int | None, words: str) -> DriverHint:
    """Which driver fits a serial device with this vendor, product and description."""
    described = words.lower()
    if (vid, pid) in _SLCAN_DEVICES or "slcan" in described or "canable" in described:
        return DriverHint.SLCAN
    if "rfcomm" in described or any(word in described for word in _ELM_WORDS):
        return DriverHint.ELM
    return DriverHint.CABLE


def can_interfaces(network: Path = _NETWORK) -> Iterator[FoundPort]:
    """CAN interfaces of the system, with whether they are up."""
    for interface in sorted(network.glob("*")):
        try:
            kind = (interface / "type").read_text().strip()
            state = (interface / "operstate").read_text().strip()
        except OSError:
            continue  # gone meanwhile, or not an interface
        if kind == _CAN_TYPE:
            up = "down; bring it up with its bitrate first" if state == "down" else "up"
            yield FoundPort(interface.name, f"CAN interface, {up}", DriverHint.SOCKETCAN)

"""``lowmaf ports``: what is plugged in, and which driver fits. Opens nothing."""

from __future__ import annotations

import argparse

from drivers.ports import can_interfaces, serial_ports


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf ports``."""
    parser.epilog = "example: lowmaf ports"


def run(_: argparse.Namespace) -> int:
    """Prints a line per port: its name, what it is, and below what to write in the configuration."""
    found = [*serial_ports(), *can_interfaces()]
    if not found:
        print("No serial port and no CAN interface was found. Is the adapter plugged in?")
    for port in found:
        print(f"{port.path}\n    {port.words}\n    {port.hint}")
    return 0

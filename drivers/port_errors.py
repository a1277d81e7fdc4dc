"""Why a serial port cannot be opened, and what to do about it, in words."""

from __future__ import annotations

import termios

import serial

PORT_ERRORS = (serial.SerialException, OSError, ValueError, OverflowError, termios.error)
"""What opening a serial port raises."""


def port_trouble(error: Exception) -> str:
    """The system's reason and what to do about it."""
    number = getattr(error, "errno", None)
    if isinstance(error, serial.SerialException) and "exclusively lock" in str(error):
        return "another program has it open"
    return {
        2: "no such port; is the adapter plugged in? `lowmaf ports` lists what is there",
        13: "no permission; the user must be in the group of the port, mostly dialout",
        16: "another program has it open",
    }.get(number or 0, str(error))

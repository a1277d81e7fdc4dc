"""What an ELM327 writes: lines of a response, and the payloads in them. No I/O.

With headers on and spaces off, a line on CAN is the identifier (3 digits, or 8 where identifiers have
29 bits) and the frame's bytes; on older buses it is 3 bytes of header, the payload and a checksum.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from drivers.base import FrameError
from drivers.isotp import IsoTp

ERRORS = (
    "NO DATA", "UNABLE TO CONNECT", "BUS INIT: ERROR", "BUS ERROR", "BUS BUSY", "CAN ERROR", "DATA ERROR",
    "STOPPED", "BUFFER FULL", "RX ERROR", "FB ERROR", "ACT ALERT", "LV RESET", "LP ALERT", "ERR",
)  # fmt: skip
"""What stands in a response that failed. ``?`` alone is a command that the adapter does not know."""

_HEX = re.compile(r"[0-9A-F]+$")
_FRAME = re.compile(r"(7E[89A-F])((?:[0-9A-F]{2}){2,8})$")
_LONG_FRAME = re.compile(r"(18DAF1[0-9A-F]{2})((?:[0-9A-F]{2}){2,8})$")
_WORDS = ("SEARCHING...", "BUS INIT: OK", "BUS INIT: ...OK", "OK")
_LEGACY_HEADER = 6  # digits


def response_lines(text: bytes, command: str) -> list[str]:
    """The lines of a response up to its prompt, without the echo of ``command``, blanks and NULs.

    Words that only tell what the adapter is doing are left out, also where a line goes on after them.
    """
    clean = text.replace(b"\0", b"").replace(b">", b"").decode("ascii", "replace").upper()
    lines = []
    for part in re.split(r"[\r\n]+", clean):
        line = part.strip()
        if line.replace(" ", "") == command.replace(" ", ""):
            continue
        for words in _WORDS[:-1]:
            line = line.removeprefix(words).strip()
        if line:
            lines.append(line)
    return lines


def error_in(lines: Iterable[str]) -> str | None:
    """The error that a response tells, or None."""
    for line in lines:
        if line == "?":
            return "?"
        for error in ERRORS:
            if error in line:
                return error
    return None


def can_payloads(lines: Iterable[str], *, long_headers: bool = False) -> dict[str, bytes]:
    """Payload by identifier of the ECU that sent it; ``long_headers`` where identifiers have 29 bits.

    Lines that end in no frame are passed over, and so is what stands before a frame; a payload of
    which a frame is missing is left out.
    """
    pattern = _LONG_FRAME if long_headers else _FRAME
    transports: dict[str, IsoTp] = {}
    payloads: dict[str, bytes] = {}
    for line in lines:
        found = pattern.search(line.replace(" ", ""))
        if found is None:
            continue
        ecu, body = found.groups()
        transport = transports.setdefault(ecu, IsoTp())
        try:
            payload, _ = transport.receive(bytes.fromhex(body), 0.0)
        except FrameError:
            continue
        if payload is not None:
            payloads.setdefault(ecu, payload)
    return payloads


def legacy_payloads(lines: Iterable[str], checksum: Callable[[bytes], int]) -> dict[str, bytes]:
    """Payload by header, of buses before CAN; lines whose checksum is wrong are passed over."""
    payloads: dict[str, bytes] = {}
    for line in lines:
        digits = line.replace(" ", "")
        if not _HEX.match(digits) or len(digits) % 2 or len(digits) < _LEGACY_HEADER + 4:
            continue
        data = bytes.fromhex(digits)
        if data[-1] == checksum(data[:-1]):
            payloads.setdefault(digits[:_LEGACY_HEADER], data[3:-1])
    return payloads


def iso_checksum(data: bytes) -> int:
    """Low byte of the sum, as on ISO 9141 and ISO 14230."""
    return sum(data) & 0xFF


def j1850_crc(data: bytes) -> int:
    """CRC-8 of SAE J1850: polynomial 1D, start FF, result inverted."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x1D) & 0xFF if crc & 0x80 else crc << 1
    return crc ^ 0xFF


def expected_lines(payload_bytes: int) -> int:
    """Lines that a CAN payload of so many bytes takes."""
    return 1 if payload_bytes <= 7 else 1 + -(-(payload_bytes - 6) // 7)


def check_allowed(command: str) -> None:
    """Lets commands pass that set the adapter up, or read from the car.

    Raises:
        ValueError: anything else. That is our mistake, and it must not reach a car.
    """
    if command not in SETTINGS and not _READS.fullmatch(command) and not _ADDRESSES.fullmatch(command):
        raise ValueError(f"adapter command {command!r} is not one that reads; it was not sent")


PROTOCOLS = ("auto", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A")
SETTINGS = frozenset(
    ("", "ATZ", "ATI", "ATE0", "ATL0", "ATS0", "ATH1", "ATCAF1", "ATAT1", "ATAT2", "ATDPN", "ATSP0")
) | {f"ATSP{protocol}" for protocol in PROTOCOLS[1:]}
"""Commands that stay in the adapter. An empty one repeats the last, which has read."""
_ADDRESSES = re.compile("ATSH7E[0-7]")
_READS = re.compile(r"0[19](?:[0-9A-F]{2}){1,6}[1-9A-F]?")
"""OBD current data and vehicle information, with the number of lines to wait for."""

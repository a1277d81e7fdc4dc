"""Answers as bytes, where no framework writes them (RFC 9112)."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

LAST_CHUNK = b"0\r\n\r\n"

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus}


def answer_head(status: int, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Status line and headers with the empty line after them.

    Raises:
        KeyError: there is no such status.
        ValueError: a header would be more than one line.
    """
    lines = b"\r\n".join([name + b": " + value for name, value in headers])
    if not lines.count(b"\r") == lines.count(b"\n") == len(headers) - 1:
        raise ValueError("a header of the answer has an end of line in it")
    return _STATUS_LINES[status] + b"\r\n" + lines + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a body without length (7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)

"""Heads of requests in the form in which browsers, curl and scripts send them.

HTTP allows much more. What is not of this form is left to h11, which knows all of it; so what is taken here
may be read narrowly, and nothing can be taken for something else than h11 would.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

END = b"\r\n\r\n"

_REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!-~]*) HTTP/1\.1")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\r\n\t"

_MATTER = frozenset({b"host", b"connection", b"content-length", b"expect"})
"""What may be there once, and must be understood."""
_UNUSUAL = frozenset(
    {
        b"transfer-encoding",
        b"upgrade",
        b"te",
        b"trailer",
        b"keep-alive",
        b"proxy-connection",
        b"http2-settings",
    }
)
_CONTINUE = b"100-continue"


@dataclass(frozen=True, slots=True)
class PlainHead:
    """One of them. ``headers`` have their names in lower case; ``body_bytes`` follow after ``size`` bytes.

    ``waits``: the client sends the body once it was told to (RFC 9110, 10.1.1).
    """

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body_bytes: int
    size: int
    waits: bool


def plain_head(data: bytes, most_bytes: int) -> PlainHead | None:
    """The head at the beginning of ``data``; None where it is not all there, too long, or not plain."""
    end = data.find(END, 0, most_bytes)
    if end < 0 or data[:end].translate(None, _PRINTABLE):
        return None
    line, *lines = data[:end].split(b"\r\n")
    request = _REQUEST.fullmatch(line)
    if request is None:
        return None
    headers: list[tuple[bytes, bytes]] = []
    once: dict[bytes, bytes] = {}
    for field in lines:
        name, colon, value = field.partition(b":")
        if not colon or _NAME.fullmatch(name) is None or b"\r" in value or b"\n" in value:
            return None
        name, value = name.lower(), value.strip(b" \t")
        headers.append((name, value))
        if name in _MATTER:
            if name in once:
                return None
            once[name] = value
        elif name in _UNUSUAL:
            return None
    if b"host" not in once or once.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    length = once.get(b"content-length", b"0")
    expected = once.get(b"expect", _CONTINUE).lower()
    if _LENGTH.fullmatch(length) is None or expected != _CONTINUE:
        return None
    method = request[1].decode("ascii")
    return PlainHead(method, request[2], headers, int(length), end + len(END), b"expect" in once)

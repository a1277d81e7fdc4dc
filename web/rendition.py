"""A document as the bytes of its answers: made once, sent to everybody, plain or packed."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

RawHeaders = list[tuple[bytes, bytes]]

VARY = (b"vary", b"accept-encoding")
_PACKED = (b"content-encoding", b"gzip")
_GZIP_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Rendition:
    """One representation of one document. ``etag`` is strong: other bytes, other tag."""

    body: bytes
    etag: str
    headers: RawHeaders
    unchanged_headers: RawHeaders

    @classmethod
    def of(cls, body: bytes, media_type: str, revision: int) -> Rendition:
        etag = f'"{revision}-{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
        unchanged = [(b"etag", etag.encode()), (b"cache-control", b"no-cache")]
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            *unchanged,
        ]
        return cls(body, etag, headers, unchanged)

    def answer(self, if_none_match: str | None) -> tuple[int, RawHeaders, bytes]:
        """Status, headers and body for a request: 304 and nothing where the client has it already."""
        if if_none_match is not None and self.matches(if_none_match):
            return 304, self.unchanged_headers, b""
        return 200, self.headers, self.body

    def matches(self, if_none_match: str) -> bool:
        """Whether the client has this one; RFC 9110, 13.1.2: a list of tags, compared weakly, or ``*``."""
        if if_none_match == self.etag:
            return True
        tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
        return self.etag in tags or "*" in tags


class Renditions:
    """One document, plain and packed with gzip; it is packed when somebody first takes it so."""

    def __init__(self, body: bytes, media_type: str, revision: int) -> None:
        self.plain = self._varying(Rendition.of(body, media_type, revision))
        self.revision = revision
        self._media_type = media_type
        self._packed: Rendition | None = None

    @property
    def packed(self) -> Rendition:
        """The document in gzip."""
        if self._packed is None:
            body = gzip.compress(self.plain.body, _GZIP_LEVEL, mtime=0)
            packed = self._varying(Rendition.of(body, self._media_type, self.revision))
            packed.headers.append(_PACKED)
            self._packed = packed
        return self._packed

    def accepted(self, accept_encoding: str) -> Rendition:
        """The one for a client that sends this ``Accept-Encoding``."""
        return self.packed if takes_gzip(accept_encoding) else self.plain

    @staticmethod
    def _varying(rendition: Rendition) -> Rendition:
        rendition.headers.append(VARY)
        rendition.unchanged_headers.append(VARY)
        return rendition


def takes_gzip(accept_encoding: str) -> bool:
    """Whether ``Accept-Encoding`` names gzip and does not forbid it (RFC 9110, 12.5.3)."""
    for coding in accept_encoding.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def answered(renditions: Renditions, request: Request) -> Response:
    """The ordinary way's answer: packed where the client takes it, 304 where it has it."""
    rendition = renditions.accepted(request.headers.get("accept-encoding", ""))
    status, headers, body = rendition.answer(request.headers.get("if-none-match"))
    response = Response(body, status)
    response.raw_headers = headers
    return response

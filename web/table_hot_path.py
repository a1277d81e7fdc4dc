"""``GET /api/v1/table`` from the bytes of a request to the bytes of its answer, without a framework.

A page that everyone looks at at once asks for nothing else. This answers the plain form of that
one request, as browsers and scripts send it; whatever is unusual goes the ordinary way, which
gives the same bytes. No I/O here: the server's protocol feeds it.
"""

from __future__ import annotations

from web.current_table import CurrentTable, RawHeaders, Rendition
from web.security import RAW_SECURITY_HEADERS, HostRule

_REQUEST_LINE = b"GET /api/v1/table HTTP/1.1\r\n"
_END = b"\r\n\r\n"
_LONGEST = 4096

_ALLOWED_BYTES = bytes(range(0x20, 0x7F)) + b"\r\n"

_IGNORED_HEADERS = frozenset(
    b"accept accept-encoding accept-language cache-control cookie dnt origin pragma priority referer "
    b"sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site "
    b"sec-fetch-user upgrade-insecure-requests user-agent".split()
)
"""Headers that change nothing here. One that is not known sends the request the ordinary way."""


class TableHotPath:
    """Answers that are kept as bytes until the table changes."""

    def __init__(self, table: CurrentTable, host_rule: HostRule) -> None:
        self._table = table
        self._host_rule = host_rule
        self._allowed_host = b""
        self._rendition: Rendition | None = None
        self._answers: dict[int, bytes] = {}

    def answer(self, request: bytes, date: bytes) -> bytes | None:
        """The whole answer to what was read from an idle connection, None where it is not plain.

        ``request`` must be one complete request and nothing else to be answered; ``date`` is the
        value of the Date header.
        """
        if not request.startswith(_REQUEST_LINE) or not request.endswith(_END) or len(request) > _LONGEST:
            return None
        plain, if_none_match = self._read_headers(request[len(_REQUEST_LINE) : -len(_END)])
        if not plain:
            return None
        _, rendition = self._table.newest()
        if rendition is not self._rendition:
            self._rendition = rendition
            self._answers = {
                200: _rest(rendition.headers, rendition.body),
                304: _rest(rendition.unchanged_headers, b""),
            }
        unchanged = if_none_match is not None and rendition.matches(if_none_match)
        status, line = (304, b"304 Not Modified") if unchanged else (200, b"200 OK")
        return b"".join((b"HTTP/1.1 ", line, b"\r\ndate: ", date, self._answers[status]))

    def _read_headers(self, head: bytes) -> tuple[bool, str | None]:
        """Whether all headers are plain ones that may be answered here, and If-None-Match."""
        if head.translate(None, _ALLOWED_BYTES) or head.count(b"\r") != head.count(b"\n"):
            return False, None
        host = if_none_match = None
        for line in head.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            name = name.lower()
            if name in _IGNORED_HEADERS and colon:
                continue
            value = value.strip(b" ")
            if name == b"host" and host is None:
                host = value
            elif name == b"if-none-match" and if_none_match is None:
                if_none_match = value.decode("ascii")
            elif name != b"connection" or value.lower() != b"keep-alive":
                return False, None
        return host is not None and self._allows(host), if_none_match

    def _allows(self, host: bytes) -> bool:
        if host == self._allowed_host:
            return True
        if not self._host_rule.allows(host.decode("ascii").lower()):
            return False  # the ordinary way says why
        self._allowed_host = host
        return True


def _rest(headers: RawHeaders, body: bytes) -> bytes:
    """What follows the date: the other headers, the empty line and the body."""
    lines = (name + b": " + value for name, value in (*headers, *RAW_SECURITY_HEADERS))
    return b"\r\n" + b"\r\n".join(lines) + _END + body

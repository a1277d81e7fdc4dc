"""What a crowd asks for, from the bytes of a request to the bytes of its answer, without a framework.

The newest table, published results and the event stream. This answers the plain form of those
requests, as browsers and scripts send them; whatever is unusual goes the ordinary way, which gives
the same bytes. No I/O here: the server's protocol feeds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from web.access import is_loopback, is_own_name
from web.current_table import CurrentTable
from web.event_stream import EventStream, stream_head
from web.rate_limit import RateLimit
from web.rendition import RawHeaders, Rendition, Renditions, takes_gzip
from web.results import PublishedResults
from web.security import RAW_SECURITY_HEADERS, HostRule

_TABLE = b"/api/v1/table"
_STREAM = b"/api/v1/stream"
_RESULT = b"/api/v1/results/"
_METHOD = b"GET "
_VERSION = b" HTTP/1.1"
_END = b"\r\n\r\n"
_LONGEST = 4096
_REMEMBERED = 256
"""So many different requests are kept with what they ask for: a crowd's are nearly all alike."""

_ALLOWED_BYTES = bytes(range(0x20, 0x7F)) + b"\r\n"

_IGNORED_HEADERS = frozenset(
    b"accept accept-language cache-control cookie dnt origin pragma priority referer "
    b"sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site "
    b"sec-fetch-user upgrade-insecure-requests user-agent".split()
)
"""Headers that change nothing here. One that is not known sends the request the ordinary way."""


@dataclass(frozen=True, slots=True)
class Opening:
    """An event stream that was asked for: what its answer begins with, and after which event it goes on."""

    head: bytes
    last_event_id: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a plain request asks for. ``renditions`` is None for the event stream; ``own_name``: by a name
    that only this machine has for itself."""

    renditions: Callable[[], Renditions | None] | None
    own_name: bool
    packed: bool
    if_none_match: str | None
    last_event_id: str


class HotPaths:
    """Answers that are kept as bytes until what they say changes."""

    def __init__(
        self,
        table: CurrentTable,
        results: PublishedResults,
        events: EventStream,
        host_rule: HostRule,
        requests: RateLimit,
    ) -> None:
        """``requests`` counts those of each address, as the ordinary way does."""
        self.events = events
        self._table = table
        self._results = results
        self._host_rule = host_rule
        self._requests = requests
        self._asked: dict[bytes, _Asked] = {}
        self._made: dict[tuple[str, bool], bytes] = {}
        self._date = b""

    def answer(self, request: bytes, date: bytes, address: str) -> bytes | Opening | None:
        """The whole answer to what was read from an idle connection, None where it is not plain.

        ``request`` must be one complete request and nothing else to be answered; ``date`` is the
        value of the Date header, ``address`` that of the client.
        """
        asked = self._asked.get(request)
        if asked is None:
            asked = self._read(request)
            if asked is None:
                return None
            if len(self._asked) >= _REMEMBERED:
                self._asked.clear()
            self._asked[request] = asked
        renditions = None if asked.renditions is None else asked.renditions()
        if renditions is None and asked.renditions is not None:
            return None
        if not (asked.own_name and is_loopback(address)) and self._requests.take(address) > 0.0:
            return None  # the ordinary way says how long to wait
        if renditions is None:
            return Opening(_head(b"200 OK", date, stream_head()), asked.last_event_id)
        rendition = renditions.packed if asked.packed else renditions.plain
        unchanged = asked.if_none_match is not None and rendition.matches(asked.if_none_match)
        if date is not self._date or len(self._made) >= _REMEMBERED:
            self._date = date
            self._made.clear()
        key = (rendition.etag, unchanged)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = _whole(rendition, date, unchanged=unchanged)
        return made

    def _read(self, request: bytes) -> _Asked | None:
        """What a request asks for; None where it is not plain or asks for something else."""
        if not request.startswith(_METHOD) or not request.endswith(_END) or len(request) > _LONGEST:
            return None
        line, _, head = request[: -len(_END)].partition(b"\r\n")
        if not line.endswith(_VERSION):
            return None
        headers = self._read_headers(head)
        return None if headers is None else self._asked_for(line[len(_METHOD) : -len(_VERSION)], headers)

    def _asked_for(self, target: bytes, headers: dict[bytes, str]) -> _Asked | None:
        own_name = is_own_name(headers[b"host"].lower())
        packed = takes_gzip(headers.get(b"accept-encoding", ""))
        last_event_id = headers.get(b"last-event-id", "")
        if_none_match = headers.get(b"if-none-match")
        if target == _TABLE:
            return _Asked(lambda: self._table.newest()[1], own_name, packed, if_none_match, "")
        if target == _STREAM:
            return _Asked(None, own_name, False, None, last_event_id)
        if target.startswith(_RESULT):
            number = target[len(_RESULT) :].decode("latin-1")
            if number.isascii() and number.isalnum():
                return _Asked(lambda: self._results.at_hand(number), own_name, packed, if_none_match, "")
        return None

    def _read_headers(self, head: bytes) -> dict[bytes, str] | None:
        """The headers that matter, by name; None unless all are plain ones and the host is allowed."""
        if head.translate(None, _ALLOWED_BYTES) or head.count(b"\r") != head.count(b"\n"):
            return None
        known: dict[bytes, str] = {}
        for line in head.split(b"\r\n"):
            name, colon, raw = line.partition(b":")
            name = name.lower()
            if name in _IGNORED_HEADERS and colon:
                continue
            value = raw.strip(b" ").decode("ascii")
            if name in known:
                return None
            if name in (b"host", b"if-none-match", b"accept-encoding", b"last-event-id"):
                known[name] = value
            elif name != b"connection" or value.lower() != "keep-alive":
                return None
        host = known.get(b"host")
        if host is None or not self._host_rule.allows(host.lower()):
            return None  # the ordinary way says why
        return known


def _whole(rendition: Rendition, date: bytes, *, unchanged: bool) -> bytes:
    if unchanged:
        return _head(b"304 Not Modified", date, rendition.unchanged_headers)
    return _head(b"200 OK", date, rendition.headers) + rendition.body


def _head(status: bytes, date: bytes, headers: RawHeaders) -> bytes:
    """Status line and headers with the empty line after them."""
    lines = (name + b": " + value for name, value in (*headers, *RAW_SECURITY_HEADERS))
    return b"HTTP/1.1 " + status + b"\r\ndate: " + date + b"\r\n" + b"\r\n".join(lines) + _END

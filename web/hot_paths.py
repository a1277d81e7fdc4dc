"""What a crowd asks for, from the bytes of a request to the bytes of its answer, without a framework.

The page's own files, the newest table, published results and the event stream: all that a phone asks for
while the car is driven. This answers the plain form of those requests, as browsers and scripts send them;
whatever is unusual goes the ordinary way, which gives the same bytes. No I/O here: the server's protocol
feeds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from web.access import cookie_credential, device_cookie, is_loopback, is_own_name
from web.answer_bytes import answer_head
from web.device_shelf import DeviceShelf
from web.event_stream import EventStream, stream_head
from web.page_files import OPENED_BY, PageFiles
from web.rate_limit import RateLimit
from web.rendition import RawHeaders, Rendition, Renditions, takes_gzip
from web.security import RAW_SECURITY_HEADERS, HostRule

_PAGE = b"/"
_STATIC = b"/static/"
_TABLE = b"/api/v1/table"
_STATUS = b"/api/v1/status"
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
    b"accept accept-language cache-control dnt origin pragma priority referer "
    b"sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site "
    b"sec-fetch-user upgrade-insecure-requests user-agent".split()
)
"""Headers that change nothing here. One that is not known sends the request the ordinary way."""

_HEADERS_THAT_MATTER = frozenset({b"host", b"if-none-match", b"accept-encoding", b"last-event-id", b"cookie"})


class TableAtHand(Protocol):
    """Who has the newest table, such as :class:`web.current_table.CurrentTable`."""

    def newest_json(self) -> Renditions | None:
        """Its JSON; None where it is not at hand."""
        ...


class ResultsAtHand(Protocol):
    """Who has published results, such as :class:`web.results.PublishedResults`."""

    def at_hand(self, result_id: str) -> Renditions | None:
        """The JSON of a result; None where it is not at hand."""
        ...


@dataclass(frozen=True, slots=True)
class Opening:
    """An event stream that was asked for: what its answer begins with, and after which event it goes on."""

    head: bytes
    last_event_id: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a plain request asks for. ``renditions`` is None for the event stream, and where ``spoken`` gives
    JSON of this moment; ``own_name``: by a name that only this machine has for itself; ``credential``: of
    the device that opens the page."""

    renditions: Callable[[], Renditions | None] | None
    own_name: bool
    packed: bool = False
    if_none_match: str | None = None
    last_event_id: str = ""
    credential: str = ""
    spoken: Callable[[], bytes] | None = None


class HotPaths:
    """Answers that are kept as bytes until what they say changes."""

    def __init__(
        self,
        table: TableAtHand,
        results: ResultsAtHand,
        events: EventStream | None,
        host_rule: HostRule,
        requests: RateLimit,
        *,
        files: PageFiles | None = None,
        devices: DeviceShelf | None = None,
        encrypted: bool = False,
        status: Callable[[], bytes] | None = None,
    ) -> None:
        """``requests`` counts those of each address, as the ordinary way does. Of ``devices`` each that opens
        the page keeps its cookie for as long again. Without ``events`` the stream goes the ordinary way.
        ``encrypted``: all is asked over https. ``status`` gives the JSON of the daemon's state."""
        self._events = events
        self._table = table
        self._results = results
        self._host_rule = host_rule
        self._requests = requests
        self._files = files
        self._devices = devices
        self._encrypted = encrypted
        self._status = status
        self._asked: dict[bytes, _Asked] = {}
        self._made: dict[tuple[str, bool], bytes] = {}
        self._date = b""

    @property
    def events(self) -> EventStream:
        """The stream to which an :class:`Opening` leads."""
        assert self._events is not None
        return self._events

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
        if asked.spoken is not None:
            return _spoken(asked.spoken(), date)
        if renditions is None:
            return Opening(_head(200, date, stream_head()), asked.last_event_id)
        rendition = renditions.packed if asked.packed else renditions.plain
        unchanged = asked.if_none_match is not None and rendition.matches(asked.if_none_match)
        if date is not self._date or len(self._made) >= _REMEMBERED:
            self._date = date
            self._made.clear()
        if asked.credential and self._is_known(asked.credential):
            return _whole(rendition, date, unchanged=unchanged, cookie=self._cookie(asked.credential))
        key = (rendition.etag, unchanged)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = _whole(rendition, date, unchanged=unchanged)
        return made

    def _cookie(self, credential: str) -> str:
        return device_cookie(credential, encrypted=self._encrypted)

    def _is_known(self, credential: str) -> bool:
        return self._devices is not None and self._devices.recognise(credential) is not None

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
        if target == _STREAM:
            if self._events is None:
                return None
            return _Asked(None, own_name, last_event_id=headers.get(b"last-event-id", ""))
        if target == _STATUS and self._status is not None:
            return _Asked(None, own_name, spoken=self._status)
        renditions = self._document(target)
        if renditions is None:
            return None
        return _Asked(
            renditions,
            own_name,
            packed=takes_gzip(headers.get(b"accept-encoding", "")),
            if_none_match=headers.get(b"if-none-match"),
            credential=cookie_credential(headers.get(b"cookie", "")) if target == _PAGE else "",
        )

    def _document(self, target: bytes) -> Callable[[], Renditions | None] | None:
        """What gives the document at ``target``; None where it is none of those that are kept as bytes."""
        if target == _TABLE:
            return self._table.newest_json
        if target.startswith(_RESULT):
            number = target[len(_RESULT) :].decode("latin-1")
            if number.isascii() and number.isalnum():
                return lambda: self._results.at_hand(number)
        elif self._files is not None and (target == _PAGE or target.startswith(_STATIC)):
            name = OPENED_BY if target == _PAGE else target[len(_STATIC) :].decode("latin-1")
            file = self._files.file(name)
            return None if file is None else lambda: file
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
            if name in _HEADERS_THAT_MATTER:
                known[name] = value
            elif name != b"connection" or value.lower() != "keep-alive":
                return None
        host = known.get(b"host")
        if host is None or not self._host_rule.allows(host.lower()):
            return None  # the ordinary way says why
        return known


def _whole(rendition: Rendition, date: bytes, *, unchanged: bool, cookie: str = "") -> bytes:
    headers = rendition.unchanged_headers if unchanged else rendition.headers
    if cookie:
        headers = [*headers, (b"set-cookie", cookie.encode("latin-1"))]
    if unchanged:
        return _head(304, date, headers)
    return _head(200, date, headers) + rendition.body


def _spoken(body: bytes, date: bytes) -> bytes:
    """An answer that is of this moment only."""
    headers = [
        (b"cache-control", b"no-store"),
        (b"content-length", str(len(body)).encode()),
        (b"content-type", b"application/json"),
    ]
    return _head(200, date, headers) + body


def _head(status: int, date: bytes, headers: RawHeaders) -> bytes:
    return answer_head(status, [(b"date", date), *headers, *RAW_SECURITY_HEADERS])

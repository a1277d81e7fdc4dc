"""The page's own files, read once at the start and sent packed to browsers that take it."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from web.current_table import Rendition
from web.errors import ApiError

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PACKED = [(b"content-encoding", b"gzip")]
_VARY = [(b"vary", b"accept-encoding")]


@dataclass(frozen=True, slots=True)
class _File:
    plain: Rendition
    packed: Rendition


class PageFiles:
    """Every file below ``folder``. Browsers ask before each use, so that an update is never half loaded.

    Raises:
        KeyError: a file of a kind that the page does not use.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): _file(path.read_bytes(), _MEDIA_TYPES[path.suffix])
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def answer(self, name: str, request: Request) -> Response:
        """The file ``name``.

        Raises:
            ApiError: 404, there is none of that name.
        """
        file = self._files.get(name)
        if file is None:
            path = request.url.path
            raise ApiError(404, "not_found", f"the page has no file {path}", {"path": path})
        packs = _takes_gzip(request.headers.get("accept-encoding", ""))
        rendition = file.packed if packs else file.plain
        status, headers, body = rendition.answer(request.headers.get("if-none-match"))
        response = Response(body, status)
        response.raw_headers = [*headers, *_VARY, *(_PACKED if packs and body else ())]
        return response


def _file(body: bytes, media_type: str) -> _File:
    packed = gzip.compress(body, mtime=0)
    return _File(Rendition.of(body, media_type, 0), Rendition.of(packed, media_type, 0))


def _takes_gzip(accepted: str) -> bool:
    """Whether ``Accept-Encoding`` names gzip and does not forbid it (RFC 9110, 12.5.3)."""
    for coding in accepted.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False

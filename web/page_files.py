"""The page's own files, read once at the start and sent packed to browsers that take it."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from web.errors import ApiError
from web.rendition import Renditions, answered

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class PageFiles:
    """Every file below ``folder``. Browsers ask before each use, so that an update is never half loaded.

    Raises:
        KeyError: a file of a kind that the page does not use.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): Renditions(path.read_bytes(), _MEDIA_TYPES[path.suffix], 0)
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
        return answered(file, request)

"""The page's own files, read once at the start and sent packed to browsers that take it."""

from __future__ import annotations

from pathlib import Path

from web.rendition import Renditions

OPENED_BY = "index.html"
"""What the address without a path shows."""

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
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

    def file(self, name: str) -> Renditions | None:
        """The file ``name``, None where there is none of that name."""
        return self._files.get(name)

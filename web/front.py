"""What is answered from bytes, before any framework; FastAPI's routes answer everything else beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from web.access import AccessSettings, request_limit
from web.board import Board
from web.current_table import CurrentTable
from web.device_shelf import DeviceShelf
from web.documents import encode_json, status_document
from web.event_stream import EventStream
from web.hot_paths import HotPaths
from web.page_files import PageFiles
from web.results import PublishedResults, ResultShelf
from web.security import HostRule

STATIC = Path(__file__).parent / "static"


class Front:
    """What the hot paths and the routes share, so that both give the same answers.

    ``hot_paths`` is None where not everybody may read: only the ordinary way asks who somebody is.
    """

    def __init__(
        self,
        board: Board,
        *,
        host_names: Iterable[str] = (),
        results: ResultShelf | None = None,
        access: AccessSettings | None = None,
        devices: DeviceShelf | None = None,
    ) -> None:
        """``host_names`` are names it answers to besides addresses."""
        self._board = board
        self.access = access or AccessSettings()
        self.table = CurrentTable(board)
        self.events = EventStream(board, self.table)
        self.host_rule = HostRule(host_names)
        self.published = PublishedResults(results)
        self.requests = request_limit(self.access)
        self.files = PageFiles(STATIC)
        hot_paths = HotPaths(
            self.table,
            self.published,
            self.events,
            self.host_rule,
            self.requests,
            files=self.files,
            devices=devices,
            encrypted=self.access.encrypted,
            status=self.status,
        )
        self.hot_paths = None if self.access.read_requires_pairing else hot_paths

    def status(self) -> bytes:
        """The state of the daemon at this moment, JSON."""
        board = self._board
        return encode_json(status_document(board.status(), board.snapshot().counts, self.events.listeners))

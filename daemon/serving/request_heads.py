"""Heads of requests: how long one may be, and what is said where it is longer, or no request at all.

h11 bounds only a head that is not there yet, so that one of any length is taken when it comes in one piece;
and uvicorn answers both in a form of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from h11 import IDLE
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from daemon.serving.limits import Refusal

_END_OF_HEAD = re.compile(rb"\n\r?\n")


Refuse = Callable[[Refusal | None], None]
"""Answers with the refusal, or with nothing where an answer has begun; nothing more is read."""


class CheckedHeadProtocol(H11Protocol):
    """uvicorn's protocol, which refuses such heads: ``refused`` says whether it has."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], refuse: Refuse
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.refused = False
        self._refuse_with = refuse

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        if not self.refused:
            super().data_received(data)

    def handle_events(self) -> None:
        """Looks at what has come, also of the next request while one was answered."""
        if self.conn.their_state is IDLE and self._is_too_long(self.conn.trailing_data[0]):
            self._refuse(Refusal.HEAD)
        else:
            super().handle_events()

    def send_400_response(self, _msg: str) -> None:
        """What h11 cannot make sense of: the head, or how the body is divided."""
        self._refuse(Refusal.MALFORMED)

    def _is_too_long(self, begun: bytes) -> bool:
        most = self.config.h11_max_incomplete_event_size
        return most is not None and len(begun) > most and _END_OF_HEAD.search(begun, 0, most) is None

    def _refuse(self, refusal: Refusal) -> None:
        self.refused = True
        answering = self.cycle is not None and self.cycle.response_started
        self._refuse_with(None if answering and not self.cycle.response_complete else refusal)

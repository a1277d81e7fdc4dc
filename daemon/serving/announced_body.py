"""Bodies of announced length, from the socket to the application as they are.

h11 copies what it is fed three times and uvicorn twice more. For a body whose length is known there is
nothing to find in it: it is counted, and h11 is told how much is still to come.
"""

from __future__ import annotations

from h11 import ERROR, IDLE, SEND_BODY, SEND_RESPONSE
from h11._readers import ContentLengthReader
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.h11_impl import H11Protocol

WORTH_IT_BYTES = 8192
"""Less than this is copied as fast as it is looked at."""

_END_OF_HEAD = b"\r\n\r\n"


class AnnouncedBodyProtocol(H11Protocol):
    """uvicorn's protocol, which hands on what belongs to such a body."""

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        if len(data) < WORTH_IT_BYTES:
            super().data_received(data)
            return
        if self.conn.their_state is IDLE and not self.conn.trailing_data[0]:
            end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
            if end < len(_END_OF_HEAD):
                super().data_received(data)
                return
            super().data_received(data[:end])
            data = data[end:]
        rest = self._without_body(data)
        if rest and self.conn.their_state is not ERROR:
            super().data_received(rest)

    def _without_body(self, data: bytes) -> bytes:
        """Hands on what of ``data`` belongs to the body; returns what does not, or cannot be told apart."""
        reader = self.conn._reader  # nothing public says how much is to come, nor takes it
        if (
            not isinstance(reader, ContentLengthReader)
            or self.conn.their_state is not SEND_BODY
            or self.conn.our_state not in (SEND_RESPONSE, SEND_BODY)
            or self.conn.trailing_data[0]
        ):
            return data
        part, rest = data[: reader._remaining], data[reader._remaining :]
        reader._remaining -= len(part)
        waiting = self.cycle.body
        self.cycle.body = waiting + part if waiting else part  # type: ignore[assignment]
        if len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.cycle.message_event.set()
        if not reader._remaining:
            self.handle_events()  # the end of the message
        return rest

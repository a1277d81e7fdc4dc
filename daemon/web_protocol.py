"""uvicorn's HTTP protocol with a short way for the one request that a crowd makes."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from web.table_hot_path import TableHotPath


def protocol_with(hot_path: TableHotPath) -> type[asyncio.Protocol]:
    """An HTTP protocol for uvicorn that asks ``hot_path`` first."""

    class HotPathProtocol(H11Protocol):
        """Answers at once what arrives whole on an idle connection; everything else is uvicorn's."""

        def data_received(self, data: bytes) -> None:
            if self._is_idle():
                (_, date), *_others = self.server_state.default_headers
                answer = hot_path.answer(data, date)
                if answer is not None:
                    self.transport.write(answer)
                    self.on_response_complete()  # counts it and starts the keep-alive timer anew
                    return
            super().data_received(data)

        def _is_idle(self) -> bool:
            """No request is under way, nothing of one has arrived, and the client takes its answers."""
            return (
                self.conn.our_state is h11.IDLE
                and self.conn.their_state is h11.IDLE
                and not self.flow.write_paused
                and self.conn.trailing_data == (b"", False)
                and not self.transport.is_closing()
            )

    return HotPathProtocol

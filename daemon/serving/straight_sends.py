"""Sends past the transport of a connection, which is most of what a listener costs besides the kernel."""

from __future__ import annotations

import asyncio
import os
from functools import partial

from web.direct_listeners import StraightSend, nothing_sent


def straight_send(transport: asyncio.Transport) -> StraightSend:
    """Gives bytes to the kernel and says how many it took; raises OSError where it takes none.

    Only for a transport that has nothing left to send, and that was not closed. What is encrypted on its way
    cannot go past its transport: there it takes nothing.
    """
    if transport.get_extra_info("sslcontext") is not None:
        return nothing_sent
    connection = transport.get_extra_info("socket")
    return nothing_sent if connection is None else partial(os.write, connection.fileno())

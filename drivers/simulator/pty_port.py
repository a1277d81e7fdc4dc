"""A serial port that is no device: the far end of a pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import select
import tty

_READ_BYTES = 4096


class PtyPort:
    """Made open; ``path`` is what a driver opens as its serial port. Belongs to one thread."""

    def __init__(self) -> None:
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        os.set_blocking(self._far, False)
        self.path = os.ttyname(self._near)

    def read(self, wait_s: float) -> bytes:
        """What was written to the port, as soon as there is any; empty after ``wait_s``."""
        ready, _, _ = select.select((self._far,), (), (), wait_s)
        return os.read(self._far, _READ_BYTES) if ready else b""

    def write(self, data: bytes) -> None:
        """Sends to whoever has the port open; what nobody takes is lost, as on a wire."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._far, data)

    def close(self) -> None:
        """The port is gone, as when its plug is pulled."""
        os.close(self._near)
        os.close(self._far)

"""A progress bar on a terminal, and nothing anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

_CELLS = 24
_EVERY_S = 0.1
_FIRST_GUESS_S = 1.0
"""So long the time that remains is not told: it would jump."""


class ProgressBar:
    """Shows how far the reading of several logs is; silent where ``stream`` is no terminal.

    ``clock`` gives seconds that never go back.
    """

    def __init__(self, stream: TextIO, logs: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream if stream.isatty() else None
        self._logs = logs
        self._done = 0
        self._clock = clock
        self._began_s = self._log_began_s = clock()
        self._shown_s = float("-inf")

    def show(self, name: str, read: int, total: int | None) -> None:
        """How much of the current log was read, in bytes; ``total`` is None for a stream."""
        now_s = self._clock()
        if self._stream is None or now_s - self._shown_s < _EVERY_S:
            return
        self._shown_s = now_s
        rate = f"{read / 1e6 / max(now_s - self._log_began_s, 1e-3):.0f} MB/s"
        if total:
            share = (self._done + min(1.0, read / total)) / self._logs
            cells = round(share * _CELLS)
            bar = f"[{'#' * cells}{'.' * (_CELLS - cells)}] {100.0 * share:3.0f} %, {rate}"
            bar += self._remaining(now_s - self._began_s, share)
        else:
            bar = f"{read / 1e6:.1f} MB, {rate}"
        self._stream.write(f"\r\x1b[K{bar}  {''.join(c for c in name if c.isprintable())[-28:]}")
        self._stream.flush()

    def next_log(self) -> None:
        """The current log is done."""
        self._done += 1
        self._log_began_s = self._clock()

    def clear(self) -> None:
        """Leaves the line empty for what follows."""
        if self._stream is not None:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    @staticmethod
    def _remaining(spent_s: float, share: float) -> str:
        if spent_s < _FIRST_GUESS_S or share <= 0.0:
            return ""
        minutes, seconds = divmod(round(spent_s * (1.0 - share) / share), 60)
        return f", {minutes}:{seconds:02} left"

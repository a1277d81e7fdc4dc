"""A progress bar on a terminal, and nothing anywhere else."""

from __future__ import annotations

from typing import TextIO

_CELLS = 30


class ProgressBar:
    """Shows how far the reading of several logs is; silent where ``stream`` is no terminal."""

    def __init__(self, stream: TextIO, logs: int) -> None:
        self._stream = stream if stream.isatty() else None
        self._logs = logs
        self._done = 0

    def show(self, name: str, read: int, total: int | None) -> None:
        """How much of the current log was read, in bytes; ``total`` is None for a stream."""
        if self._stream is None:
            return
        if total:
            share = (self._done + min(1.0, read / total)) / self._logs
            cells = round(share * _CELLS)
            bar = f"[{'#' * cells}{'.' * (_CELLS - cells)}] {100.0 * share:3.0f} %"
        else:
            bar = f"{read / 1e6:.1f} MB"
        self._stream.write(f"\r\x1b[K{bar}  {name[-40:]}")
        self._stream.flush()

    def next_log(self) -> None:
        """The current log is done."""
        self._done += 1

    def clear(self) -> None:
        """Leaves the line empty for what follows."""
        if self._stream is not None:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

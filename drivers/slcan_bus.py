"""A CAN bus behind a serial adapter (slcan), read in bulk.

python-can has one of its own. It reads byte by byte, stops for good after one byte that is no text,
and turns endlessly when the adapter is unplugged; this one does none of that.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import can
import serial
from can.bus import CanProtocol
from can.typechecking import CanFilters

from drivers.base import DriverOptionError
from drivers.slcan_frames import BITRATES, CLOSE, LISTEN, OPEN, SlcanFrame, SlcanScanner, short_line

_READ_BYTES = 1 << 16
_SEND_S = 0.5
_SERIAL_BAUD = 115_200
_CLEARING = b"\r\r\r"  # ends whatever an earlier program left half sent


def check_place(channel: str, bitrate: int) -> None:
    """Sees to it that a serial adapter can be opened with these, as far as that can be known beforehand.

    Raises:
        DriverOptionError: a bitrate that adapters do not have, or a baud rate that is none.
    """
    if bitrate and bitrate not in BITRATES:
        raise DriverOptionError(
            f"slcan has no bitrate {bitrate}; there are {', '.join(map(str, BITRATES))}, "
            f"and 0 for what the adapter is set to"
        )
    _, at, baud = channel.partition("@")
    if at and not (baud.isdecimal() and 0 < int(baud) <= 4_000_000):
        raise DriverOptionError(f"channel {channel!r}: after @ stands the baud rate, met {baud!r}")


class SlcanBus(can.BusABC):
    """``channel`` is a serial port, ``port@baud`` where 115200 baud is wrong. One thread reads and sends.

    ``listen_only`` opens the adapter so that it neither sends nor acknowledges frames.

    Raises:
        OSError: the port is not there or another program has it (serial.SerialException is one).
        DriverOptionError: a bitrate that adapters do not have, or a baud rate that is none.
    """

    def __init__(self, channel: str, bitrate: int = 0, *, listen_only: bool = False, **_unused: Any) -> None:
        check_place(channel, bitrate)
        port, _, baud = channel.partition("@")
        self.scanner = SlcanScanner()
        self._frames: deque[SlcanFrame] = deque()
        self._wanted: CanFilters | None = None
        self._serial = serial.Serial(
            port, int(baud or _SERIAL_BAUD), timeout=0, write_timeout=0, exclusive=True
        )
        self._fd = self._serial.fileno()
        os.set_blocking(self._fd, False)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self.channel_info = port
        self._can_protocol = CanProtocol.CAN_20
        super().__init__(channel=channel)
        try:
            opening = LISTEN if listen_only else OPEN
            self._write(_CLEARING + CLOSE + BITRATES.get(bitrate, b"") + opening, _SEND_S)
        except BaseException:
            self.shutdown()
            raise

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """Sends a classic data frame. Raises CanOperationError where the adapter is gone."""
        frame = SlcanFrame(msg.arbitration_id, bytes(msg.data), msg.is_extended_id)
        self._write(frame.to_bytes(), _SEND_S if timeout is None else timeout)

    def send_at_once(self, identifier: int, frames: Sequence[bytes]) -> None:
        """Sends data frames with an 11-bit identifier in one piece; the same errors as :meth:`send`."""
        self._write(b"".join([short_line(identifier, data) for data in frames]), _SEND_S)

    def next_frame(self, wait_s: float | None) -> SlcanFrame | None:
        """The next frame that the filters let through; None where none comes in this time (None: for ever).

        Raises:
            can.CanOperationError: the adapter is gone.
        """
        frames = self._frames
        deadline_s = None if wait_s is None else time.monotonic() + wait_s
        while not frames:
            if self._poll.poll(None if wait_s is None else 1000.0 * wait_s):
                frames.extend(filter(self._lets_through, self.scanner.feed(self._read())))
            elif wait_s is not None:
                return None
            if deadline_s is not None:
                wait_s = max(deadline_s - time.monotonic(), 0.0)
        return frames.popleft()

    def shutdown(self) -> None:
        if self._is_shutdown:
            return
        super().shutdown()
        try:
            os.write(self._fd, CLOSE)
        except OSError:
            pass  # nothing is left to be closed
        finally:
            self._serial.close()

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        frame = self.next_frame(timeout)
        if frame is None:
            return None, True
        message = can.Message(
            arbitration_id=frame.identifier,
            is_extended_id=frame.is_extended,
            data=frame.data,
            timestamp=time.time(),
        )
        return message, True

    def _apply_filters(self, filters: CanFilters | None) -> None:
        """What came before and was not taken is filtered too."""
        self._wanted = filters
        self._frames = deque(filter(self._lets_through, self._frames))

    def _lets_through(self, frame: SlcanFrame) -> bool:
        """By python-can's rule for filters, see ``can.BusABC.set_filters``."""
        if self._wanted is None:
            return True
        return any(
            (wanted["can_id"] ^ frame.identifier) & wanted["can_mask"] == 0
            and wanted.get("extended", frame.is_extended) == frame.is_extended
            for wanted in self._wanted
        )

    def _read(self) -> bytes:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise can.CanOperationError(error.strerror or str(error)) from error
        if not data:
            raise can.CanOperationError("the adapter was unplugged")
        return data

    def _write(self, data: bytes, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    raise can.CanOperationError("the adapter takes nothing") from None
                select.select((), (self._fd,), (), 0.01)
            except OSError as error:
                raise can.CanOperationError(error.strerror or str(error)) from error

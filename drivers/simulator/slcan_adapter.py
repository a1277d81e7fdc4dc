"""The adapter's end of a serial CAN link: a bus for the simulated ECU whose other side is a pty."""

from __future__ import annotations

import threading
import time

import can
from can.bus import CanProtocol

from drivers.simulator.link_faults import NO_FAULTS, FaultyOutput, LinkFaults
from drivers.simulator.pty_port import PtyPort
from drivers.slcan_frames import CLOSE, LISTEN, OPEN, SlcanFrame, SlcanScanner


class SlcanAdapterBus(can.BusABC):
    """What the computer sends comes in, what is sent goes out, once the computer has opened the channel."""

    def __init__(self, port: PtyPort, faults: LinkFaults = NO_FAULTS) -> None:
        self._port = port
        self._scanner = SlcanScanner()
        self._frames: list[SlcanFrame] = []
        self._is_open = False
        self._output = FaultyOutput(faults, threading.Event())
        self.channel_info = port.path
        self._can_protocol = CanProtocol.CAN_20
        super().__init__(channel=port.path)

    def send(self, msg: can.Message, timeout: float | None = None) -> None:  # noqa: ARG002 - never waits
        if self._is_open:
            frame = SlcanFrame(msg.arbitration_id, bytes(msg.data), msg.is_extended_id)
            for piece in self._output.pieces(frame.to_bytes(), is_text=True):
                self._port.write(piece)

    def shutdown(self) -> None:
        if not self._is_shutdown:
            super().shutdown()
            self._port.close()

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        deadline_s = time.monotonic() + (timeout or 0.0)
        while not self._frames:
            data = self._port.read(max(deadline_s - time.monotonic(), 0.0))
            if data:
                self._take(data)
            elif time.monotonic() >= deadline_s:
                return None, False
        frame = self._frames.pop(0)
        return (
            can.Message(arbitration_id=frame.identifier, is_extended_id=frame.is_extended, data=frame.data),
            False,
        )

    def _take(self, data: bytes) -> None:
        if CLOSE in data:
            self._is_open = False
        if OPEN in data or LISTEN in data:
            self._is_open = True
        self._port.write(b"\r" * data.count(b"\r"))
        if self._is_open:
            self._frames += self._scanner.feed(data)

"""The simulated ECU on a K-line cable: a pty on which bytes take the time that they take on the wire."""

from __future__ import annotations

import threading
import time

from drivers.base import FrameError
from drivers.kline_frames import ECU, INIT, INIT_REPLY, TESTER, KlineFrame, KlineScanner
from drivers.kline_link import BITS_PER_BYTE
from drivers.simulator.ecu_answers import EcuAnswers
from drivers.simulator.link_faults import NO_FAULTS, FaultyOutput, LinkFaults
from drivers.simulator.pty_port import PtyPort
from drivers.ssm_frames import READ, ReadReply, ReadRequest

_LISTEN_S = 0.05
_TICK_S = 0.002  # bytes that pass within so short a time are written at once


class KlineEcu:
    """Answers on ``port`` in a thread of its own until :meth:`stop`, which closes the port.

    ``echo`` hands back what was received, as cables do. ``knows_continuous`` False leaves requests
    for continuous answers unanswered, as some control units do.
    """

    def __init__(
        self,
        port: PtyPort,
        answers: EcuAnswers,
        *,
        baudrate: int = 4800,
        echo: bool = True,
        knows_continuous: bool = True,
        faults: LinkFaults = NO_FAULTS,
    ) -> None:
        self._port = port
        self._answers = answers
        self._byte_s = BITS_PER_BYTE / baudrate
        self._echo = echo
        self._knows_continuous = knows_continuous
        self._scanner = KlineScanner()
        self._continuous: ReadRequest | None = None
        self._line_free_s = 0.0
        self._stopping = threading.Event()
        self._output = FaultyOutput(faults, self._stopping)
        self._thread = threading.Thread(target=self._run, name="simulated K-line ECU", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes the port; returns when both are done."""
        self._stopping.set()
        self._thread.join()
        self._port.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            data = self._port.read(0.0 if self._continuous else _LISTEN_S)
            if data:
                self._continuous = None
                self._pass(data, written=self._echo)
                for found in self._scanner.feed(data):
                    self._take(found.frame)
            elif self._continuous is not None:
                self._read(self._continuous)

    def _take(self, frame: KlineFrame) -> None:
        if frame.destination != ECU:
            return
        payload = frame.payload
        if payload == bytes((INIT,)):
            self._send(bytes((INIT_REPLY,)) + self._answers.identify().data)
        elif payload[0] == READ:
            try:
                request = ReadRequest.from_bytes(payload)
            except FrameError:
                return
            if not request.continuous:
                self._read(request)
            elif self._knows_continuous:
                self._continuous = request

    def _read(self, request: ReadRequest) -> None:
        self._send(ReadReply(self._answers.values(request.addresses)).to_bytes())

    def _send(self, payload: bytes) -> None:
        answer = KlineFrame(TESTER, ECU, payload).to_bytes()
        sent = 0
        for piece in self._output.pieces(answer):
            sent += len(piece)
            self._pass(piece, written=True)
        if not sent:
            self._pass(answer, written=False)

    def _pass(self, data: bytes, *, written: bool) -> None:
        """Lets bytes pass over the wire, one after the other, at its speed."""
        now_s = time.monotonic()
        self._line_free_s = max(self._line_free_s, now_s - _TICK_S)
        at_once = max(int(_TICK_S / self._byte_s), 1)
        for at in range(0, len(data), at_once):
            piece = data[at : at + at_once]
            self._line_free_s += len(piece) * self._byte_s
            self._stopping.wait(max(self._line_free_s - time.monotonic(), 0.0))
            if written:
                self._port.write(piece)

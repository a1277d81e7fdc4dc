"""The simulated ECU on a CAN bus: answers requests over ISO-TP in a thread of its own."""

from __future__ import annotations

import threading
import time

import can

from drivers.base import FrameError
from drivers.can_port import frame_of
from drivers.clock import Clock
from drivers.isotp import IsoTp
from drivers.simulator.ecu_answers import EcuAnswers, ShownCar
from drivers.simulator.link_faults import NO_FAULTS, FaultyOutput, LinkFaults

_LISTEN_S = 0.05
_FUNCTIONAL_ID = 0x7DF
_OTHER_ID = 0x140


class SimulatedEcu:
    """Answers requests on ``bus`` until :meth:`stop`, which closes the bus; see :class:`EcuAnswers`."""

    def __init__(
        self,
        bus: can.BusABC,
        car: ShownCar,
        clock: Clock,
        *,
        request_id: int = 0x7E0,
        response_id: int = 0x7E8,
        reads_ram: bool = True,
        refuses: int = -1,
        faults: LinkFaults = NO_FAULTS,
    ) -> None:
        self._bus = bus
        self._answers = EcuAnswers(car, clock, reads_ram=reads_ram, refuses=refuses)
        self.answer = self._answers.answer
        self._request_ids = (request_id, _FUNCTIONAL_ID)
        self._response_id = response_id
        self._transport = IsoTp(timeout_s=1.0)
        self._stopping = threading.Event()
        self._faulty = faults.any
        self._output = FaultyOutput(faults, self._stopping)
        self._thread = threading.Thread(target=self._run, name="simulated ECU", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes the bus; returns when both are done."""
        self._stopping.set()
        self._thread.join()
        self._bus.shutdown()

    def _run(self) -> None:
        transport = self._transport
        while not self._stopping.is_set():
            now_s = time.monotonic()
            try:
                if now_s >= transport.wake_s:
                    self._transmit(transport.poll(now_s))
                message = self._bus.recv(min(max(transport.wake_s - now_s, 0.0), _LISTEN_S))
                if message is None or message.arbitration_id not in self._request_ids:
                    continue
                now_s = time.monotonic()
                request, frames = transport.receive(bytes(message.data), now_s)
                self._transmit(frames)
                if request is not None:
                    transport.reset()
                    self._transmit(transport.send(self.answer(request), now_s))
            except FrameError:
                continue

    def _transmit(self, frames: list[bytes]) -> None:
        for data in frames:
            if not self._faulty:
                self._bus.send(frame_of(self._response_id, data))
                continue
            if self._output.has_company():
                self._bus.send(frame_of(_OTHER_ID, data))
            for piece in self._output.frames(data):
                self._bus.send(frame_of(self._response_id, piece))

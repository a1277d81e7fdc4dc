"""Requests to an ECU and its answers on a K-line, on the event loop.

This is where bytes leave for the car, so this is where what may leave is checked: requests that
read, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from drivers.base import DeviceUnavailableError, LinkInUseError
from drivers.byte_link import BytePort
from drivers.can_link import Answer, NoAnswerError
from drivers.clock import Clock
from drivers.isotp import quoted
from drivers.kline_frames import ECU, INIT, OVERHEAD, TESTER, KlineFrame, KlineScanner
from drivers.recording import Note
from drivers.ssm_frames import READ, ReadRequest

BITS_PER_BYTE = 10
_BREAK_S = 0.02
_QUIET_BYTES = 12.0  # a line that was silent for so many bytes' time has nothing more to say
_QUIET_S = 0.03
_STOP_READING = ReadRequest((0x08,)).to_bytes()  # any request ends continuous answers; this one is short


def check_allowed(payload: bytes) -> None:
    """Lets requests pass that identify or read, once or continuously.

    Raises:
        ValueError: anything else. That is our mistake, and it must not reach a car.
    """
    reads = payload[:1] == bytes((READ,)) and payload[1:2] in {b"\0", b"\1"}
    if not reads and payload != bytes((INIT,)):
        raise ValueError(f"request {quoted(payload)} is not one that reads; it was not sent")


class KlineLink:
    """One ECU on a line with ``baudrate`` bit/s. ``scanner`` holds the counts of what was no frame."""

    def __init__(self, port: BytePort, clock: Clock, baudrate: int) -> None:
        self.scanner = KlineScanner()
        self.byte_s = BITS_PER_BYTE / baudrate
        self._port = port
        self._clock_byte_s = self.byte_s / clock.wall_s(1.0)  # a byte's time as the clock counts it
        self._found: deque[tuple[KlineFrame, float]] = deque()
        self._sent: deque[bytes] = deque(maxlen=4)

    def send(self, payload: bytes) -> None:
        """Sends a request in one piece: ECUs bear no pauses between its bytes.

        Raises:
            ValueError: the request is not on the allow-list.
            DeviceUnavailableError: the port is gone.
        """
        check_allowed(payload)
        self._sent.append(payload)
        self._port.write(KlineFrame(ECU, TESTER, payload).to_bytes())

    async def receive(self, head: int, size: int | None, wait_s: float) -> Answer:
        """The next answer that starts with ``head`` and has ``size`` bytes (None: any number).

        Its time is that at which its first byte was on the wire. Echoes of our requests and answers
        to others of them are passed over.

        Raises:
            NoAnswerError: none came in time.
            LinkInUseError: somebody else asks the ECU.
            DeviceUnavailableError: the port is gone.
        """
        deadline_s = self._port.now_s() + wait_s
        while True:
            while self._found:
                frame, at_s = self._found.popleft()
                right_size = size is None or len(frame.payload) == size
                if self._is_answer(frame) and frame.payload[0] == head and right_size:
                    return Answer(frame.payload, at_s)
            left_s = deadline_s - self._port.now_s()
            if left_s <= 0.0:
                self.scanner.reset()
                raise NoAnswerError(f"no answer {head:02X} within {wait_s:.2g} s")
            data = await self._port.read(self.scanner.missing(size or 1), left_s)
            for found in self.scanner.feed(data):
                since = found.bytes_after + len(found.frame.payload) + OVERHEAD
                self._found.append((found.frame, self._port.arrived_s - since * self._clock_byte_s))

    def wire_s(self, *payloads: int) -> float:
        """Time that frames with so many bytes of payload take on the wire, s."""
        return sum(size + OVERHEAD for size in payloads) * self.byte_s

    async def listen(self) -> None:
        """Waits until the line is silent, or has turned out not to become so, and forgets what came."""
        await self._port.settle(self._quiet_s, self.wire_s(105, 105))
        self.scanner.reset()
        self._found.clear()

    async def leave(self) -> None:
        """Ends continuous answers, so that whoever comes next finds a silent line.

        Nothing is left to be ended where the port is gone.
        """
        with contextlib.suppress(DeviceUnavailableError):
            self._port.note(Note.LEAVING)
            self._port.set_break(True)
            await asyncio.sleep(_BREAK_S)
            self._port.set_break(False)
            if await self._port.settle(self._quiet_s, 2.0 * self._quiet_s):
                self.send(_STOP_READING)
                await self._port.settle(self._quiet_s, self.wire_s(105, 10))

    @property
    def _quiet_s(self) -> float:
        return _QUIET_S + _QUIET_BYTES * self.byte_s

    def _is_answer(self, frame: KlineFrame) -> bool:
        """Whether the ECU sent it to us; False for an echo of ours.

        A cable that echoes hands back what we sent, perhaps late what the session before this one sent
        last; any other request was sent by somebody else.
        """
        if frame.source == ECU and frame.destination == TESTER:
            return True
        if (
            frame.destination == ECU
            and frame.source == TESTER
            and frame.payload in {_STOP_READING, *self._sent}
        ):
            return False
        raise LinkInUseError(
            f"another tester is on the K-line ({self._port.name}): {frame.source:02X} sent "
            f"{quoted(frame.payload[:8])} to {frame.destination:02X}"
        )

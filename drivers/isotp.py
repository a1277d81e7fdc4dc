"""ISO-TP (ISO 15765-2) without I/O: payloads of up to 4095 bytes over 8-byte CAN frames.

Normal addressing with 11-bit identifiers, frames padded to 8 bytes with 00. An :class:`IsoTp`
object is one end of one pair of identifiers. Whoever owns the bus passes in frames and the time
and sends what comes back; nothing here reads a clock or a bus.

The rules: a frame that breaks a transfer raises ``FrameError`` and ends that transfer; frames that
belong to no transfer (rests of an aborted one) are ignored, as the standard asks; a new first or
single frame replaces a transfer that was being received.
"""

from __future__ import annotations

from drivers.base import FrameError

MAX_PAYLOAD = 4095
_SINGLE, _FIRST, _CONSECUTIVE, _FLOW = 0x0, 0x1, 0x2, 0x3
_CONTINUE, _WAIT, _OVERFLOW = 0x0, 0x1, 0x2
_NEVER = float("inf")
_MAX_WAITS = 16  # flow-control "wait" frames accepted in a row


def separation_s(st_min: int) -> float:
    """Gap between consecutive frames that a flow-control byte asks for, s.

    00 to 7F are milliseconds, F1 to F9 hundreds of microseconds; reserved values count as 127 ms.
    """
    if st_min <= 0x7F:
        return st_min / 1000.0
    if 0xF1 <= st_min <= 0xF9:
        return (st_min - 0xF0) / 10_000.0
    return 0.127


def quoted(data: bytes) -> str:
    """Bytes as they are quoted in messages: ``10 18 EA``."""
    return data.hex(" ").upper() or "(no bytes)"


class IsoTp:
    """One end of a connection: :meth:`send` starts a transfer, :meth:`receive` takes a frame in.

    ``block_size`` and ``st_min`` are what this end asks of the other in its flow control;
    ``timeout_s`` is how long it waits for the other's next frame (N_Bs and N_Cr).
    """

    __slots__ = (
        "_block_left",
        "_block_size",
        "_blocks_in",
        "_expected",
        "_flow_frame",
        "_incoming",
        "_outgoing",
        "_receive_deadline_s",
        "_send_at_s",
        "_send_deadline_s",
        "_sent",
        "_separation_s",
        "_sequence_in",
        "_sequence_out",
        "_timeout_s",
        "_waits",
    )  # fmt: skip

    _outgoing: bytes
    _waits: int

    def __init__(self, *, block_size: int = 0, st_min: int = 0, timeout_s: float = 1.0) -> None:
        self._block_size = block_size
        self._flow_frame = bytes((0x30 | _CONTINUE, block_size, st_min, 0, 0, 0, 0, 0))
        self._timeout_s = timeout_s
        self.reset()

    def reset(self) -> None:
        """Forgets both directions."""
        self._forget_incoming()
        self._forget_outgoing()

    @property
    def sending(self) -> bool:
        """Whether a payload is still being sent."""
        return bool(self._outgoing)

    @property
    def wake_s(self) -> float:
        """Time at which :meth:`poll` has something to do; infinite while nothing is under way."""
        return min(self._send_at_s, self._send_deadline_s, self._receive_deadline_s)

    def send(self, payload: bytes, now_s: float) -> list[bytes]:
        """Starts to send; returns the frame to put on the bus now.

        Raises:
            ValueError: nothing to send, more than 4095 bytes, or a transfer is still under way.
        """
        size = len(payload)
        if not 1 <= size <= MAX_PAYLOAD:
            raise ValueError(f"an ISO-TP payload has 1 to {MAX_PAYLOAD} bytes, not {size}")
        if self._outgoing:
            raise ValueError("an ISO-TP payload is still being sent")
        if size <= 7:
            return [(bytes((size,)) + payload).ljust(8, b"\0")]
        self._outgoing = payload
        self._sent = 6
        self._sequence_out = 1
        self._send_deadline_s = now_s + self._timeout_s
        return [bytes((0x10 | size >> 8, size & 0xFF)) + payload[:6]]

    def receive(self, data: bytes, now_s: float) -> tuple[bytes | None, list[bytes]]:
        """Takes one frame's data in; returns a payload if it completed one, and frames to send now.

        Raises:
            FrameError: the frame is malformed or breaks the transfer it belongs to.
        """
        if not data:
            raise FrameError("an ISO-TP frame has at least 1 byte, met none")
        kind = data[0] >> 4
        if kind == _CONSECUTIVE:
            return self._consecutive(data, now_s)
        if kind == _FLOW:
            return None, self._flow(data, now_s)
        if kind == _SINGLE:
            return self._single(data), []
        if kind == _FIRST:
            return None, self._first(data, now_s)
        raise FrameError(f"ISO-TP frame {quoted(data)}: the first digit must be 0 to 3")

    def poll(self, now_s: float) -> list[bytes]:
        """Frames that are due by now; call it when :attr:`wake_s` has come.

        Raises:
            FrameError: the other end did not send its next frame in time.
        """
        if now_s >= self._receive_deadline_s:
            got, expected = len(self._incoming), self._expected
            self._forget_incoming()
            raise FrameError(f"ISO-TP transfer stopped after {got} of {expected} bytes")
        if now_s >= self._send_deadline_s:
            self._forget_outgoing()
            raise FrameError("no ISO-TP flow control came after the first frame or block")
        if now_s >= self._send_at_s:
            return self._send_consecutive(now_s)
        return []

    def _single(self, data: bytes) -> bytes:
        size = data[0] & 0xF
        if not 1 <= size <= 7 or size >= len(data):
            raise FrameError(f"ISO-TP single frame {quoted(data)}: length {size} does not fit the frame")
        self._forget_incoming()
        return data[1 : 1 + size]

    def _first(self, data: bytes, now_s: float) -> list[bytes]:
        self._forget_incoming()
        if len(data) != 8:
            raise FrameError(f"ISO-TP first frame {quoted(data)}: expected 8 bytes, met {len(data)}")
        size = (data[0] & 0xF) << 8 | data[1]
        if size < 8:
            raise FrameError(
                f"ISO-TP first frame {quoted(data)}: length must be 8 to {MAX_PAYLOAD}, met {size}"
            )
        self._expected = size
        self._incoming += data[2:]
        self._sequence_in = 1
        self._blocks_in = 0
        self._receive_deadline_s = now_s + self._timeout_s
        return [self._flow_frame]

    def _consecutive(self, data: bytes, now_s: float) -> tuple[bytes | None, list[bytes]]:
        if not self._expected:
            return None, []
        sequence = data[0] & 0xF
        if sequence != self._sequence_in:
            expected = self._sequence_in
            self._forget_incoming()
            raise FrameError(f"ISO-TP frame {quoted(data)}: expected sequence {expected:X}, met {sequence:X}")
        wanted = self._expected - len(self._incoming)
        if len(data) - 1 < min(wanted, 7):
            self._forget_incoming()
            raise FrameError(f"ISO-TP frame {quoted(data)}: expected {min(wanted, 7)} more bytes in it")
        self._incoming += data[1 : 1 + min(wanted, 7)]
        if wanted <= 7:
            payload = bytes(self._incoming)
            self._forget_incoming()
            return payload, []
        self._sequence_in = (sequence + 1) & 0xF
        self._receive_deadline_s = now_s + self._timeout_s
        self._blocks_in += 1
        if self._blocks_in == self._block_size:
            self._blocks_in = 0
            return None, [self._flow_frame]
        return None, []

    def _flow(self, data: bytes, now_s: float) -> list[bytes]:
        if not self._outgoing or self._send_deadline_s == _NEVER:
            return []
        state = data[0] & 0xF
        if len(data) < 3 or state > _OVERFLOW:
            self._forget_outgoing()
            raise FrameError(
                f"ISO-TP flow control {quoted(data)}: expected 30, 31 or 32, block size, separation"
            )
        if state == _OVERFLOW:
            self._forget_outgoing()
            raise FrameError(f"ISO-TP flow control {quoted(data)}: the payload is too long for the other end")
        if state == _WAIT:
            self._waits += 1
            if self._waits > _MAX_WAITS:
                self._forget_outgoing()
                raise FrameError(
                    f"ISO-TP flow control {quoted(data)}: told to wait more than {_MAX_WAITS} times"
                )
            self._send_deadline_s = now_s + self._timeout_s
            return []
        self._waits = 0
        self._block_left = data[1] or MAX_PAYLOAD
        self._separation_s = separation_s(data[2])
        self._send_deadline_s = _NEVER
        return self._send_consecutive(now_s)

    def _send_consecutive(self, now_s: float) -> list[bytes]:
        """Frames allowed now: the rest of the block, or one frame where a separation is asked for."""
        frames = []
        payload, size = self._outgoing, len(self._outgoing)
        while self._sent < size and self._block_left:
            head = bytes((0x20 | self._sequence_out,))
            frames.append((head + payload[self._sent : self._sent + 7]).ljust(8, b"\0"))
            self._sent += 7
            self._sequence_out = (self._sequence_out + 1) & 0xF
            self._block_left -= 1
            if self._separation_s:
                break
        if self._sent >= size:
            self._forget_outgoing()
        elif self._block_left:
            self._send_at_s = now_s + self._separation_s
        else:
            self._send_at_s = _NEVER
            self._send_deadline_s = now_s + self._timeout_s
        return frames

    def _forget_incoming(self) -> None:
        self._incoming = bytearray()
        self._expected = self._sequence_in = self._blocks_in = 0
        self._receive_deadline_s = _NEVER

    def _forget_outgoing(self) -> None:
        self._outgoing = b""
        self._sent = self._sequence_out = self._block_left = self._waits = 0
        self._separation_s = 0.0
        self._send_at_s = self._send_deadline_s = _NEVER

"""Bytes over a serial port or a TCP connection on the event loop: no thread, no polling."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import sys
import termios
from abc import ABC, abstractmethod
from collections.abc import Callable

import serial

from drivers.base import DeviceUnavailableError
from drivers.clock import Clock
from drivers.port_errors import PORT_ERRORS, port_trouble
from drivers.recorder import Recorder
from drivers.recording import Kind, Note

_READ_BYTES = 4096
_KEPT_BYTES = 1 << 16  # what nobody has taken by then is too old to be of use
_CONNECT_S = 3.0
_BITS_PER_BYTE = 10  # start bit, eight of data, stop bit
_REST_SHARE = 0.95  # of the time that missing bytes take at least; the other's clock may be ahead
_LEAST_REST_S = 0.002  # shorter rests cost as much as they save


class BytePort(ABC):
    """An open serial port or connection, or a recording of one.

    Samples are stamped with seconds of the source's clock since the port was opened, in whole
    microseconds: ``arrived_s`` is the time at which the newest byte was read from the system, and
    ``sent_s`` that at which the newest was written; ``opened_s`` is the clock's time they count from, 0
    for a recording. Waiting is measured in :meth:`now_s`.
    """

    name: str
    arrived_s: float
    sent_s: float
    opened_s: float

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Sends ``data`` with one system call.

        Raises:
            DeviceUnavailableError: the device is gone or takes nothing.
        """

    @abstractmethod
    async def read(self, least: int, wait_s: float) -> bytes:
        """Everything that came, as soon as it is ``least`` bytes; what there is after ``wait_s``.

        Raises:
            DeviceUnavailableError: the device is gone and everything it sent was taken.
        """

    @abstractmethod
    def now_s(self) -> float:
        """The wall's time, s from an arbitrary origin."""

    @abstractmethod
    async def pause(self, wall_s: float) -> None:
        """Lets so much of the wall's time pass."""

    @abstractmethod
    def set_break(self, on: bool) -> None:
        """Holds the line low, where the device can; a pty cannot, and nothing happens."""

    @abstractmethod
    def note(self, note: Note, value: str = "") -> None:
        """What the driver did that no byte shows, for a recording."""

    @abstractmethod
    def close(self) -> None:
        """Closes the port; what was not sent yet is thrown away."""

    async def settle(self, quiet_s: float, longest_s: float) -> bytes:
        """Takes what comes until nothing came for ``quiet_s``, at most ``longest_s``; returns it."""
        taken = b""
        until_s = self.now_s() + longest_s
        while (left_s := until_s - self.now_s()) > 0.0:
            data = await self.read(1, min(quiet_s, left_s))
            if not data:
                break
            taken += data
        return taken


class ByteLink(BytePort):
    """One open file descriptor. Belongs to the event loop it was made in; :meth:`close` must be called.

    ``opened_s`` is the clock's time of its making. With a ``recorder`` what is written and read is
    recorded, in the pieces in which it is taken. ``byte_s`` is the time that a byte takes on its wire, 0
    where that is not known: nobody is woken for bytes that do not complete what is waited for.
    """

    def __init__(
        self,
        name: str,
        fd: int,
        clock: Clock,
        *,
        close: Callable[[], None],
        set_break: Callable[[bool], None] = lambda _: None,
        byte_s: float = 0.0,
    ) -> None:
        self.name = name
        self.arrived_s = self.sent_s = 0.0
        self.recorder: Recorder | None = None
        self._fd = fd
        self._clock = clock
        self.opened_s = clock.now()
        self._close = close
        self._set_break = set_break
        self._byte_s = byte_s
        self._rest: asyncio.TimerHandle | None = None
        self._buffer = bytearray()
        self._least = 1
        self._waiter: asyncio.Future[None] | None = None
        self._lost: str | None = None
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        self._close()
        if self.recorder is not None:
            self.recorder.close()

    def now_s(self) -> float:
        return self._loop.time()

    async def pause(self, wall_s: float) -> None:
        await asyncio.sleep(wall_s)

    def note(self, note: Note, value: str = "") -> None:
        if self.recorder is not None:
            self.recorder.note(self._stamp_s(), note, value)

    def write(self, data: bytes) -> None:
        try:
            sent = os.write(self._fd, data)
        except OSError as error:
            raise DeviceUnavailableError(f"{self.name} cannot send: {error.strerror}") from error
        if sent != len(data):
            raise DeviceUnavailableError(f"{self.name} took {sent} of {len(data)} bytes")
        self.sent_s = self._stamp_s()
        if self.recorder is not None:
            self.recorder.bytes(self.sent_s, data, Kind.SENT)

    async def read(self, least: int, wait_s: float) -> bytes:
        if len(self._buffer) < least and self._lost is None and wait_s > 0.0:
            self._least = least
            self._waiter = self._loop.create_future()
            timer = self._loop.call_later(wait_s, self._wake)
            self._rest_meanwhile(wait_s)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
                self._watch()
        if not self._buffer and self._lost is not None:
            raise DeviceUnavailableError(f"{self.name} is gone: {self._lost}")
        data = bytes(self._buffer)
        self._buffer.clear()
        if self.recorder is not None and (data or wait_s > 0.0):
            self.recorder.bytes(self.arrived_s if data else self._stamp_s(), data, Kind.CAME)
        return data

    def set_break(self, on: bool) -> None:
        with contextlib.suppress(OSError, termios.error):
            self._set_break(on)

    def _stamp_s(self) -> float:
        return round(self._clock.now() - self.opened_s, 6)

    def _rest_meanwhile(self, wait_s: float) -> None:
        """Does not look at the descriptor for as long as the bytes that are waited for need to come.

        Where they cannot come in time it looks all the while, for whatever does.
        """
        missing = self._least - len(self._buffer)
        if (missing - 1) * self._byte_s < _LEAST_REST_S:
            return
        try:
            missing -= int.from_bytes(fcntl.ioctl(self._fd, termios.FIONREAD, bytes(4)), sys.byteorder)
        except OSError:
            return  # the device is gone: the descriptor says so at once
        rest_s = _REST_SHARE * (missing - 1) * self._byte_s
        if _LEAST_REST_S <= rest_s < wait_s:
            self._loop.remove_reader(self._fd)
            self._rest = self._loop.call_later(rest_s, self._watch)

    def _watch(self) -> None:
        """Looks at the descriptor again after a rest."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
            self._loop.add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        if not data:
            self._lose("unplugged, or closed by the other end")
            return
        self.arrived_s = self._stamp_s()
        if len(self._buffer) > _KEPT_BYTES:
            self._buffer.clear()
        self._buffer += data
        if len(self._buffer) >= self._least:
            self._wake()

    def _lose(self, why: str) -> None:
        self._lost = why
        self._loop.remove_reader(self._fd)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def open_serial(port: str, baudrate: int, clock: Clock) -> ByteLink:
    """Opens a serial port (or pty) for this process alone, 8N1, without flow control.

    Raises:
        DeviceUnavailableError: it is not there, not ours to open, or another program has it.
    """
    try:
        opened = serial.Serial(port, baudrate, timeout=0, write_timeout=0, exclusive=True)
    except PORT_ERRORS as error:
        raise DeviceUnavailableError(f"serial port {port} cannot be opened: {port_trouble(error)}") from error
    with contextlib.suppress(OSError, ValueError, NotImplementedError):
        opened.set_low_latency_mode(True)  # not every driver has it; the udev rule does the same for FTDI

    def close() -> None:
        # a port that is closed with bytes still to be sent can hang for as long as they are not taken
        with contextlib.suppress(OSError, termios.error):
            termios.tcflush(opened.fileno(), termios.TCIOFLUSH)
        opened.close()

    def set_break(on: bool) -> None:
        opened.break_condition = on

    return ByteLink(
        f"serial port {port}",
        opened.fileno(),
        clock,
        close=close,
        set_break=set_break,
        byte_s=_BITS_PER_BYTE / baudrate,
    )


async def open_tcp(host: str, port: int, clock: Clock) -> ByteLink:
    """Connects to an adapter in the network.

    Raises:
        DeviceUnavailableError: nobody answers there.
    """
    loop = asyncio.get_running_loop()
    name = f"tcp://{host}:{port}"
    try:
        async with asyncio.timeout(_CONNECT_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = found[0]
            connection = socket.socket(family, kind, protocol)
            try:
                connection.setblocking(False)
                await loop.sock_connect(connection, address)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except BaseException:
                connection.close()
                raise
    except TimeoutError:
        raise DeviceUnavailableError(f"{name} did not answer within {_CONNECT_S:g} s") from None
    except OSError as error:
        raise DeviceUnavailableError(f"{name} cannot be reached: {error.strerror}") from error
    return ByteLink(name, connection.fileno(), clock, close=connection.close)

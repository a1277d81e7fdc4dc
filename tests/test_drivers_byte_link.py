"""A serial port on the event loop: nobody is woken for bytes that complete nothing; nothing is lost by it."""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from timing import at_most

from drivers.base import DeviceUnavailableError
from drivers.byte_link import ByteLink, open_serial
from drivers.clock import WallClock
from drivers.simulator.pty_port import PtyPort

BAUD = 4800
FRAME = bytes(range(100))
FRAME_S = 10.0 * len(FRAME) / BAUD


@pytest.fixture
def port() -> Iterator[PtyPort]:
    port = PtyPort()
    yield port
    port.close()


def come(link: ByteLink) -> int:
    """Bytes that have come, taken from the kernel or not."""
    with_kernel = int.from_bytes(fcntl.ioctl(link._fd, termios.FIONREAD, bytes(4)), sys.byteorder)
    return with_kernel + len(link._buffer)


async def test_bytes_are_not_looked_for_before_they_can_be_complete(port: PtyPort) -> None:
    """A pty has no baud rate: these come at once, and are found when a wire would have brought them."""
    with closing(open_serial(port.path, BAUD, WallClock())) as link:
        started_s = time.monotonic()
        reading = asyncio.create_task(link.read(len(FRAME), 5.0))
        await asyncio.sleep(0.0)
        port.write(FRAME)
        assert await reading == FRAME
        assert 0.9 * FRAME_S < time.monotonic() - started_s < at_most(5.0)


async def test_what_has_come_before_is_not_waited_for(port: PtyPort) -> None:
    with closing(open_serial(port.path, 50, WallClock())) as link:  # 20 s for these bytes
        port.write(FRAME)
        async with asyncio.timeout(10.0):
            while come(link) < len(FRAME):  # noqa: ASYNC110 - the kernel hands them over when it likes
                await asyncio.sleep(0.001)
            assert await link.read(len(FRAME), 30.0) == FRAME


async def test_after_the_wait_there_is_what_came(port: PtyPort) -> None:
    with closing(open_serial(port.path, BAUD, WallClock())) as link:
        reading = asyncio.create_task(link.read(len(FRAME), 0.5 * FRAME_S))
        await asyncio.sleep(0.0)
        port.write(FRAME[:10])
        assert await reading == FRAME[:10]


async def test_a_rest_that_is_given_up_leaves_the_next_read_as_it_was(port: PtyPort) -> None:
    with closing(open_serial(port.path, BAUD, WallClock())) as link:
        reading = asyncio.create_task(link.read(len(FRAME), 5.0))
        await asyncio.sleep(0.0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        port.write(b"\x55")
        assert await link.read(1, 5.0) == b"\x55"


async def test_an_unplugged_port_is_noticed_after_the_rest() -> None:
    port = PtyPort()
    with closing(open_serial(port.path, BAUD, WallClock())) as link:
        reading = asyncio.create_task(link.read(len(FRAME), 5.0))
        await asyncio.sleep(0.0)
        port.close()
        with pytest.raises(DeviceUnavailableError, match="is gone"):
            await reading

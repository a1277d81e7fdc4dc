"""``python slow_crowd.py PORT COUNT``: so many connections, each of which sends a byte of its head, or of its
body, a second, and comes back when it is cut. Says twice a second how many are open and how many were cut.

A process of its own: what it costs to be two thousand must not count as the time that an answer takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys

HEAD = b"GET /api/v1/table HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"a" * 1000
BODY = b"POST /api/analyze/0/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\n"


class Slowpoke:
    """One of them."""

    def __init__(self, port: int, number: int, count: int) -> None:
        self._port = port
        self._in_body = number % 2 == 1
        self._begin_s = 3.0 * number / count
        self.cut = 0
        self.open = False

    async def run(self) -> None:
        await asyncio.sleep(self._begin_s)
        while True:
            with contextlib.suppress(OSError):
                await self._drip()
            self.cut += self.open
            self.open = False
            await asyncio.sleep(1.0)

    async def _drip(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.open = True
        try:
            if self._in_body:
                writer.write(BODY)
            for position in range(len(HEAD)):
                writer.write(HEAD[position : position + 1] if not self._in_body else b" ")
                await asyncio.sleep(1.0)
                if reader.at_eof() or writer.is_closing():
                    return
        finally:
            writer.close()


async def main(port: int, count: int) -> None:
    """Runs until it is ended."""
    crowd = [Slowpoke(port, number, count) for number in range(count)]
    async with asyncio.TaskGroup() as tasks:
        for one in crowd:
            tasks.create_task(one.run())
        while True:
            print(sum(one.open for one in crowd), sum(one.cut for one in crowd), flush=True)
            await asyncio.sleep(0.5)


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))

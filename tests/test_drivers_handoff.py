"""The queue between a reader thread and the event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from drivers.handoff import EndOfItemsError, Handoff


def in_a_thread(function, *arguments: object) -> None:
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


async def test_items_come_in_their_order_and_then_the_end() -> None:
    handoff: Handoff[int] = Handoff(10)

    def deliver() -> None:
        for item in range(5):
            handoff.put(item)
        handoff.close()

    in_a_thread(deliver)
    assert [await handoff.get() for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(EndOfItemsError):
        await handoff.get()
    await handoff.ended.wait()
    assert handoff.dropped == 0


async def test_the_oldest_are_dropped_and_counted_when_nobody_takes_them() -> None:
    handoff: Handoff[int] = Handoff(3)
    in_a_thread(lambda: [handoff.put(item) for item in range(10)])
    assert [await handoff.get() for _ in range(3)] == [7, 8, 9]
    assert handoff.dropped == 7


async def test_an_error_comes_after_what_was_delivered_before() -> None:
    handoff: Handoff[int] = Handoff(3)
    handoff.put(1)
    in_a_thread(handoff.close, OSError("gone"))
    assert await handoff.get() == 1
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            await handoff.get()


async def test_a_waiting_task_is_woken() -> None:
    handoff: Handoff[str] = Handoff(3)
    for word in ("first", "second"):
        waiting = asyncio.create_task(handoff.get())
        await asyncio.sleep(0)
        assert not waiting.done()
        in_a_thread(handoff.put, word)
        assert await asyncio.wait_for(waiting, 5.0) == word


def test_a_thread_that_outlives_its_loop_is_not_hurt() -> None:
    async def make() -> Handoff[int]:
        return Handoff(3)

    handoff = asyncio.run(make())
    handoff.put(1)
    handoff.close()

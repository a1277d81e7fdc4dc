"""The held-out check now and then, away from the live path."""

from __future__ import annotations

import asyncio

from daemon.live.hub import Hub

INTERVAL_S = 30.0


async def watch_held_out(hub: Hub) -> None:
    """Makes the check where samples were accepted since the last one; several solves, so in a thread.

    One that was overtaken, because what counts has changed, is not shown. Runs until cancelled.
    """
    checked = -1
    while True:
        await asyncio.sleep(INTERVAL_S)
        pipeline, accepted = hub.pipeline, hub.pipeline.counts().accepted
        if accepted == checked:
            continue
        learned = pipeline.learned
        epoch = learned.epoch
        found = await asyncio.to_thread(pipeline.held_out, learned.sums.copy())
        overtaken = hub.pipeline is not pipeline or pipeline.learned is not learned or learned.epoch != epoch
        checked = -1 if overtaken else accepted
        if not overtaken:
            hub.show_held_out(found)

"""The second source beside the first: followed, lost, found again, paused, and shown in the status."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest
from link_benches import can_bench
from passive_links import controller
from test_daemon_live_hub import MemoryStore, settings
from test_drivers_wideband import ISP2, lambda_words, packet

from daemon.config.config import load_config
from daemon.errors import UsageError
from daemon.live.hub import Hub
from daemon.live.second_source import LONGEST_WAIT_S, SecondSource
from daemon.planning import plan_from
from drivers.base import DeviceUnavailableError, EcuSilentError
from drivers.clock import WallClock
from drivers.lambda_reading import LambdaReading, SensorState
from drivers.registry import create_second
from drivers.second_lambda import LambdaTimeline
from drivers.simulator.link_faults import NO_FAULTS
from drivers.wideband import TimedReading
from lowmaf.samples import SampleBatch
from web.board import Command
from web.documents import status_document

WARMING = LambdaReading.without(SensorState.WARMING)
STOICH = LambdaReading.measured(1.0)
UNPLUGGED = DeviceUnavailableError("it was unplugged")


class Script:
    """A controller that gives its readings and is then lost, or waits for ever."""

    name = "wideband"

    def __init__(self, *turns: list[LambdaReading | None], loss: DeviceUnavailableError = UNPLUGGED) -> None:
        self._turns = iter(turns)
        self._loss = loss
        self.opened = 0
        self.open = 0

    def describe(self) -> str:
        return "wideband on a script"

    async def readings(self) -> AsyncGenerator[TimedReading, None]:
        self.opened += 1
        self.open += 1
        try:
            for at_s, reading in enumerate(next(self._turns, [])):
                if reading is None:
                    await asyncio.Event().wait()
                else:
                    yield float(at_s), reading
                    await asyncio.sleep(0)
            raise self._loss
        finally:
            self.open -= 1


def hub() -> Hub:
    return Hub(settings(), MemoryStore())


@contextlib.asynccontextmanager
async def followed(script: Script, board: Hub, timeline: LambdaTimeline) -> AsyncGenerator[list[float], None]:
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    task = asyncio.create_task(SecondSource(script, timeline, board, wait=wait).run())
    try:
        yield waits
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(board: Hub, state: str, word: str = "") -> None:
    generation = 0
    async with asyncio.timeout(20.0):
        while (link := board.status().second_link) is None or link.state != state or word not in link.words:
            generation = await board.changed(generation)


async def test_the_status_says_what_the_sensor_does() -> None:
    board, timeline = hub(), LambdaTimeline()
    assert board.status().second_link is None
    async with followed(Script([WARMING, WARMING, STOICH, None]), board, timeline):
        await until(board, "running", "measuring")
        link = board.status().second_link
    assert link is not None
    assert link.words == "wideband on a script: measuring"
    assert [event.state for event in link.history] == ["running"]
    document = status_document(board.status(), board.snapshot().counts, 0)
    assert document["second_link"]["words"] == link.words
    np.testing.assert_array_equal(timeline.at(np.array([1.0, 2.0])), [math.nan, 1.0])


async def test_a_controller_that_is_lost_is_tried_again_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    board = hub()
    script = Script(*([[]] * 12), [STOICH, None])
    with caplog.at_level(logging.INFO):
        async with followed(script, board, LambdaTimeline()) as waits:
            await until(board, "running")
            link = board.status().second_link
    assert link is not None
    assert link.reconnects == 1
    assert waits[:3] == [0.5, 1.0, 2.0]
    assert max(waits) == waits[-1] == LONGEST_WAIT_S
    told = [record.message for record in caplog.records if "second source" in record.message]
    assert told == [
        "second source lost: it was unplugged; trying again until it is back",
        "second source is back: wideband on a script: measuring",
    ]


async def test_a_controller_without_power_is_found_soon_after_it_has_some() -> None:
    board = hub()
    script = Script(*([[]] * 6), [STOICH, None], loss=EcuSilentError("no reading"))
    async with followed(script, board, LambdaTimeline()) as waits:
        await until(board, "running")
    assert waits == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]


async def test_a_pause_closes_its_port_too() -> None:
    board = hub()
    script = Script([STOICH, None], [STOICH, None])
    async with followed(script, board, LambdaTimeline()):
        await until(board, "running")
        await board.command(Command("pause"))
        await until(board, "paused")
        assert script.open == 0
        await board.command(Command("resume"))
        await until(board, "running")
        assert (script.open, script.opened) == (1, 2)
    assert script.open == 0


async def test_a_real_controller_on_a_port() -> None:
    board, timeline = hub(), LambdaTimeline()
    warm = asyncio.Event()
    with controller(lambda: ISP2 if warm.is_set() else packet(lambda_words(1.0, 4))) as device:
        source = SecondSource(
            create_second("wideband", {"port": device.port.path}, WallClock()), timeline, board
        )
        task = asyncio.create_task(source.run())
        await until(board, "running", "warming up")
        now_s = WallClock().now()
        assert np.isnan(timeline.at(np.array([now_s]))).all()
        warm.set()
        await until(board, "running", "measuring")
        assert timeline.at(np.array([WallClock().now()])).tolist() == [0.991]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("driver", ["simulator", "replay"])
def test_a_source_with_a_time_of_its_own_takes_no_second_one(tmp_path: Path, driver: str) -> None:
    path = tmp_path / "car.toml"
    path.write_text(f"[source]\ndriver = '{driver}'\n[[second_source]]\n", encoding="utf-8")
    with pytest.raises(UsageError, match=f"the source {driver} has a time of its own"):
        plan_from(load_config(path, {}))


def test_a_live_source_has_its_lambda_laid_over(tmp_path: Path) -> None:
    path = tmp_path / "car.toml"
    path.write_text("[source]\ndriver = 'ssm-can'\n[[second_source]]\ncontroller = 'aem'\n", encoding="utf-8")
    plan = plan_from(load_config(path, {}))
    assert plan.second_source is not None
    assert plan.second_source[0].options.controller == "aem"
    assert type(plan.make_driver()).__name__ == "WithSecondLambda"


async def test_two_real_links_give_samples_of_both(tmp_path: Path) -> None:
    """An ECU on a CAN bus and a controller on a serial port, wired as the daemon wires them."""
    with can_bench(NO_FAULTS) as bench, controller(lambda: ISP2) as device:
        path = tmp_path / "car.toml"
        options = "".join(f"{key} = {json.dumps(value)}\n" for key, value in bench.options.items())
        path.write_text(
            f"[source]\ndriver = 'ssm-can'\n{options}[[second_source]]\nport = '{device.port.path}'\n",
            encoding="utf-8",
        )
        plan = plan_from(load_config(path, {}))
        assert plan.second_source is not None
        board = hub()
        task = asyncio.create_task(SecondSource(*plan.second_source, board).run())
        await until(board, "running", "measuring")
        parts = []
        async with asyncio.timeout(10.0), contextlib.aclosing(plan.make_driver().batches()) as batches:
            async for batch in batches:
                parts.append(batch)
                if sum(map(len, parts)) >= 30:
                    break
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    found = SampleBatch.concatenate(parts)
    assert {"maf_v", "stft_pct", "lambda_"} <= found.delivered
    assert set(found["lambda_"].tolist()) == {0.991}

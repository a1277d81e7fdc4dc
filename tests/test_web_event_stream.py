"""The event stream: on the wire through a real server, and its rules with a listener we control."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fakes import FakeBoard, live_reading, serving
from timing import at_most

from lowmaf.document import table_document
from lowmaf.snapshot import Snapshot
from web.app import create_app
from web.current_table import CurrentTable
from web.event_stream import EventStream

PATIENCE_S = 5.0


@dataclass(frozen=True)
class Received:
    id: str
    kind: str
    document: dict[str, Any]


class Listener:
    """A client of the stream; ``head`` is what came before the first event."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.head: list[str] = []
        self._lines = response.aiter_lines()

    async def next(self, kind: str | None = None) -> Received:
        """The next event, of ``kind`` if given."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event = await self._event()
                if kind in (None, event.kind):
                    return event

    async def rest(self) -> list[Received]:
        """All further events until the server ends the stream."""
        events = []
        with contextlib.suppress(StopAsyncIteration):
            while True:
                events.append(await self._event())
        return events

    async def _event(self) -> Received:
        fields: dict[str, str] = {}
        while True:
            line = await anext(self._lines)
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                return Received(fields["id"], fields["event"], json.loads(fields["data"]))
            else:
                self.head += [f"{name}: {value}" for name, value in fields.items()]
                fields = {}


@contextlib.asynccontextmanager
async def listening(url: str, last_event_id: str | None = None) -> AsyncIterator[Listener]:
    headers = {} if last_event_id is None else {"last-event-id": last_event_id.encode()}
    async with (
        httpx.AsyncClient(timeout=PATIENCE_S) as client,
        client.stream("GET", f"{url}api/v1/stream", headers=headers) as response,
    ):
        yield Listener(response)


async def first_events(listener: Listener) -> dict[str, Received]:
    return {event.kind: event for event in [await listener.next() for _ in range(3)]}


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the condition is another task's output, not ours to signal
            await asyncio.sleep(0.005)


# ---- on the wire


async def test_a_listener_gets_the_whole_state_first_and_changes_after_it() -> None:
    board = FakeBoard()
    app = create_app(board, version="1.2.3")
    async with serving(app) as url, listening(url) as listener:
        assert listener.response.headers["content-type"].startswith("text/event-stream")
        assert listener.response.headers["cache-control"] == "no-store"
        events = await first_events(listener)
        assert listener.head == ["retry: 500"]
        assert set(events) == {"table", "live", "status"}
        assert events["table"].document["revision"] == 42
        assert events["live"].document["values"]["maf_v"] == 2.41
        assert events["live"].document["values"]["iat_c"] is None
        assert events["live"].document["verdict_words"] == "counted"
        assert events["status"].document["streams"] == 1
        board.next_revision()
        assert (await listener.next("table")).document["revision"] == 43
        board.reading = live_reading(2.5, verdict="transient")
        board.touch()
        live = (await listener.next("live")).document
        assert (live["values"]["maf_v"], live["verdict"]) == (2.5, "transient")


async def test_table_comes_at_most_ten_times_a_second() -> None:
    board = FakeBoard()
    loop = asyncio.get_running_loop()

    async def change_often() -> None:
        while True:
            board.next_revision()
            await asyncio.sleep(0.004)

    async with serving(create_app(board, version="1.2.3")) as url, listening(url) as listener:
        changing = asyncio.create_task(change_often())
        await listener.next("table")
        started_s = loop.time()
        revisions = [(await listener.next("table")).document["revision"] for _ in range(8)]
        assert loop.time() - started_s > 0.7
        changing.cancel()
        board.next_revision()
        newest = board.newest.revision
        assert revisions == sorted(set(revisions))
        while (await listener.next("table")).document["revision"] != newest:
            pass


async def test_resuming_leaves_out_what_the_client_has() -> None:
    board = FakeBoard()
    async with serving(create_app(board, version="1.2.3")) as url:
        async with listening(url) as listener:
            events = await first_events(listener)
        last = max(events.values(), key=lambda event: int(event.id.partition("-")[2]))
        async with listening(url, last.id) as listener:
            heartbeat = await listener.next()
            assert heartbeat.kind == "status"
            board.next_revision()
            assert (await listener.next()).document["revision"] == 43
        async with listening(url, last.id) as listener:
            assert (await listener.next("table")).document["revision"] == 43


@pytest.mark.parametrize("last_event_id", ["", "other-9999", "nonsense", "9", "-", "x-²"])
async def test_an_id_of_another_run_gets_everything(last_event_id: str) -> None:
    board = FakeBoard()
    async with (
        serving(create_app(board, version="1.2.3")) as url,
        listening(url, last_event_id) as listener,
    ):
        assert set(await first_events(listener)) == {"table", "live", "status"}


async def test_an_id_from_the_future_waits_for_news_and_does_not_hang() -> None:
    board = FakeBoard()
    async with serving(create_app(board, version="1.2.3")) as url:
        async with listening(url) as listener:
            boot = (await listener.next()).id.partition("-")[0]
        async with listening(url, f"{boot}-999999999") as listener:
            board.next_revision()
            assert (await listener.next("table")).document["revision"] == 43


async def test_status_is_the_heartbeat_when_nothing_changes() -> None:
    board = FakeBoard()
    loop = asyncio.get_running_loop()
    async with serving(create_app(board, version="1.2.3")) as url, listening(url) as listener:
        await first_events(listener)
        for _ in range(2):
            asked_s = loop.time()
            assert (await listener.next()).kind == "status"
            assert loop.time() - asked_s < at_most(1.5)


async def test_a_link_that_is_lost_is_told_before_the_next_heartbeat() -> None:
    board = FakeBoard()
    loop = asyncio.get_running_loop()
    async with serving(create_app(board, version="1.2.3")) as url, listening(url) as listener:
        await listener.next("status")
        changed_s = loop.time()
        board.set_link("waiting", "waiting for ignition")
        assert (await listener.next("status")).document["link"]["words"] == "waiting for ignition"
        assert loop.time() - changed_s < at_most(0.8)


async def test_a_client_that_leaves_is_forgotten() -> None:
    board = FakeBoard()
    app = create_app(board, version="1.2.3")
    async with serving(app) as url:
        async with listening(url) as listener:
            await listener.next()
            assert app.state.events.listeners == 1
        await until(lambda: app.state.events.listeners == 0)


async def test_stopping_the_server_ends_streams_cleanly_and_soon() -> None:
    board = FakeBoard()
    app = create_app(board, version="1.2.3")
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as clients:
        async with serving(app) as url:
            listeners = [await clients.enter_async_context(listening(url)) for _ in range(5)]
            for listener in listeners:
                await first_events(listener)
            stopped_s = loop.time()
        assert loop.time() - stopped_s < at_most(2.0)
        for listener in listeners:
            await listener.rest()  # would raise httpx.RemoteProtocolError if the answer were cut off


# ---- its rules


class Sink:
    """An ASGI ``send`` that can be held up; keeps what went through."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = False
        self.bodies: list[bytes] = []

    async def __call__(self, message: Any) -> None:
        self.waiting = True
        await self.open.wait()
        self.waiting = False
        self.bodies.append(message["body"])

    def revisions(self) -> list[int]:
        lines = b"".join(self.bodies).decode().split("\n")
        documents = [json.loads(line[6:]) for line in lines if line.startswith('data: {"format"')]
        return [document["revision"] for document in documents]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events as fast as they come, so that many fit into a test."""
    monkeypatch.setattr("web.event_stream.MIN_INTERVAL_S", 0.001)


@contextlib.asynccontextmanager
async def sinks(
    board: FakeBoard, count: int
) -> AsyncIterator[tuple[EventStream, list[Sink], list[asyncio.Task[None]]]]:
    events = EventStream(board, CurrentTable(board))
    opened = [Sink() for _ in range(count)]
    tasks = [asyncio.create_task(events.send_events(sink, "")) for sink in opened]
    try:
        yield events, opened, tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.usefixtures("quick")
async def test_a_slow_listener_skips_to_the_newest_and_holds_nobody_up() -> None:
    board = FakeBoard()
    async with sinks(board, 2) as (_, (slow, fast), _tasks):
        await until(lambda: slow.revisions() and fast.revisions())
        slow.open.clear()
        for _ in range(20):
            board.next_revision()
            await until(lambda: fast.revisions()[-1] == board.newest.revision)
        assert slow.waiting
        slow.open.set()
        await until(lambda: slow.revisions()[-1] == board.newest.revision)
        assert fast.revisions() == list(range(42, 63))
        assert len(slow.revisions()) <= 3


@pytest.mark.usefixtures("quick")
async def test_an_event_is_made_once_for_all_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(snapshot: Snapshot, session: int | None, cells: object) -> dict[str, object]:
        made.append(snapshot.revision)
        return table_document(snapshot, session, cells=cells)

    monkeypatch.setattr("web.current_table.table_document", counted)
    board = FakeBoard()
    async with sinks(board, 25) as (events, opened, _tasks):
        assert events.listeners == 0
        await until(lambda: all(sink.revisions() for sink in opened))
        assert events.listeners == 25
        board.next_revision()
        await until(lambda: all(sink.revisions()[-1] == 43 for sink in opened))
    assert made == [42, 43]


@pytest.mark.usefixtures("quick")
async def test_nothing_is_watched_while_nobody_listens() -> None:
    board = FakeBoard()
    async with sinks(board, 1) as (_, opened, _tasks):
        await until(lambda: opened[0].revisions())
    calls = board.snapshot_calls
    for _ in range(10):
        board.next_revision()
        await asyncio.sleep(0.003)
    assert board.snapshot_calls == calls


@pytest.mark.usefixtures("quick")
async def test_a_listener_that_comes_as_the_last_one_leaves_is_served() -> None:
    board = FakeBoard()
    events = EventStream(board, CurrentTable(board))
    for _ in range(3):
        sink = Sink()
        task = asyncio.create_task(events.send_events(sink, ""))
        await until(sink.revisions)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_change_that_was_left_for_the_next_goes_out_where_there_is_no_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("web.pace.HELD_AT_MOST", 0)
    monkeypatch.setattr("web.event_stream.STATUS_INTERVAL_S", 60.0)  # no heartbeat that would take it along
    board = FakeBoard()
    async with sinks(board, 1) as (_, (sink,), _tasks):
        await until(sink.revisions)
        for _ in range(2):  # the second is there before its turn
            board.next_revision()
            await until(lambda: sink.revisions()[-1] == board.newest.revision)


async def test_closing_ends_open_streams_and_new_ones_at_once() -> None:
    board = FakeBoard()
    async with sinks(board, 2) as (events, opened, tasks):
        await until(lambda: all(sink.revisions() for sink in opened))
        events.close()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*tasks)
            await events.send_events(Sink(), "")


@pytest.mark.usefixtures("quick")
async def test_a_failing_board_sends_listeners_away_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    board = FakeBoard()
    async with sinks(board, 1) as (events, opened, (task,)):
        await until(lambda: opened[0].revisions())
        with monkeypatch.context() as broken:
            broken.setattr(board, "live", lambda: 1 / 0)
            board.touch()
            async with asyncio.timeout(PATIENCE_S):
                await task
        assert "the event stream failed" in caplog.text
        assert caplog.records[-1].levelno == logging.ERROR
        again = Sink()
        second = asyncio.create_task(events.send_events(again, ""))
        board.next_revision()
        await until(lambda: 43 in again.revisions())
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)

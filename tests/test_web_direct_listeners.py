"""Listeners that are written to directly: in order, once encoded, nothing to who does not read or is gone."""

from __future__ import annotations

import asyncio

import pytest

from web.direct_listeners import DirectListener, DirectListeners, nothing_sent
from web.newest_events import NewestEvents

OPENING = b"retry: 500\n\n"


class Client:
    """Both ways to a client: ``room`` bytes go straight, then the kernel is full; the wire takes all."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.got = b""
        self.straight: list[bytes] = []
        self.closed = False

    def send(self, data: bytes) -> int:
        if self.room == 0:
            raise BlockingIOError
        self.straight.append(data)
        taken = min(self.room, len(data))
        self.room -= taken
        self.got += data[:taken]
        return taken

    def write(self, data: bytes) -> None:
        self.got += data

    def close(self) -> None:
        self.closed = True

    def events(self) -> list[str]:
        """What came, of a body in chunks that must be whole."""
        rest, body = self.got, b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            body, ending, rest = body + rest[:length], rest[length : length + 2], rest[length + 2 :]
            assert ending == b"\r\n"
        assert body.startswith(OPENING)
        return [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]


@pytest.fixture
def newest() -> NewestEvents:
    newest = NewestEvents()
    newest.publish("table", b"1")
    return newest


def added(listeners: DirectListeners, client: Client) -> DirectListener:
    listener = DirectListener(client, 0)
    listeners.add(listener, client.send, OPENING)
    return listener


@pytest.mark.parametrize("room", [0, 1, 60, 100, 1000])
async def test_what_does_not_go_straight_goes_by_the_wire(newest: NewestEvents, room: int) -> None:
    listeners = DirectListeners(newest)
    client = Client(room)
    added(listeners, client)
    for number in (b"2", b"3", b"4"):
        newest.publish("table", number)
        await listeners.feed_all()
    assert client.events() == ["1", "2", "3", "4"]
    assert client.room == max(0, room - sum(map(len, client.straight))) or not client.straight


async def test_the_opening_does_not_pass_what_the_wire_holds(newest: NewestEvents) -> None:
    client = Client(1000)
    added(DirectListeners(newest), client)
    assert client.events() == ["1"]
    assert client.straight == []


async def test_an_event_is_encoded_once_for_all_who_have_seen_the_same(newest: NewestEvents) -> None:
    listeners = DirectListeners(newest)
    clients = [Client(1000) for _ in range(3)]
    for client in clients:
        added(listeners, client)
    newest.publish("live", b"2")
    await listeners.feed_all()
    first, *others = [client.straight for client in clients]
    assert len(first) == 1
    assert all(other[0] is first[0] for other in others)
    await listeners.feed_all()
    assert len(first) == 1


async def test_who_does_not_read_skips_to_the_newest_of_each_kind(newest: NewestEvents) -> None:
    listeners = DirectListeners(newest)
    client = Client(1000)
    listener = added(listeners, client)
    listener.blocked = True
    newest.publish("live", b"2")
    for number in range(3, 20):
        newest.publish("table", b"%d" % number)
        await listeners.feed_all()
    assert client.events() == ["1"]
    listeners.resume(listener)
    assert client.events() == ["1", "2", "19"]


async def half_fed(
    newest: NewestEvents, monkeypatch: pytest.MonkeyPatch
) -> tuple[DirectListeners, list[DirectListener], list[Client], asyncio.Task[None]]:
    """Three listeners of which the first has just been fed, and the others are about to be."""
    monkeypatch.setattr("web.direct_listeners.AT_ONCE", 1)
    listeners = DirectListeners(newest)
    clients = [Client(1000) for _ in range(3)]
    opened = [added(listeners, client) for client in clients]
    newest.publish("table", b"2")
    feed = asyncio.create_task(listeners.feed_all())
    await asyncio.sleep(0)
    assert [len(client.straight) for client in clients] == [1, 0, 0]
    return listeners, opened, clients, feed


async def test_who_leaves_while_all_are_fed_is_sent_nothing_more(
    newest: NewestEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    listeners, opened, clients, feed = await half_fed(newest, monkeypatch)
    listeners.remove(opened[1])
    listeners.resume(opened[1])
    await feed
    assert [len(client.straight) for client in clients] == [1, 0, 1]
    assert clients[1].events() == ["1"]
    assert len(listeners) == 2


async def test_nothing_follows_the_end(newest: NewestEvents, monkeypatch: pytest.MonkeyPatch) -> None:
    listeners, opened, clients, feed = await half_fed(newest, monkeypatch)
    listeners.end_all()
    for listener in opened:
        listeners.resume(listener)
    await feed
    assert [client.events() for client in clients] == [["1", "2"], ["1"], ["1"]]
    assert all(client.got.endswith(b"\r\n0\r\n\r\n") and client.closed for client in clients)
    assert len(listeners) == 0


async def test_a_wire_that_cannot_be_passed_by_is_sent_everything(newest: NewestEvents) -> None:
    listeners = DirectListeners(newest)
    client = Client(0)
    listeners.add(DirectListener(client, 0), nothing_sent, OPENING)
    newest.publish("table", b"2")
    await listeners.feed_all()
    assert client.events() == ["1", "2"]

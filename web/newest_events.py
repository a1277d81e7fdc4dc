"""The newest event of each kind, as it goes over the wire, and what of them a client has not seen."""

from __future__ import annotations

import secrets
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """``number`` rises over all kinds; ``payload`` is the event as it goes over the wire."""

    number: int
    data: bytes
    payload: bytes


class NewestEvents:
    """Every event has the whole state of its kind, so who has the newest of each has everything."""

    def __init__(self) -> None:
        self._boot = secrets.token_hex(4)
        self._newest: dict[str, Event] = {}
        self.number = 0
        """That of the newest event of all."""

    def publish(self, kind: str, data: bytes) -> None:
        """A new event; its id tells this run of the program from others."""
        self.number += 1
        head = f"id: {self._boot}-{self.number}\nevent: {kind}\ndata: "
        self._newest[kind] = Event(self.number, data, head.encode() + data + b"\n\n")

    def publish_change(self, kind: str, data: bytes) -> None:
        """A new event where it says something else than the last of its kind."""
        newest = self._newest.get(kind)
        if newest is None or newest.data != data:
            self.publish(kind, data)

    def after(self, seen: int) -> bytes:
        """The newest event of each kind that came after number ``seen``, as they go over the wire."""
        fresh = [event for event in self._newest.values() if event.number > seen]
        return b"".join(event.payload for event in sorted(fresh, key=lambda event: event.number))

    def resumed_at(self, last_event_id: str) -> int:
        """The number up to which a client has everything; 0 where its id is not of this run."""
        boot, _, number = last_event_id.partition("-")
        if boot == self._boot and number.isascii() and number.isdigit():
            return min(int(number), self.number)
        return 0
